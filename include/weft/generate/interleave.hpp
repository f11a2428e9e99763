// interleave: puts the rows of a matrix in blocks into panels (core/panels.hpp), by all threads of a pool.
#pragma once
#include <vector>

#include "weft/core/panels.hpp"
#include "weft/cpu/threads.hpp"

namespace weft {

// rows: a multiple of panel_rows. row(r): where row r lies, `row_bytes` bytes; `to` may be where they all lie, in order.
template <class Row> void interleave_rows(DType format, Row row, long rows, long row_bytes, std::byte* to, cpu::Threads& threads) {
  cpu::Tickets tickets;
  threads.run([&](int) {
    std::vector<std::byte> panel(static_cast<std::size_t>(panel_rows * row_bytes));
    for (long first = tickets.next() * panel_rows; first < rows; first = tickets.next() * panel_rows) {
      for (int c = 0; c < panel_rows; ++c) std::memcpy(panel.data() + c * row_bytes, row(first + c), static_cast<std::size_t>(row_bytes));
      with_block(format, [&](auto block) {
        using Block = decltype(block);
        Panel<Block>::interleave(panel.data(), row_bytes, row_bytes / static_cast<long>(sizeof(Block)), to + first * row_bytes);
      });
    }
  });
}

}  // namespace weft
