// panel_pack: what the micro-kernels of many rows (micro_kernel.hpp) make of columns in blocks: panels of their elements for the formats
// that multiply numbers, and MicroKernel<digits>, which multiplies whole numbers and reads weights where they lie in panels of their own
// (core/panels.hpp).
#pragma once
#include "block_elements.hpp"
#include "micro_pack.hpp"
#include "panel_products.hpp"

namespace weft::cpu {

// A right panel (micro_pack.hpp) of the elements of ncols <= cols columns from `at` on. Elements are rounded where bf16 panels cannot hold
// them.
template <class Element, BlockFormat Block> void pack_right_blocks(const BlockColumns<Block>& columns, long at, int ncols, Element* panel) {
  using Kernel = MicroKernel<Element>;
  using D = detail::PanelDigits<Block>;
  constexpr int depth = Kernel::depth, cols = Kernel::cols, width = std::min(cols, panel_rows), lanes = Packet::lanes;
  if (ncols < cols) std::memset(static_cast<void*>(panel), 0, static_cast<std::size_t>(Kernel::right_size(columns.k)) * sizeof(Element));
  for (int first = 0; first < ncols; first += width) {
    const int n = std::min(ncols - first, width);
    columns.for_parts(at + first, n, [&](const std::byte* record, int column, long from, long blocks) {
      Element* out = panel + from * BlockColumns<Block>::size * cols + first * depth;
      for (long b = 0; b < blocks; ++b, record += Panel<Block>::record)
        for (int g = 0; g < D::groups; ++g, out += 32 * cols)
          for (int c = 0; c < n; c += lanes) {
            const D w(record, column + c, g);
            unroll<8>([&](auto quad) WEFT_FLAT {
              native::Floats x[4];
              detail::expand_quad<Block, quad>(w, x);
              unroll<4>([&](auto e) WEFT_FLAT { x[e] = native::blend(native::first(n - c), x[e], native::broadcast(0.f)); });
              Element* to = out + 4 * quad * cols + c * depth;
              if constexpr (depth == 1) {
                unroll<4>([&](auto e) WEFT_FLAT { store(to + e * cols, Packet(x[e])); });
              } else {
                static_assert(depth == 2);
                unroll<2>([&](auto e) WEFT_FLAT { detail::store_pairs(x[2 * e], x[2 * e + 1], to + 2 * e * cols); });
              }
            });
          }
    });
  }
}

template <> struct MicroKernel<digits> {
  static constexpr int rows = MicroKernel<float>::rows, cols = MicroKernel<float>::cols;

  // Left panels: [k / 32][rows] groups. Right panels: a header that says where the columns lie in panels of weights, and room for such
  // where they do not.
  static constexpr long left_size(long k) { return left_bytes(k); }  // bytes are the elements of these panels
  static constexpr long right_size(long k) { return right_bytes(k); }
  static constexpr long left_bytes(long k) { return k / DigitGroup::elements * rows * static_cast<long>(sizeof(DigitGroup)); }
  static constexpr long right_bytes(long k) { return 64 + parts * part_bytes(k); }

  // At least the first n rows, 1 <= n <= rows, as MicroKernel<Element>::tile; columns that the right panel does not have are left alone
  static void tile(int n, const std::byte* left, const std::byte* right, long k, float* c, long ldc, bool accumulate, Ahead ahead = {}) {
    const auto& header = *reinterpret_cast<const Header*>(right);
    header.tile(header, n, reinterpret_cast<const DigitGroup*>(left), k, c, ldc, accumulate, ahead);
  }
  // quantises a row into row r of a panel
  static void pack_left_row(const float* row, long k, int r, std::byte* panel) {
    quantize_row_digits(row, k, reinterpret_cast<DigitGroup*>(panel) + r, rows);
  }
  // ncols <= cols columns from `at` on
  template <BlockFormat Block> static void pack_right(const BlockColumns<Block>& columns, long at, int ncols, std::byte* panel) {
    auto& header = *reinterpret_cast<Header*>(panel);
    header.tile = &tile_of<Block>;
    header.columns = ncols;
    for (int p = 0; p < parts && p * panel_rows < ncols; ++p) {
      const long first = at + p * panel_rows;
      const int n = std::min(ncols - p * panel_rows, panel_rows);
      if (columns.in_panel(first, n)) {
        header.panel[p] = columns.column(first).record();
        header.column[p] = columns.column(first).column();
      } else {
        std::byte* room = panel + 64 + p * part_bytes(columns.k);
        columns.copy(first, n, 0, columns.blocks(), room);
        header.panel[p] = room;
        header.column[p] = 0;
      }
    }
  }

 private:
  static constexpr int parts = (cols + panel_rows - 1) / panel_rows;
  struct Header {
    void (*tile)(const Header&, int, const DigitGroup*, long, float*, long, bool, Ahead);
    const std::byte* panel[parts];
    int column[parts], columns;
  };
  static_assert(sizeof(Header) <= 64);
  // of 16 columns in the format with the largest blocks
  static constexpr long part_bytes(long k) { return (k / 32 * Panel<q8_0>::record + 63) / 64 * 64; }

  // k of a pass: what it reads of rows and of 16 columns stays in the first-level cache
  static constexpr long most_k = 512;
  template <BlockFormat Block>
  static void tile_of(const Header& header, int n, const DigitGroup* left, long k, float* c, long ldc, bool accumulate, Ahead ahead) {
    constexpr long size = block_elements(dtype_of<Block>);
    const long passes = (k + most_k - 1) / most_k, blocks = (k / size + passes - 1) / passes, ahead_step = ahead.bytes / passes;
    const char* next = static_cast<const char*>(ahead.first);
    for (long first_block = 0; first_block < k / size; first_block += blocks, next += ahead_step) {
      for (long at = 0; at < ahead_step; at += 64) __builtin_prefetch(next + at, 0, 2);
      const long count = std::min(blocks, k / size - first_block);
      const bool goes_on = accumulate || first_block > 0;
      const DigitGroup* group = left + first_block * (size / DigitGroup::elements) * rows;
      const auto panel = [&](int p) { return header.panel[p] + first_block * Panel<Block>::record; };
      int done = 0;  // rows
      if constexpr (multiplies_two_panels)
        if (header.columns == cols)
          for (constexpr int R = rows_times_two_panels; n - done > 4; done += R)
            panel_products_of_two<Block, R>(group + done, rows, panel(0), panel(1), count, c + done * ldc, ldc, goes_on);
      for (int p = 0; p * panel_rows < header.columns; ++p)
        in_groups_of_rows(n - done, [&](int first, auto R) {
          panel_products<Block, R>(group + done + first, rows, panel(p), header.column[p],
                                   std::min(header.columns - p * panel_rows, panel_rows), count, c + (done + first) * ldc + p * panel_rows,
                                   ldc, goes_on);
        });
    }
  }
};

}  // namespace weft::cpu
