// route_many: the skeleton route where there are many rows. They are sorted by group (route_groups.cuh); then as many blocks as the device holds take
// tiles one after the other, group by group: rows of the group by columns of its right operands, multiplied as where nothing is routed
// (contraction_many.cuh, contraction_blocks.cuh). A group without rows has no tiles, so its operands are not read.
//
// Where rows are added up, the summands of a tile go into the workspace, and a second kernel adds them up, in the order of the groups: so all tiles are
// independent, and no sum waits for another.
#pragma once
#include <weft/cuda/contraction_blocks.cuh>
#include <weft/cuda/contraction_many.cuh>
#include <weft/cuda/route_groups.cuh>

namespace weft::cuda {

// left operands in blocks' order (fragments.cuh), tile by tile
template <class P, int k> struct ListedFragments : Fragments<P, k, 0> {
  const GroupTile* tiles;
  const std::int32_t *order, *tile_count;
  int tile_rows;
  WEFT_DEVICE ListedFragments at_row(unsigned number) const {
    return {Fragments<P, k, 0>::at_row(number), tiles, order, tile_count, tile_rows};
  }
  WEFT_DEVICE int listed(unsigned number) const {
    const int tile = static_cast<int>(number) / tile_rows, row = static_cast<int>(number) % tile_rows;
    if (tile >= *tile_count || row >= tiles[tile].count) return -1;
    return order[tiles[tile].first + row];
  }
};

template <class P, int k> struct ManyRoutes {
  using F = RouteFacts<P, k>;
  using M = std::conditional_t<F::all_in_blocks, BlockFacts<P, k>, ManyFacts<P, k>>;
  using S = Staging<P, k>;
  struct Places {  // in the workspace
    Groups groups;
    typename S::Places staged;                 // operands that are not in blocks
    typename BlockFacts<P, k>::Places blocks;  // left rows of those that are
    float* summands[6]{};                      // of each segment: [place in the order of groups][column]
    float* wide = nullptr;                     // sums of wide tiles
  };
  WEFT_BOTH static long column_tiles(const Binding<P>& b) {
    long n = 0;
    unroll<F::segments>([&](auto g) { n += M::template tiles<g>(b); });
    return n;
  }

  // What a block works at. It lies in shared memory, for while the sums of a tile are in registers there is no room for anything else.
  struct Work {
    long number, column_tile;
    std::int32_t segment, tile;  // which tile of rows; -1: there is no more work
    GroupTile rows;
    // of a group, tiles of rows that have the same columns follow each other
    WEFT_DEVICE void begin(const Binding<P>& b, const Groups& groups, long number_) {
      const long columns = column_tiles(b);
      number = number_;
      tile = -1;
      if (number >= *groups.tile_count * columns) return;
      const GroupTile some = groups.tiles[number / columns];
      const long in_group = number - some.tiles_begin * columns;
      tile = some.tiles_begin + static_cast<std::int32_t>(in_group % some.tiles);
      rows = groups.tiles[tile];
      M::with_columns(b, in_group / some.tiles, [&](auto g, long n) {
        segment = g;
        column_tile = n;
      });
    }
    WEFT_DEVICE RowTile row_tile(const Groups& groups) const { return {rows.first, rows.count, groups.order, rows.group}; }
  };

  template <int rows, int g>
  WEFT_DEVICE static void tile(const Binding<P>& b, const Places& places, const Work& work, float* shared, unsigned vectors) {
    Index<P> index;
    float* wide = places.wide + static_cast<long>(blockIdx.x) * M::floats_in_memory;
    Accumulators sums;
    if constexpr (F::all_in_blocks)
      sums = BlockRows<P, k, rows>::template products<g>(b, places.blocks, index, work.row_tile(places.groups),
                                                         work.tile * (rows / fragment_rows), work.column_tile, shared, wide);
    else
      sums = ManyRows<P, k, rows>::template products<g>(b, places.staged, index, work.row_tile(places.groups), work.column_tile, 0, shared,
                                                        wide);
    const Tile to = M::template columns_of<g>(b, work.row_tile(places.groups), work.column_tile);
    if constexpr (F::combines) {
      const long columns = count_of<P, typename F::template Columns<g>>(b);
      float* summands = places.summands[g] + to.first_row * columns + to.first_column;
      RowSummand<P, k, g>::each(b, index, to, sums, [&](int r, int c, float x) { summands[r * columns + c] = x; });
    } else {
      Epilogue<P, k, g>::run(b, index, to, sums, shared + M::template values_at<rows, g>, vectors >> g & 1u);
    }
  }
};

// held: blocks that one multiprocessor holds
template <class P, int k, int rows, int held> __global__ void __launch_bounds__(2 * rows, held)
    many_routes_kernel(const Binding<P> b, const typename ManyRoutes<P, k>::Places places, unsigned vectors) {
  extern __shared__ __align__(128) float shared[];
  using R = ManyRoutes<P, k>;
  __shared__ typename R::Work work;
  if (threadIdx.x == 0) work.begin(b, places.groups, blockIdx.x);
  __syncthreads();
  while (work.tile >= 0) {
    unroll<R::F::segments>([&](auto g) {
      if (work.segment == g) R::template tile<rows, g>(b, places, work, shared, vectors);
    });
    __syncthreads();  // all are done with what is in shared memory
    if (threadIdx.x == 0) work.begin(b, places.groups, work.number + gridDim.x);
    __syncthreads();
  }
}

// ---- rows are added up: a block has some output rows and a tile of columns
template <class P, int k> struct CombinedRows {
  using R = ManyRoutes<P, k>;
  using F = typename R::F;
  static constexpr int rows = 8, threads = 256;
  template <int g> struct FloatsOf {
    static constexpr int value = rows * (static_cast<int>(R::M::template step<g>) + RowValues<P, k, g>::count);
  };
  static constexpr int floats = R::M::template largest<FloatsOf>;

  template <int g>
  WEFT_DEVICE static void tile(const Binding<P>& b, const typename R::Places& places, long number, float* shared, unsigned vectors) {
    constexpr int step = static_cast<int>(R::M::template step<g>);
    const long first_output = static_cast<long>(blockIdx.x) * rows, left = F::output_count(b) - first_output,
               all_columns = count_of<P, typename F::template Columns<g>>(b);
    const Tile to = R::M::template columns_of<g>(b, {first_output, static_cast<int>(left < rows ? left : rows)}, number);
    const int each = static_cast<int>(count_of<P, typename F::Combined>(b));
    for (int e = static_cast<int>(threadIdx.x); e < to.rows * step; e += threads) {
      const int c = e % step;
      if (c >= to.columns) continue;
      const std::int32_t* addend = places.groups.addends + (first_output + e / step) * each;
      float sum = 0;
      for (int i = 0; i < each && addend[i] >= 0; ++i) sum += places.summands[g][addend[i] * all_columns + to.first_column + c];
      shared[e] = sum;
    }
    __syncthreads();
    Index<P> index;
    Epilogue<P, k, g>::run(b, index, to, {shared, step, step}, shared + rows * step, vectors);
  }
};
template <class P, int k> __global__ void __launch_bounds__(CombinedRows<P, k>::threads)
    combine_rows_kernel(const Binding<P> b, const typename ManyRoutes<P, k>::Places places, unsigned vectors) {
  using C = CombinedRows<P, k>;
  __shared__ __align__(128) float shared[C::floats];
  C::R::M::with_columns(b, blockIdx.y, [&](auto g, long n) { C::template tile<g>(b, places, n, shared, vectors >> g & 1u); });
}

template <class P, int k> struct RouteOfManyRows {
  using R = ManyRoutes<P, k>;
  using F = typename R::F;
  using M = typename R::M;

  static std::size_t workspace(const Binding<P>& b) {
    long used = 0;
    place(b, nullptr, used);
    return static_cast<std::size_t>(used);
  }
  static void run(const Binding<P>& b, std::byte* memory, cudaStream_t stream, const Complaint& complaint) {
    long used = 0;
    const auto places = place(b, memory, used);
    GroupRows<P, k>::run(b, tile_rows(b), places.groups, complaint, stream);
    if constexpr (F::all_in_blocks)
      stage_fragments(b, places, stream);
    else
      S::run(b, places.staged, stream, places.groups.start);
    unsigned vectors = 0;
    unroll<F::segments>([&](auto g) { vectors |= Epilogue<P, k, g>::is_aligned(b) ? 1u << g : 0u; });
    with_rows(b, [&](auto tile_rows) {
      constexpr int rows = tile_rows;
      ask_for_shared_memory<bytes_of_tile<rows>>(kernel<rows>);
      kernel<rows><<<static_cast<unsigned>(blocks<rows>(b)), 2 * rows, bytes_of_tile<rows>, stream>>>(b, places, vectors);
    });
    if constexpr (F::combines) {
      using C = CombinedRows<P, k>;
      const dim3 grid(static_cast<unsigned>((F::output_count(b) + C::rows - 1) / C::rows), static_cast<unsigned>(R::column_tiles(b)));
      combine_rows_kernel<P, k><<<grid, C::threads, 0, stream>>>(b, places, vectors);
    }
  }

 private:
  using S = Staging<P, k>;
  // Rows from anywhere take more registers than rows side by side: what is added up, or multiplied in f32, has small tiles only.
  static constexpr bool in_f32 = !F::all_in_blocks && !F::on_tensor_cores, has_large_tiles = M::most_rows == 128 && !F::combines && !in_f32;
  template <int rows> static constexpr auto kernel = many_routes_kernel<P, k, rows, in_f32 ? 2 : M::template blocks_at_once<rows>>;
  template <int rows> static constexpr int bytes_of_tile = M::template shared_bytes<rows>;

  // larger tiles where groups fill them
  static int tile_rows(const Binding<P>& b) { return has_large_tiles && F::row_count(b) >= 128 * F::groups(b) ? 128 : 64; }
  template <class F_> static void with_rows(const Binding<P>& b, F_ f) {
    if constexpr (has_large_tiles) {
      if (tile_rows(b) == 128) {
        f(Int<128>{});
        return;
      }
    }
    f(Int<64>{});
  }
  // as many as the device holds, and no more than there can be tiles
  template <int rows> static long blocks(const Binding<P>& b) {
    static const long held = [] {
      int device = 0, processors = 0, each = 0;
      check(cudaGetDevice(&device), "asking for the current device");
      check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "asking what the device is");
      ask_for_shared_memory<bytes_of_tile<rows>>(kernel<rows>);
      check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel<rows>, 2 * rows, bytes_of_tile<rows>),
            "asking how many blocks the device holds");
      return static_cast<long>(processors) * (each > 0 ? each : 1);
    }();
    const long most = GroupRows<P, k>::most_tiles(b, rows) * R::column_tiles(b);
    return most < held ? most : held;
  }
  static typename R::Places place(const Binding<P>& b, std::byte* memory, long& used) {
    const auto next = [&](long bytes) { return memory + std::exchange(used, used + round_up(bytes, 256)); };
    typename R::Places p;
    p.groups = GroupRows<P, k>::place(b, 64, next);  // fewer rows may have smaller tiles, and more of them
    if constexpr (F::all_in_blocks)
      p.blocks.left[0] = next(fragment_count(b) * fragment_size(b));
    else
      p.staged = S::places(b, next);
    if constexpr (F::combines)
      unroll<F::segments>([&](auto g) {
        p.summands[g] = reinterpret_cast<float*>(next(F::row_count(b) * count_of<P, typename F::template Columns<g>>(b) * 4));
      });
    if constexpr (M::is_wide)
      with_rows(b, [&](auto rows) { p.wide = reinterpret_cast<float*>(next(blocks<rows>(b) * M::floats_in_memory * 4)); });
    return p;
  }

  // ---- fragments: 16 rows each
  using Left = Fragments<P, k, 0>;
  static long fragment_count(const Binding<P>& b) { return GroupRows<P, k>::most_tiles(b, tile_rows(b)) * (tile_rows(b) / fragment_rows); }
  static long fragment_size(const Binding<P>& b) { return Left::groups(b) * Left::record_bytes; }
  static void stage_fragments(const Binding<P>& b, const typename R::Places& p, cudaStream_t stream) {
    unroll<F::segments>([&](auto g) {
      unroll<F::template Columns<g>::contractions>([&](auto i) {
        using O = typename F::template Operands<g, i>;
        expect_blocks_along<P, O::right, typename F::template Left<O::left>::Depth>(b);
      });
    });
    Left::expect_whole_groups(b);
    const long count = fragment_count(b);
    check(cudaMemsetAsync(p.blocks.left[0], 0, static_cast<std::size_t>(count * fragment_size(b)), stream), "clearing rows");
    const long slots = count * fragment_rows;
    const ListedFragments<P, k> task{
        {p.blocks.left[0], slots, fragment_size(b), 0}, p.groups.tiles, p.groups.order, p.groups.tile_count, tile_rows(b)};
    RowLaunch<ListedFragments<P, k>>::run(b, task, slots, stream);
  }
};

}  // namespace weft::cuda
