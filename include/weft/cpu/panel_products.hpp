// panel_products: rows times the columns of a panel (core/panels.hpp). Columns are lanes, so sums need no reduction, and a panel is one
// stream of memory. The digits of weights are taken apart once for up to 12 rows.
//
// Every sum runs over k from the first group to the last, so its bits depend on the formats and the instruction set only: not on how many
// rows or columns are computed together, nor on where a sum is interrupted.
#pragma once
#include <bit>

#include "panel_digits.hpp"
#include "row_digits.hpp"

namespace weft::cpu {
namespace detail {

// sum_r + the products of quads [first, last) of w with those of row r, exactly, for C packets of columns. Instructions that sum two products in 16
// bits do so for as many quads as fit.
template <class D, int first, int last, int R, int C>
WEFT_INLINE void add_products(const D (&w)[C], const DigitGroup* x, native::Ints (&sum)[C][R]) {
  const auto digits_of = [&](int r, int quad) WEFT_FLAT {
    std::int32_t v;
    std::memcpy(&v, x[r].digit + 4 * quad, sizeof v);
    return (SignedBytes)(native::Ints{} + v);
  };
  constexpr int together = quads_in_16_bits<D::bound>;
  if constexpr (together > 1) {
    static_assert(C == 1);
    constexpr int n = together < last - first ? together : last - first;
    unroll<(last - first) / n>([&](auto part) WEFT_FLAT {
      Shorts pairs[R];
      unroll<n>([&](auto i) WEFT_FLAT {
        constexpr int quad = first + part * n + i;
        const Bytes weights = w[0].template quad<quad>();
        unroll<R>([&](auto r) WEFT_FLAT {
          const Shorts p = dot_of_pairs(weights, digits_of(r, quad));
          pairs[r] = i == 0 ? p : pairs[r] + p;
        });
      });
      unroll<R>([&](auto r) WEFT_FLAT { sum[0][r] = sum[0][r] + sum_pairs(pairs[r]); });
    });
  } else {
    unroll<last - first>([&](auto i) WEFT_FLAT {
      constexpr int quad = first + i;
      Bytes weights[C];
      unroll<C>([&](auto c) WEFT_FLAT { weights[c] = w[c].template quad<quad>(); });
      unroll<R>([&](auto r) WEFT_FLAT {
        const SignedBytes digits = digits_of(r, quad);
        unroll<C>([&](auto c) WEFT_FLAT { sum[c][r] = dot<D::bound>(sum[c][r], weights[c], digits); });
      });
    });
  }
}

// A group of a large block reads here and there in its record, which no hardware prefetcher follows: its share of a record further on. q6_k
// from memory, one row, Zen 4: 90 to 98 % of the bandwidth of a plain read with this, 32 % without; half as far, and into the first-level cache, 85 to
// 96 %. Small blocks are read in order, and fetched as fast without.
template <class Block> WEFT_INLINE void prefetch_group(const std::byte* record, int g) {
  constexpr long ahead = 8192, share = Panel<Block>::record / PanelDigits<Block>::groups;
  unroll<(share + 63) / 64>([&](auto line) WEFT_FLAT { __builtin_prefetch(record + g * share + ahead + 64 * line, 0, 2); });
}

// sum + the products of a group of R rows with that of C packets of columns
template <class D, int R, int C> WEFT_INLINE void add_groups(const D (&w)[C], const DigitGroup* group, native::Floats (&sum)[C][R]) {
  using native::Floats, native::Ints;
  const auto products = [&](auto first, auto last, auto minus_zeros, auto scale_of) WEFT_FLAT {
    Ints whole[C][R];
    unroll<C * R>([&](auto i) WEFT_FLAT {
      whole[i / R][i % R] = Ints{};
      if constexpr (D::zero != 0) whole[i / R][i % R] = Ints{} + minus_zeros(group[i % R]);
    });
    add_products<D, first, last>(w, group, whole);
    unroll<C>([&](auto c) WEFT_FLAT {
      const Floats scale = scale_of(w[c]);
      unroll<R>([&](auto r) WEFT_FLAT {
        sum[c][r] = native::fma(native::convert(whole[c][r]), native::broadcast(group[r].scale) * scale, sum[c][r]);
      });
    });
  };
  constexpr std::integral_constant<int, 0> begin;
  constexpr std::integral_constant<int, 4> middle;
  constexpr std::integral_constant<int, 8> end;
  const auto scale = [](const D& columns) WEFT_FLAT { return columns.scale(); };
  if constexpr (D::group_elements == 16) {
    products(
        begin, middle, [](const DigitGroup& d) WEFT_FLAT { return d.minus_32_low_sums; }, scale);
    products(
        middle, end, [](const DigitGroup& d) WEFT_FLAT { return d.minus_32_high_sums; },
        [](const D& columns) WEFT_FLAT { return columns.scale_high(); });
  } else {
    products(
        begin, end,
        [](const DigitGroup& d) WEFT_FLAT { return D::zero == 8    ? d.minus_8_sums
                                                   : D::zero == 16 ? d.minus_16_sums
                                                                   : d.minus_128_sums; },
        scale);
  }
  if constexpr (D::has_offset)
    unroll<C>([&](auto c) WEFT_FLAT {
      const Floats offset = w[c].offset();
      unroll<R>([&](auto r) WEFT_FLAT { sum[c][r] = native::fma(native::broadcast(group[r].scaled_sum), offset, sum[c][r]); });
    });
}
// ... of `blocks` blocks: sum[c] is for the packet of columns of panel c that begins at `column`
template <class Block, int R, int... c> WEFT_INLINE void add_blocks(const DigitGroup* group, long x_step, const std::byte* const* panel,
                                                                    int column, long blocks, native::Floats (&sum)[sizeof...(c)][R],
                                                                    std::integer_sequence<int, c...>) {
  using D = PanelDigits<Block>;
  for (long at = 0; at < blocks * Panel<Block>::record; at += Panel<Block>::record)
    for (int g = 0; g < D::groups; ++g, group += x_step) {
      if constexpr (D::groups > 1) (prefetch_group<Block>(panel[c] + at, g), ...);
      const D w[] = {D(panel[c] + at, column, g)...};
      add_groups<D, R>(w, group, sum);
    }
}

}  // namespace detail

// out[r * out_stride + j] (+)= row r . column j for R rows and the first n columns from `column` on. x: the groups of R rows side by side,
// those of the next 32 elements `x_step` further on.
template <class Block, int R> [[gnu::noinline]] void panel_products(const DigitGroup* x, long x_step, const std::byte* panel, int column,
                                                                    int n, long blocks, float* out, long out_stride, bool accumulate) {
  constexpr int lanes = native::lanes;
  for (int at = 0; at < n; at += lanes) {
    native::Floats sum[1][R];
    unroll<R>([&](auto r) WEFT_FLAT { sum[0][r] = accumulate ? native::load(out + r * out_stride + at, n - at) : native::broadcast(0.f); });
    detail::add_blocks<Block>(x, x_step, &panel, column + at, blocks, sum, std::make_integer_sequence<int, 1>{});
    unroll<R>([&](auto r) WEFT_FLAT { native::store(out + r * out_stride + at, sum[0][r], n - at); });
  }
}
// The same for two whole panels, where a packet has the columns of one and registers suffice: digits of rows are loaded once for both. 77 % of the
// peak of one core instead of 71 (q8_0 and q4_0, Zen 4, from the first-level cache); more than 80 the scales do not leave.
inline constexpr bool multiplies_two_panels = has_byte_dot && native::lanes == panel_rows;
inline constexpr int rows_times_two_panels = 6;
template <class Block, int R> [[gnu::noinline]] void panel_products_of_two(const DigitGroup* x, long x_step, const std::byte* first,
                                                                           const std::byte* second, long blocks, float* out,
                                                                           long out_stride, bool accumulate) {
  native::Floats sum[2][R];
  unroll<2 * R>([&](auto i) WEFT_FLAT {
    sum[i / R][i % R] = accumulate ? native::load(out + i % R * out_stride + i / R * panel_rows) : native::broadcast(0.f);
  });
  const std::byte* const panel[] = {first, second};
  detail::add_blocks<Block>(x, x_step, panel, 0, blocks, sum, std::make_integer_sequence<int, 2>{});
  unroll<2 * R>([&](auto i) WEFT_FLAT { native::store(out + i % R * out_stride + i / R * panel_rows, sum[i / R][i % R]); });
}

// The same for rows of floats or bf16, of which nothing is rounded: the elements of the weights are multiplied as the format defines them.
template <class L, class Block, int R> [[gnu::noinline]] void panel_products(const L* const* rows, long first, const std::byte* panel,
                                                                             int column, int n, long blocks, float* out, long out_stride,
                                                                             bool accumulate) {
  using D = detail::PanelDigits<Block>;
  using native::Floats;
  for (int at = 0; at < n; at += native::lanes) {
    Floats sum[R];
    unroll<R>([&](auto r) WEFT_FLAT { sum[r] = accumulate ? native::load(out + r * out_stride + at, n - at) : native::broadcast(0.f); });
    const std::byte* record = panel;
    long element = first;
    for (long b = 0; b < blocks; ++b, record += Panel<Block>::record)
      for (int g = 0; g < D::groups; ++g, element += 32) {
        const D w(record, column + at, g);
        unroll<8>([&](auto quad) WEFT_FLAT {
          Floats x[4];
          detail::expand_quad<Block, quad>(w, x);
          unroll<4>([&](auto e) WEFT_FLAT {
            unroll<R>([&](auto r)
                          WEFT_FLAT { sum[r] = native::fma(native::broadcast(to_float(rows[r][element + 4 * quad + e])), x[e], sum[r]); });
          });
        });
      }
    unroll<R>([&](auto r) WEFT_FLAT { native::store(out + r * out_stride + at, sum[r], n - at); });
  }
}

// f(first row, R) for groups of R rows, R one of three constants, that cover `rows` rows: the last group may reach beyond them, but not
// beyond the next multiple of 4. most: whose sums and products fit the registers
inline constexpr int most_rows_together = isa >= Isa::avx512 ? 12 : 6;
template <int most = most_rows_together, class F> void in_groups_of_rows(int rows, F f) {
  constexpr int some = most % 4 == 0 ? 4 : 2;
  int first = 0;
  for (int rest; (rest = rows - first) > 0;)
    if (rest == 1) {
      f(first, std::integral_constant<int, 1>{});
      first += 1;
    } else if (rest <= most - some) {
      f(first, std::integral_constant<int, some>{});
      first += some;
    } else {
      f(first, std::integral_constant<int, most>{});
      first += most;
    }
}

}  // namespace weft::cpu
