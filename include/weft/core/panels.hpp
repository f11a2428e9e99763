// panels: a second layout of matrices in blocks, in which kernels find 16 rows side by side. 16 neighbouring rows are a panel; of each 16
// blocks that stand at the same place of these rows the bytes are put into another order: a block is taken for a sequence of units, 4 bytes
// each and one of 2 where sizeof(Block) is no multiple of 4 (an f16), and the unit of s bytes at offset o of the block of row c lies at
// byte 16 o + s c. Such 16 blocks follow each other along the row. So a panel has the bytes of its rows, and begins where its first row
// would.
#pragma once
#include <weft/core/blocks.hpp>

#include <cstddef>
#include <cstring>
#include <utility>

namespace weft {

inline constexpr int panel_rows = 16;

template <BlockFormat Block> struct Panel {
  static constexpr long record = panel_rows * static_cast<long>(sizeof(Block));  // the bytes of 16 blocks

  static constexpr bool has_short_unit = sizeof(Block) % 4 == 2;
  static constexpr int short_unit = offsetof(Block, d);  // its offset
  static constexpr int first_word = has_short_unit && short_unit == 0 ? 2 : 0, words = sizeof(Block) / 4;
  static_assert(!has_short_unit || short_unit == 0 || short_unit == 4 * words);
  static constexpr long word(int i) { return panel_rows * (first_word + 4L * i); }  // where unit i of 4 bytes lies in a record

  // the block of row c to and from its record
  static void put(const void* block, int c, std::byte* to) {
    const auto* from = static_cast<const std::byte*>(block);
    if constexpr (has_short_unit) std::memcpy(to + panel_rows * short_unit + 2 * c, from + short_unit, 2);
    each_word([&](auto i) { std::memcpy(to + word(i) + 4 * c, from + first_word + 4 * i, 4); });
  }
  static Block take(const std::byte* from, int c) {
    Block block;
    auto* to = reinterpret_cast<std::byte*>(&block);
    if constexpr (has_short_unit) std::memcpy(to + short_unit, from + panel_rows * short_unit + 2 * c, 2);
    each_word([&](auto i) { std::memcpy(to + first_word + 4 * i, from + word(i) + 4 * c, 4); });
    return block;
  }
  // a whole panel from 16 rows of `blocks` blocks, `step` bytes apart
  static void interleave(const std::byte* rows, long step, long blocks, std::byte* panel) {
    for (long b = 0; b < blocks; ++b, rows += sizeof(Block), panel += record)
      for (int c = 0; c < panel_rows; ++c) put(rows + c * step, c, panel);
  }

 private:
  template <class F> static void each_word(F f) {
    [&]<int... i>(std::integer_sequence<int, i...>) { (f(std::integral_constant<int, i>{}), ...); }
    (std::make_integer_sequence<int, words>{});
  }
};

}  // namespace weft
