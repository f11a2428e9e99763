// block_columns: columns of blocks in memory, read a step (block_formats.hpp) at a time, and expanded to floats.
#pragma once
#include "block_formats.hpp"
#include "micro_pack.hpp"

namespace weft::cpu {
namespace detail {

// The last step of a column may reach beyond it, into the next ones; what is there counts for nothing. At the end of the columns the last blocks
// are copied.
template <class Block> class BlockColumns {
 public:
  using D = Digits<Block>;
  // Weights come from memory as one long stream. The bytes by which they are asked for ahead of the hardware's own prefetches, where several rows
  // keep the core busy; for one row neither this nor 1024 was reliably faster than nothing on a Zen 4.
  static constexpr long ahead = 2048;
  // n columns of k elements, `step` blocks apart
  BlockColumns(const Block* columns, long step, long n, long k)
      : columns_(columns),
        step_(step),
        blocks_(k / block_elements(dtype_of<Block>)),
        readable_((n - 1) * step + blocks_),
        within_{first_groups(step_groups), first_groups((k / 32 - 1) % step_groups + 1)} {}

  // several steps make a turn (of one or more blocks)
  long turns() const { return (blocks_ + D::turn_blocks - 1) / D::turn_blocks; }
  // f(step, its number in the column) for the steps of turn t of column j; scales and offsets beyond the column are 0
  template <bool prefetch = true, class F> WEFT_INLINE void turn(long j, long t, F f) const {
    const long first = j * step_ + t * D::turn_blocks;
    const Block* b = columns_ + first;
    Block copy[D::turn_blocks];
    if (D::turn_blocks > 1 && first + D::turn_blocks > readable_) [[unlikely]] {
      std::memset(static_cast<void*>(copy), 0, sizeof copy);
      std::memcpy(static_cast<void*>(copy), b, static_cast<std::size_t>(blocks_ - t * D::turn_blocks) * sizeof(Block));
      b = copy;
    }
    if constexpr (prefetch)
      unroll<(D::turn_blocks * int(sizeof(Block)) + 63) / 64>(
          [&](auto line) WEFT_FLAT { __builtin_prefetch(reinterpret_cast<const std::byte*>(b) + ahead + 64 * line); });
    D::steps(b, [&](Step& s, auto number) WEFT_FLAT {
      const long step = t * D::turn_steps + number;
      if constexpr (D::turn_blocks > 1) {
        const native::Mask within = t + 1 < turns() ? within_[0] : within_[1];
        s.scale = native::blend(within, s.scale, native::broadcast(0.f));
        if constexpr (D::group == 16) s.scale_high = native::blend(within, s.scale_high, native::broadcast(0.f));
        if constexpr (D::has_offset) s.offset = native::blend(within, s.offset, native::broadcast(0.f));
      }
      f(s, step);
    });
  }
  template <bool prefetch, class F> WEFT_INLINE void for_steps(long j, F f) const {
    for (long t = 0, n = turns(); t < n; ++t) turn<prefetch>(j, t, f);
  }

 private:
  // the lanes of the first n groups of a step
  static native::Mask first_groups(long n) {
    const auto group = []<int... lane>(std::integer_sequence<int, lane...>) {
      return native::Floats{static_cast<float>(group_in(lane))...};
    }
    (std::make_integer_sequence<int, native::lanes>{});
    return native::less(group, native::broadcast(static_cast<float>(n)));
  }

  const Block* columns_;
  long step_, blocks_, readable_;
  native::Mask within_[2];  // a turn's lanes: of one in the middle of a column, and of the last one
};

// the elements of a step, to the bit as the format defines them: scale * (digit - zero) + offset, each operation rounded; out: step_elements floats
template <class Block> WEFT_INLINE void expand(const Step& s, float* out) {
  using D = Digits<Block>;
  alignas(64) std::int8_t digit[8][sizeof(Bytes)];
  alignas(64) float scale[step_groups], scale_high[step_groups], offset[step_groups];
  unroll<4>([&](auto q) WEFT_FLAT {
    store_bytes(digit[2 * q], s.low[q] - static_cast<std::uint8_t>(D::zero));
    store_bytes(digit[2 * q + 1], s.high[q] - static_cast<std::uint8_t>(D::zero));
  });
  native::store(scale, s.scale);
  native::store(scale_high, D::group == 16 ? s.scale_high : s.scale);
  if constexpr (D::has_offset) native::store(offset, s.offset);
  for (int g = 0; g < step_groups; ++g)
    unroll<32 / native::lanes>([&](auto i) WEFT_FLAT {
      constexpr int half = i * native::lanes / 16, at = i * native::lanes % 16;
      native::Floats x =
          load_digits(digit[g / pieces * 2 + half] + g % pieces * 16 + at) * native::broadcast((half ? scale_high : scale)[lane_of(g)]);
      if constexpr (D::has_offset) x = x + native::broadcast(offset[lane_of(g)]);
      native::store(out + g * 32 + i * native::lanes, x);
    });
}
// turn t of column j; out: as many elements as a turn has
template <class Block> [[gnu::noinline]] void expand_turn(const BlockColumns<Block>& columns, long j, long t, float* out) {
  columns.turn(j, t,
               [&](const Step& s, long number) WEFT_FLAT { expand<Block>(s, out + number % Digits<Block>::turn_steps * step_elements); });
}
template <class Block> inline constexpr long turn_elements = Digits<Block>::turn_steps* step_elements;

}  // namespace detail

// A right panel (micro_pack.hpp) of the elements of ncols <= cols columns. Elements are rounded where bf16 panels cannot hold them.
template <class Element, BlockFormat Block> void pack_right_blocks(const Block* columns, long step, long k, int ncols, Element* panel) {
  using Kernel = MicroKernel<Element>;
  constexpr long turn = detail::turn_elements<Block>;
  const detail::BlockColumns<Block> source(columns, step, ncols, k);
  alignas(64) float expanded[Kernel::cols * turn];
  for (long t = 0; t < source.turns(); ++t) {
    for (int j = 0; j < ncols; ++j) detail::expand_turn(source, j, t, expanded + j * turn);
    const long n = k - t * turn < turn ? k - t * turn : turn;
    pack_right_rows<Element>(static_cast<const float*>(expanded), turn, n, ncols, panel + t * turn * Kernel::cols);
  }
}

}  // namespace weft::cpu
