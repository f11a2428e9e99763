// contraction_many_facts: how the rows and columns of a contraction with many rows are shared out in tiles.
#pragma once
#include <weft/cuda/device.cuh>
#include <weft/cuda/epilogue.cuh>

namespace weft::cuda {

template <class P, int k> struct TileFacts {
  using F = ContractionFacts<P, k>;

  // columns of each contraction in a tile of segment g
  template <int g> static constexpr int columns = [] {
    using C = typename F::template Columns<g>;
    if (C::reduced) return static_cast<int>(round_up(C::chunk, 32));
    return C::contractions == 1 ? 128 : C::contractions == 2 ? 64 : 32;
  }();
  template <int g> static constexpr int all_columns = columns<g>* F::template Columns<g>::contractions;
  // how far the next tile is; where columns are reduced, a tile is one group of them
  template <int g> static constexpr long step = F::template Columns<g>::reduced ? F::template Columns<g>::chunk : columns<g>;
  template <int g> WEFT_BOTH static long tiles(const Binding<P>& b) {
    return (count_of<P, typename F::template Columns<g>>(b) + step<g> - 1) / step<g>;
  }
  template <template <int> class Value> static constexpr int largest = []<int... g>(std::integer_sequence<int, g...>) {
    int n = 0;
    for (const int c : {Value<g>::value...}) n = c > n ? c : n;
    return n;
  }
  (std::make_integer_sequence<int, F::segments>{});
  template <int g> struct ColumnsOf { static constexpr int value = columns<g>; };
  template <int g> struct AllColumnsOf { static constexpr int value = all_columns<g>; };
  static constexpr int widest = largest<AllColumnsOf>;

  // ---- The sums of up to 256 columns stay in registers, and then in shared memory. Of a wider tile, whose epilogue reduces over the
  // columns of several contractions, these are multiplied one after the other, and the sums wait in the workspace.
  static constexpr int most_columns = 256;
  static constexpr bool is_wide = widest > most_columns;
  static constexpr int widest_pass = is_wide ? largest<ColumnsOf> : widest;
  static_assert(widest_pass <= most_columns, "an epilogue reduces over at most 256 columns of a contraction");
  static constexpr int most_rows = !is_wide && widest <= 128 ? 128 : 64;

  // ---- contractions [first, last), which have their left operand in common, or whose sums are in registers together
  struct Run {
    int first, last, left;
  };
  struct Runs {
    Run run[6]{};
    int count = 0;
  };
  template <int g> static constexpr Runs passes = [] {
    Runs r;
    const int n = F::kernel.segment[g].contractions, each = is_wide ? 1 : n;
    for (int i = 0; i < n; i += each) r.run[r.count++] = {i, i + each, -1};
    return r;
  }();
  // those of pass p
  template <int g, int p> static constexpr Runs runs = [] {
    Runs r;
    const Segment& s = F::kernel.segment[g];
    for (int i = passes<g>.run[p].first; i < passes<g>.run[p].last; ++i) {
      if (r.count > 0 && r.run[r.count - 1].left == s.left_of[i])
        r.run[r.count - 1].last = i + 1;
      else
        r.run[r.count++] = {i, i + 1, s.left_of[i]};
    }
    return r;
  }();

  // ---- sums; after each row some floats of padding, so that rows begin in different banks
  static constexpr int padding = 8;
  template <int g> static constexpr int stride = all_columns<g> + padding;
  template <int g> struct RowValuesOf { static constexpr int value = RowValues<P, k, g>::count; };
  template <int rows> static constexpr int sum_bytes = rows*((is_wide ? 0 : widest + padding) + largest<RowValuesOf>)*4;
  // where values of rows are, in floats
  template <int rows, int g> static constexpr int values_at = is_wide ? 0 : rows* stride<g>;
  // of a tile whose sums are in the workspace
  static constexpr long floats_in_memory = is_wide ? static_cast<long>(most_rows) * (widest + padding) : 0;
  WEFT_DEVICE static long place_in_memory() {
    return ((static_cast<long>(blockIdx.z) * gridDim.x + blockIdx.x) * gridDim.y + blockIdx.y) * floats_in_memory;
  }
  // what an epilogue is told of a tile of rows and tile `number` of the columns of segment g
  template <int g> WEFT_DEVICE static Tile columns_of(const Binding<P>& b, const RowTile& tile, long number) {
    const long first = number * step<g>, left = count_of<P, typename F::template Columns<g>>(b) - first;
    return {tile.first, first, tile.count, static_cast<int>(left < step<g> ? left : step<g>), tile.order};
  }
  // f(g, number of a tile of segment g), of a number that counts through all segments
  template <class F_> WEFT_DEVICE static void with_columns(const Binding<P>& b, long number, F_ f) {
    unroll<F::segments>([&](auto g) {
      const long n = tiles<g>(b);
      if (number >= 0 && number < n) f(g, number);
      number -= n;
    });
  }
  // the tile of this block, where blocks are tiles of rows, of columns, and batches: f(g, rows, number of a tile of segment g, index at the batch)
  template <int rows, class F_> WEFT_DEVICE static void with_tile(const Binding<P>& b, F_ f) {
    const long first = static_cast<long>(blockIdx.x) * rows, left = count_of<P, typename F::Rows>(b) - first;
    with_columns(b, blockIdx.y, [&](auto g, long number) {
      Index<P> index;
      decode<P, typename F::Batch>(b, blockIdx.z, index);
      f(g, RowTile{first, static_cast<int>(left < rows ? left : rows)}, number, index);
    });
  }
};

template <int bytes, class Kernel> void ask_for_shared_memory(Kernel kernel) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
        "asking for " + std::to_string(bytes) + " bytes of shared memory");
}

template <class P, int k> struct TileLaunch {
  using T = TileFacts<P, k>;
  using F = typename T::F;
  static long tiles(const Binding<P>& b) {
    long n = 0;
    unroll<F::segments>([&](auto g) { n += T::template tiles<g>(b); });
    return n;
  }
  static long row_tiles(const Binding<P>& b, int rows) { return (count_of<P, typename F::Rows>(b) + rows - 1) / rows; }
  static long bytes_in_memory(const Binding<P>& b) {
    return count_of<P, typename F::Batch>(b) * row_tiles(b, T::most_rows) * tiles(b) * T::floats_in_memory * 4;
  }
  // f(Int<rows of a tile>, grid, a bit for each segment: whether its columns are stored some at a time)
  template <class F_> static void run(const Binding<P>& b, F_ f) {
    unsigned vectors = 0;
    unroll<F::segments>([&](auto g) { vectors |= Epilogue<P, k, g>::is_aligned(b) ? 1u << g : 0u; });
    const auto with = [&](auto rows) {
      const dim3 grid(static_cast<unsigned>(row_tiles(b, rows)), static_cast<unsigned>(tiles(b)),
                      static_cast<unsigned>(count_of<P, typename F::Batch>(b)));
      if (grid.x * grid.y * grid.z > 0) f(rows, grid, vectors);
    };
    if constexpr (T::most_rows == 128) {  // smaller tiles where large ones are too few for all multiprocessors of a large device
      if (count_of<P, typename F::Rows>(b) > 64 && row_tiles(b, 128) * tiles(b) * count_of<P, typename F::Batch>(b) >= 128) {
        with(Int<128>{});
        return;
      }
    }
    with(Int<64>{});
  }
};

}  // namespace weft::cuda
