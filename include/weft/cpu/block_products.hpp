// block_products: inner products of few rows with columns of blocks where they lie. The siblings of micro_dots.hpp: memory bandwidth limits them,
// so each block is loaded and taken apart once for up to eight rows, one column after another.
//
// Columns are k elements long, a multiple of the format's block, and `step` blocks apart. out[r * out_stride + j] = row r . column j. The order of
// sums depends on k, the formats and the instruction set only.
#pragma once
#include "block_columns.hpp"
#include "block_row.hpp"
#include "micro_dots.hpp"

namespace weft::cpu {
namespace detail {

inline constexpr int most_rows = 8;         // that share one pass over the weights
inline constexpr int columns_together = 8;  // whose partial sums are folded together

// partial[r] += the products of quantised row r with column j, to be summed. Any number of rows in a loop: the digits of a step stay in registers.
// Count: int, or std::integral_constant for one row
template <class Block, class Count> WEFT_INLINE void column_products(const std::byte* const* rows, Count count,
                                                                     const BlockColumns<Block>& columns, long j, long k,
                                                                     native::Floats* partial) {
  using D = Digits<Block>;
  const long padded = QuantizedRow::padded(k), all = padded / 32;
  constexpr bool several = std::is_same_v<Count, int>;
  columns.template for_steps<several>(j, [&](const Step& s, long number) WEFT_FLAT {
    for (int r = 0; r < count; ++r) {
      const std::byte *x = rows[r] + number * step_elements, *scales = rows[r] + padded + number * (step_groups * 4);
      const auto at = [&](int i) WEFT_FLAT { return (SignedBytes)load_bytes(x + i * long(sizeof(Bytes))); };
      const native::Floats x_scale = native::load(reinterpret_cast<const float*>(scales));
      const auto* half_sums = reinterpret_cast<const std::int16_t*>(scales + 8 * all);
      native::Ints product[4];
      if constexpr (D::group == 16) {
        unroll<4>([&](auto q) WEFT_FLAT { product[q] = dot<D::bound>(native::Ints{}, s.low[q], at(2 * q)); });
        const native::Floats low = native::convert(add_pairs<-D::zero, 0>(sum_lanes(product), half_sums));
        unroll<4>([&](auto q) WEFT_FLAT { product[q] = dot<D::bound>(native::Ints{}, s.high[q], at(2 * q + 1)); });
        const native::Floats high = native::convert(add_pairs<0, -D::zero>(sum_lanes(product), half_sums));
        partial[r] = native::fma(native::fma(high, s.scale_high, low * s.scale), x_scale, partial[r]);
      } else {
        unroll<4>([&](auto q) WEFT_FLAT {
          product[q] = dot<D::bound>(dot<D::bound>(native::Ints{}, s.low[q], at(2 * q)), s.high[q], at(2 * q + 1));
        });
        native::Ints whole = sum_lanes(product);
        if constexpr (D::zero != 0) whole = add_pairs<-D::zero, -D::zero>(whole, half_sums);
        const native::Floats part = native::fma(native::convert(whole), s.scale * x_scale, partial[r]);
        if constexpr (D::has_offset)
          partial[r] = native::fma(s.offset, native::load(reinterpret_cast<const float*>(scales + 4 * all)), part);
        else
          partial[r] = part;
      }
    }
  });
}

}  // namespace detail

// rows: `count` quantised rows (block_row.hpp)
template <BlockFormat Block>
void block_products(const std::byte* const* rows, int count, const Block* columns, long step, long n, long k, float* out, long out_stride) {
  using detail::most_rows, detail::columns_together;
  const detail::BlockColumns<Block> source(columns, step, n, k);
  for (; count > 0; count -= most_rows, rows += most_rows, out += most_rows * out_stride) {
    const auto rows_together = [&](auto together) WEFT_FLAT {
      for (long j = 0; j < n; j += columns_together) {
        const long width = n - j < columns_together ? n - j : columns_together;
        native::Floats partial[columns_together][most_rows], of_row[columns_together] = {};
        for (long c = 0; c < width; ++c) {
          for (int r = 0; r < together; ++r) partial[c][r] = native::broadcast(0.f);
          detail::column_products(rows, together, source, j + c, k, partial[c]);
        }
        for (int r = 0; r < together; ++r) {
          float total[columns_together];
          for (long c = 0; c < width; ++c) of_row[c] = partial[c][r];
          detail::sums(of_row, total);
          for (long c = 0; c < width; ++c) out[r * out_stride + j + c] = total[c];
        }
      }
    };
    if (count == 1)  // most frequent, and the sums stay in a register
      rows_together(std::integral_constant<int, 1>{});
    else
      rows_together(count < most_rows ? count : most_rows);
  }
}

// Rows of floats or bf16: weights are expanded, and nothing of the rows is rounded. rows: `count` rows of k elements
template <class L, BlockFormat Block>
requires(std::is_same_v<L, float> || std::is_same_v<L, bf16>) void block_products(const L* const* rows, int count, const Block* columns,
                                                                                  long step, long n, long k, float* out, long out_stride) {
  constexpr long turn = detail::turn_elements<Block>;
  constexpr int most = 8, chains = 2;
  const detail::BlockColumns<Block> source(columns, step, n, k);
  for (; count > 0; count -= most, rows += most, out += most * out_stride) {
    const int together = count < most ? count : most;
    for (long j = 0; j < n; ++j) {
      Packet part[most][chains];
      for (int r = 0; r < together; ++r) part[r][0] = part[r][1] = Packet(0.f);
      for (long t = 0; t < source.turns(); ++t) {
        alignas(64) float expanded[turn];
        detail::expand_turn(source, j, t, expanded);
        const long first = t * turn, length = k - first < turn ? k - first : turn;
        for (int r = 0; r < together; ++r)
          for (long i = 0; i < length; i += chains * Packet::lanes)
            unroll<chains>([&](auto c) WEFT_FLAT {
              part[r][c] = fma(load(rows[r] + first + i + c * Packet::lanes), load(expanded + i + c * Packet::lanes), part[r][c]);
            });
      }
      for (int r = 0; r < together; ++r) out[r * out_stride + j] = sum(part[r][0] + part[r][1]);
    }
  }
}

}  // namespace weft::cpu
