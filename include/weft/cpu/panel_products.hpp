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

// sum_r + the products of quads [first, last) of w with those of row r, exactly. Instructions that sum two products in 16 bits do so for as
// many quads as fit.
template <class D, int first, int last, int R> WEFT_INLINE void add_products(const D& w, const DigitGroup* x, native::Ints (&sum)[R]) {
  const auto digits_of = [&](int r, int quad) WEFT_FLAT {
    std::int32_t v;
    std::memcpy(&v, x[r].digit + 4 * quad, sizeof v);
    return (SignedBytes)(native::Ints{} + v);
  };
  constexpr int together = quads_in_16_bits<D::bound>;
  if constexpr (together > 1) {
    constexpr int n = together < last - first ? together : last - first;
    unroll<(last - first) / n>([&](auto part) WEFT_FLAT {
      Shorts pairs[R];
      unroll<n>([&](auto i) WEFT_FLAT {
        constexpr int quad = first + part * n + i;
        const Bytes weights = w.template quad<quad>();
        unroll<R>([&](auto r) WEFT_FLAT {
          const Shorts p = dot_of_pairs(weights, digits_of(r, quad));
          pairs[r] = i == 0 ? p : pairs[r] + p;
        });
      });
      unroll<R>([&](auto r) WEFT_FLAT { sum[r] = sum[r] + sum_pairs(pairs[r]); });
    });
  } else {
    unroll<last - first>([&](auto i) WEFT_FLAT {
      constexpr int quad = first + i;
      const Bytes weights = w.template quad<quad>();
      unroll<R>([&](auto r) WEFT_FLAT { sum[r] = dot<D::bound>(sum[r], weights, digits_of(r, quad)); });
    });
  }
}

// A group of a large block reads here and there in its record, which no hardware prefetcher follows: its share of a record further on. q6_k
// from memory, one row, Zen 4: 81 % of the bandwidth of a plain read with this, 32 % without. Small blocks are read in order, and fetched
// as fast without.
template <class Block> WEFT_INLINE void prefetch_group(const std::byte* record, int g) {
  constexpr long ahead = 4096, share = Panel<Block>::record / PanelDigits<Block>::groups;
  unroll<(share + 63) / 64>([&](auto line) WEFT_FLAT { __builtin_prefetch(record + g * share + ahead + 64 * line); });
}

}  // namespace detail

// out[r * out_stride + j] (+)= row r . column j for R rows and the first n columns from `column` on. x: the groups of R rows side by side,
// those of the next 32 elements `x_step` further on.
template <class Block, int R> [[gnu::noinline]] void panel_products(const DigitGroup* x, long x_step, const std::byte* panel, int column,
                                                                    int n, long blocks, float* out, long out_stride, bool accumulate) {
  using D = detail::PanelDigits<Block>;
  using native::Floats, native::Ints;
  constexpr int lanes = native::lanes;
  for (int at = 0; at < n; at += lanes) {
    Floats sum[R];
    unroll<R>([&](auto r) WEFT_FLAT { sum[r] = accumulate ? native::load(out + r * out_stride + at, n - at) : native::broadcast(0.f); });
    const DigitGroup* group = x;
    const std::byte* record = panel;
    for (long b = 0; b < blocks; ++b, record += Panel<Block>::record)
      for (int g = 0; g < D::groups; ++g, group += x_step) {
        if constexpr (D::groups > 1) detail::prefetch_group<Block>(record, g);
        const D w(record, column + at, g);
        const auto products = [&](auto first, auto last, auto sum_of, Floats scale) WEFT_FLAT {
          Ints whole[R];
          unroll<R>([&](auto r) WEFT_FLAT {
            whole[r] = Ints{};
            if constexpr (D::zero != 0) whole[r] = (Ints{} + sum_of(group[r])) << std::countr_zero(unsigned(D::zero));
          });
          detail::add_products<D, first, last>(w, group, whole);
          unroll<R>([&](auto r)
                        WEFT_FLAT { sum[r] = native::fma(native::convert(whole[r]), native::broadcast(group[r].scale) * scale, sum[r]); });
        };
        constexpr std::integral_constant<int, 0> begin;
        constexpr std::integral_constant<int, 4> middle;
        constexpr std::integral_constant<int, 8> end;
        if constexpr (D::group_elements == 16) {
          products(
              begin, middle, [](const DigitGroup& d) WEFT_FLAT { return d.minus_low_sum; }, w.scale());
          products(
              middle, end, [](const DigitGroup& d) WEFT_FLAT { return d.minus_high_sum; }, w.scale_high());
        } else {
          products(
              begin, end, [](const DigitGroup& d) WEFT_FLAT { return d.minus_sum; }, w.scale());
        }
        if constexpr (D::has_offset) {
          const Floats offset = w.offset();
          unroll<R>([&](auto r) WEFT_FLAT { sum[r] = native::fma(native::broadcast(group[r].scaled_sum), offset, sum[r]); });
        }
      }
    unroll<R>([&](auto r) WEFT_FLAT { native::store(out + r * out_stride + at, sum[r], n - at); });
  }
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
