// block_elements: elements of tensors in blocks, whichever way their rows lie (one after the other, or in panels: core/panels.hpp): as
// packets along a row, and as the columns of contractions.
#pragma once
#include <weft/core/panels.hpp>
#include <weft/cpu/block_load.hpp>

#include <algorithm>

namespace weft::cpu {

// An element, counted from the beginning of the tensor. panel_row: the elements of a row where rows lie in panels, else 0
template <class Block> struct BlockElements {
  static constexpr long size = block_elements(dtype_of<Block>);
  const std::byte* blocks;
  long panel_row, first = 0;

  WEFT_INLINE BlockElements operator+(long n) const { return {blocks, panel_row, first + n}; }
  // in panels: the record of the block, and which of its 16 blocks it is
  WEFT_INLINE const std::byte* record() const {
    return blocks + (first / panel_row / panel_rows * (panel_row / size) + first % panel_row / size) * Panel<Block>::record;
  }
  WEFT_INLINE int column() const { return static_cast<int>(first / panel_row % panel_rows); }
  WEFT_INLINE const std::byte* block() const { return blocks + first / size * static_cast<long>(sizeof(Block)); }
};
struct AnyBlockElements {
  const std::byte* blocks;
  DType format;
  long panel_row, first = 0;
  WEFT_INLINE AnyBlockElements operator+(long n) const { return {blocks, format, panel_row, first + n}; }
  template <class Block> WEFT_INLINE BlockElements<Block> in() const { return {blocks, panel_row, first}; }
};

// n elements along a step, the other lanes 0; one element
template <class Block> Packet load_along(BlockElements<Block> p, long step, long n) {
  constexpr long size = BlockElements<Block>::size;
  if (n > Packet::lanes) n = Packet::lanes;
  if (step == 1 && p.panel_row == 0) return load_block(reinterpret_cast<const Block*>(p.blocks), p.first, n);
  alignas(64) float picked[Packet::lanes] = {};
  for (long i = 0, count; i < n; i += count) {
    const BlockElements<Block> here = p + i * step;
    const long at = here.first % size;
    count = step == 1 ? std::min(n - i, size - at) : 1;
    if (p.panel_row > 0) {
      const Block block = Panel<Block>::take(here.record(), here.column());
      store(picked + i, load_block(&block, at, count), count);
    } else {
      store(picked + i, load_block(reinterpret_cast<const Block*>(here.block()), at, count), count);
    }
  }
  return load(picked);
}
inline Packet load_along(AnyBlockElements p, long step, long n) {
  return with_block(p.format, [&](auto block) { return load_along(p.in<decltype(block)>(), step, n); });
}
template <class Block> float element_at(BlockElements<Block> p) { return load_along(p, 1, 1).v[0]; }
inline float element_at(AnyBlockElements p) { return load_along(p, 1, 1).v[0]; }

// Columns `step` elements apart, of k neighbouring elements each, whole blocks.
template <class Block> struct BlockColumns {
  static constexpr long size = BlockElements<Block>::size;
  BlockElements<Block> first;
  long step, k;

  long blocks() const { return k / size; }
  BlockElements<Block> column(long j) const { return first + j * step; }
  // are columns [j, j + n) neighbours in one panel, from a packet's boundary on?
  bool in_panel(long j, int n) const {
    if (first.panel_row == 0 || (n > 1 && step != first.panel_row)) return false;
    const int c = column(j).column();
    return c % native::lanes == 0 && c + n <= panel_rows;
  }
  // makes a panel of columns [j, j + n), n <= 16, out of blocks [from, to) of each; the other columns are zeros
  void copy(long j, int n, long from, long to, std::byte* panel) const {
    if (n < panel_rows) std::memset(panel, 0, static_cast<std::size_t>((to - from) * Panel<Block>::record));
    for (int c = 0; c < n; ++c) {
      const BlockElements<Block> e = column(j + c);
      std::byte* out = panel;
      if (first.panel_row > 0) {
        const std::byte* record = e.record() + from * Panel<Block>::record;
        for (long b = from; b < to; ++b, record += Panel<Block>::record, out += Panel<Block>::record) {
          const Block block = Panel<Block>::take(record, e.column());
          Panel<Block>::put(&block, c, out);
        }
      } else {
        const std::byte* block = e.block() + from * static_cast<long>(sizeof(Block));
        for (long b = from; b < to; ++b, block += sizeof(Block), out += Panel<Block>::record) Panel<Block>::put(block, c, out);
      }
    }
  }
  // f(panel, column in the panel, first block, blocks) for all blocks of columns [j, j + n), n <= 16: at once where they lie in a panel,
  // else part by part as each is put into one
  template <class F> void for_parts(long j, int n, F f) const {
    if (in_panel(j, n)) return f(column(j).record(), column(j).column(), 0L, blocks());
    constexpr long most = std::max(512 / size, 1L);
    alignas(64) std::byte panel[most * Panel<Block>::record];
    for (long from = 0; from < blocks(); from += most) {
      const long to = std::min(from + most, blocks());
      copy(j, n, from, to, panel);
      f(static_cast<const std::byte*>(panel), 0, from, to - from);
    }
  }
};

}  // namespace weft::cpu
