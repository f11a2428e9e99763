// block_panel: many rows of quantised activations times columns of blocks, as a micro-kernel (micro_kernel.hpp): MicroKernel<digits> multiplies panels
// of digits, sums them exactly within groups of 32 or 16 elements, and scales the sums.
//
// Panels are made of records, one for each 32 elements of k; every format of blocks has the same records:
//   left   digits [8][rows][4]; scales, sums of digits, sums of the first 16 and of the other digits, scale * sum of digits [rows]
//   right  digits [8][cols][4]; scales [cols]; scales of the second 16 elements, or offsets [cols]
// A header before the right records says what sort of digits they hold.
#pragma once
#include "block_columns.hpp"
#include "block_row.hpp"

namespace weft::cpu {
namespace detail {

// What a tile has to do. Digits without a sign stand for digit - zero.
enum class DigitKind : int {
  symmetric,  // a scale for 32 elements
  halves,     // a scale for 16 elements
  offsets,    // a scale and an offset for 32 elements; zero is 0
  bytes       // symmetric digits with a sign, where no instruction multiplies bytes of all values without one
};
template <class Block> constexpr DigitKind kind_of() {
  using D = Digits<Block>;
  return D::bound == 0 ? DigitKind::bytes : D::group == 16 ? DigitKind::halves : D::has_offset ? DigitKind::offsets : DigitKind::symmetric;
}
// the zero of all symmetric digits in a panel, whatever that of their format
template <DigitKind kind> inline constexpr int panel_zero = kind == DigitKind::offsets || kind == DigitKind::bytes ? 0
                                                            : has_byte_dot                                         ? 128
                                                            : kind == DigitKind::halves                            ? 32
                                                                                                                   : 16;

// the bound of digits in a panel, as for dot
template <DigitKind kind> inline constexpr int panel_bound = kind == DigitKind::bytes    ? 0
                                                             : has_byte_dot              ? 256
                                                             : kind == DigitKind::halves ? 64
                                                                                         : 32;

WEFT_INLINE native::Ints broadcast_quad(const void* p) {
  std::int32_t quad;
  std::memcpy(&quad, p, sizeof quad);
  return native::Ints{} + quad;
}

}  // namespace detail

template <> struct MicroKernel<digits> {
  static constexpr int rows = MicroKernel<float>::rows, packets = 2, cols = packets * Packet::lanes;
  // rows that are computed together: their whole and their scaled sums fit the registers
  static constexpr int group = isa >= Isa::avx512 ? (rows % 6 == 0 ? 6 : 4) : isa == Isa::avx2 ? 3 : 2;
  static constexpr int row_step = group;
  static_assert(rows % group == 0);

  static constexpr long left_record = (8 * 4 + 5 * 4) * rows, right_record = (8 * 4 + 2 * 4) * cols, header = 64;
  static constexpr long left_size(long k) { return left_bytes(k); }  // bytes are the elements of these panels
  static constexpr long right_size(long k) { return right_bytes(k); }
  static constexpr long left_bytes(long k) { return k / 32 * left_record; }
  static constexpr long right_bytes(long k) { return header + k / 32 * right_record; }

  // At least the first n rows, 1 <= n <= rows, as MicroKernel<Element>::tile; k is a multiple of 32
  static void tile(int n, const std::byte* left, const std::byte* right, long k, float* c, long ldc, bool accumulate, Ahead = {}) {
    using detail::DigitKind;
    DigitKind kind;
    std::memcpy(&kind, right, sizeof kind);
    for (int first = 0; first < n; first += group) {
      float* out = c + first * ldc;
      if (kind == DigitKind::symmetric)
        tile_group<DigitKind::symmetric>(left, first, right + header, k / 32, out, ldc, accumulate);
      else if (kind == DigitKind::halves)
        tile_group<DigitKind::halves>(left, first, right + header, k / 32, out, ldc, accumulate);
      else if (kind == DigitKind::offsets)
        tile_group<DigitKind::offsets>(left, first, right + header, k / 32, out, ldc, accumulate);
      else if constexpr (!has_byte_dot)
        tile_group<DigitKind::bytes>(left, first, right + header, k / 32, out, ldc, accumulate);
    }
  }

  // quantises a row into row r of a panel
  static void pack_left_row(const float* row, long k, int r, std::byte* panel) {
    detail::quantize_groups(row, k, [&](const detail::QuantizedGroups& q, long, int n) {
      for (int g = 0; g < n; ++g, panel += left_record) {
        unroll<8>([&](auto quad) WEFT_FLAT { std::memcpy(panel + (quad * rows + r) * 4, q.digit[g] + 4 * quad, 4); });
        const LeftScales s(panel);
        s.scale[r] = q.scale[g];
        s.low_sum[r] = static_cast<std::int32_t>(q.low[g]);
        s.high_sum[r] = static_cast<std::int32_t>(q.high[g]);
        s.sum[r] = s.low_sum[r] + s.high_sum[r];
        s.scaled_sum[r] = q.sum[g];
      }
    });
  }

  // ncols <= cols columns of blocks, `step` blocks apart
  template <BlockFormat Block> static void pack_right(const Block* columns, long step, long k, int ncols, std::byte* panel) {
    using D = detail::Digits<Block>;
    using detail::Bytes;
    constexpr int lanes = Packet::lanes;
    constexpr detail::DigitKind kind = detail::kind_of<Block>();
    std::memset(panel, 0, header);
    std::memcpy(panel, &kind, sizeof kind);
    const detail::BlockColumns<Block> source(columns, step, ncols, k);
    for (int first = 0; first < cols; first += lanes)
      for (long t = 0; t < source.turns(); ++t) {
        native::Floats digit[D::turn_steps][8][lanes], scale[D::turn_steps][2][lanes];
        for (int j = 0; j < lanes; ++j) {
          if (first + j >= ncols) {
            for (int s = 0; s < D::turn_steps; ++s) {
              for (auto& d : digit[s]) d[j] = native::broadcast(0.f);
              scale[s][0][j] = scale[s][1][j] = native::broadcast(0.f);
            }
            continue;
          }
          source.turn(first + j, t, [&](const detail::Step& s, long number) WEFT_FLAT {
            const long n = number % D::turn_steps;
            constexpr auto more = static_cast<std::uint8_t>(detail::panel_zero<kind> - D::zero);
            unroll<4>([&](auto q) WEFT_FLAT {
              digit[n][2 * q][j] = (native::Floats)(Bytes)(s.low[q] + more);
              digit[n][2 * q + 1][j] = (native::Floats)(Bytes)(s.high[q] + more);
            });
            scale[n][0][j] = s.scale;
            if constexpr (D::group == 16) scale[n][1][j] = s.scale_high;
            if constexpr (D::has_offset) scale[n][1][j] = s.offset;
            if constexpr (D::group == 32 && !D::has_offset) scale[n][1][j] = native::broadcast(0.f);
          });
        }
        for (int s = 0; s < D::turn_steps; ++s) {
          const long at = (t * D::turn_steps + s) * lanes, left = k / 32 - at;
          store_step(digit[s], scale[s], first, static_cast<int>(left < lanes ? left : lanes), panel + header + at * right_record);
        }
      }
  }

 private:
  struct LeftScales {
    float* scale;
    std::int32_t *sum, *low_sum, *high_sum;
    float* scaled_sum;
    explicit LeftScales(std::byte* record)
        : scale(reinterpret_cast<float*>(record + 32 * rows)),
          sum(reinterpret_cast<std::int32_t*>(scale + rows)),
          low_sum(sum + rows),
          high_sum(low_sum + rows),
          scaled_sum(reinterpret_cast<float*>(high_sum + rows)) {}
  };

  // turns what `lanes` columns have of `groups` groups into records
  [[gnu::noinline]] static void store_step(native::Floats (&digit)[8][Packet::lanes], native::Floats (&scale)[2][Packet::lanes], int first,
                                           int groups, std::byte* records) {
    constexpr int lanes = Packet::lanes;
    for (int v = 0; v < 8; ++v) {
      detail::transpose(digit[v]);
      for (int i = 0; i < lanes; ++i) {  // lane i of vector v: quad i % 4 of a half of a group
        const int g = v / 2 * detail::pieces + i / 4, quad = i % 4 + v % 2 * 4;
        if (g < groups) native::store(reinterpret_cast<float*>(records + g * right_record + (quad * cols + first) * 4), digit[v][i]);
      }
    }
    for (int which = 0; which < 2; ++which) {
      detail::transpose(scale[which]);
      for (int g = 0; g < groups; ++g)
        native::store(reinterpret_cast<float*>(records + g * right_record + 32 * cols) + which * cols + first,
                      scale[which][detail::lane_of(g)]);
    }
  }

  template <detail::DigitKind kind> [[gnu::noinline]] static void tile_group(const std::byte* left, int first, const std::byte* right,
                                                                             long records, float* c, long ldc, bool accumulate) {
    using detail::DigitKind;
    using native::Floats, native::Ints;
    constexpr int lanes = Packet::lanes, R = group;
    constexpr int bound = detail::panel_bound<kind>;
    Floats sum[R][packets];
    unroll<R>([&](auto r) WEFT_FLAT {
      unroll<packets>([&](auto j) WEFT_FLAT { sum[r][j] = accumulate ? native::load(c + r * ldc + j * lanes) : native::broadcast(0.f); });
    });
    for (; records > 0; --records, left += left_record, right += right_record) {
      const LeftScales x(const_cast<std::byte*>(left));
      const float* scale = reinterpret_cast<const float*>(right + 32 * cols);
      // products of quads [from, to) with the digits' zero taken off
      const auto products = [&](auto from, auto to, const std::int32_t* sums, Ints(&whole)[R][packets]) WEFT_FLAT {
        unroll<R>([&](auto r) WEFT_FLAT {
          Ints start{};
          if constexpr (detail::panel_zero<kind> != 0) start = (Ints{} + sums[first + r]) * -detail::panel_zero<kind>;
          unroll<packets>([&](auto j) WEFT_FLAT { whole[r][j] = start; });
        });
        unroll<to - from>([&](auto i) WEFT_FLAT {
          constexpr int quad = from + i;
          detail::Bytes w[packets];
          unroll<packets>([&](auto j) WEFT_FLAT { w[j] = detail::load_bytes(right + (quad * cols + j * lanes) * 4); });
          unroll<R>([&](auto r) WEFT_FLAT {
            const auto quad_of_row = (detail::SignedBytes)detail::broadcast_quad(left + (quad * rows + first + r) * 4);
            unroll<packets>([&](auto j) WEFT_FLAT { whole[r][j] = detail::dot<bound>(whole[r][j], w[j], quad_of_row); });
          });
        });
      };
      const auto add = [&](const Ints(&whole)[R][packets], const float* scales) WEFT_FLAT {
        Floats w[packets];
        unroll<packets>([&](auto j) WEFT_FLAT { w[j] = native::load(scales + j * lanes); });
        unroll<R>([&](auto r) WEFT_FLAT {
          const Floats row_scale = native::broadcast(x.scale[first + r]);
          unroll<packets>([&](auto j) WEFT_FLAT { sum[r][j] = native::fma(native::convert(whole[r][j]), row_scale * w[j], sum[r][j]); });
        });
      };
      constexpr std::integral_constant<int, 0> begin;
      constexpr std::integral_constant<int, 4> middle;
      constexpr std::integral_constant<int, 8> end;
      Ints whole[R][packets];
      if constexpr (kind == DigitKind::halves) {
        products(begin, middle, x.low_sum, whole);
        add(whole, scale);
        products(middle, end, x.high_sum, whole);
        add(whole, scale + cols);
      } else {
        products(begin, end, x.sum, whole);
        add(whole, scale);
        if constexpr (kind == DigitKind::offsets) {
          Floats offset[packets];
          unroll<packets>([&](auto j) WEFT_FLAT { offset[j] = native::load(scale + cols + j * lanes); });
          unroll<R>([&](auto r) WEFT_FLAT {
            const Floats row_sum = native::broadcast(x.scaled_sum[first + r]);
            unroll<packets>([&](auto j) WEFT_FLAT { sum[r][j] = native::fma(row_sum, offset[j], sum[r][j]); });
          });
        }
      }
    }
    unroll<R>([&](auto r) WEFT_FLAT { unroll<packets>([&](auto j) WEFT_FLAT { native::store(c + r * ldc + j * lanes, sum[r][j]); }); });
  }
};

}  // namespace weft::cpu
