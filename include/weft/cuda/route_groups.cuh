// route_groups: the rows of a routed contraction by their groups, for many rows: a stable counting sort, the tiles of rows of each group, and, where
// rows are added up, in which order. One block of one launch makes it all; the host learns nothing of it.
//
// Each warp counts, and later places, a run of neighbouring rows, so that nothing depends on the order in which threads run.
#pragma once
#include <weft/cuda/route_facts.cuh>

namespace weft::cuda {

struct GroupTile {  // rows order[first] ... order[first + count - 1] of a group, whose tiles are [tiles_begin, tiles_begin + tiles)
  std::int32_t group, first, count, tiles_begin, tiles;
};

// in the workspace
struct Groups {
  std::int32_t *order, *start;   // the rows; where those of each group begin, and the end
  std::int32_t *group, *placed;  // of each row: its group or -1; where it is in `order`
  std::int32_t* addends;         // [output row][...]: where its rows are in `order`, in this order; -1: no more
  std::int32_t *counts, *tile_count;
  GroupTile* tiles;
};

template <class P, int k> struct GroupRows {
  using F = RouteFacts<P, k>;
  static constexpr int most_warps = 32;
  static constexpr long most_shared = 47 << 10;  // bytes of counts

  static int warps(const Binding<P>& b) {
    const long n = (F::row_count(b) + 31) / 32;
    return n < most_warps ? static_cast<int>(n) : most_warps;
  }
  static long count_bytes(const Binding<P>& b) { return warps(b) * F::groups(b) * 4; }
  // at most so many tiles of `tile_rows` rows
  static long most_tiles(const Binding<P>& b, int tile_rows) {
    const long rows = F::row_count(b), groups = F::groups(b);
    return rows / tile_rows + (groups < rows ? groups : rows);
  }
  // for tiles of `tile_rows` rows or more; next(bytes) gives memory
  template <class Next> static Groups place(const Binding<P>& b, int tile_rows, Next next) {
    const long rows = F::row_count(b), groups = F::groups(b);
    const auto numbers = [&](long n) { return reinterpret_cast<std::int32_t*>(next(n * 4)); };
    Groups to{};
    to.order = numbers(rows);
    to.start = numbers(groups + 1);
    to.group = numbers(rows);
    if constexpr (F::combines) {
      to.placed = numbers(rows);
      to.addends = numbers(rows);
    }
    if (count_bytes(b) > most_shared) to.counts = numbers(warps(b) * groups);
    to.tile_count = numbers(1);
    to.tiles = reinterpret_cast<GroupTile*>(next(most_tiles(b, tile_rows) * static_cast<long>(sizeof(GroupTile))));
    return to;
  }
  static void run(const Binding<P>& b, int tile_rows, const Groups& to, const Complaint& complaint, cudaStream_t stream);

  // ---- on the device, by all threads of a block
  template <class F_> WEFT_DEVICE static void each_row(const Binding<P>& b, F_ f) {  // of this warp; a warp takes 32 at a time
    const int count = static_cast<int>(F::row_count(b)), all = static_cast<int>(blockDim.x / 32), warp = static_cast<int>(threadIdx.x / 32);
    const int each = (count + 32 * all - 1) / (32 * all) * 32, first = warp * each, end = first + each < count ? first + each : count;
    for (int at = first; at < end; at += 32) {
      const int row = at + static_cast<int>(threadIdx.x % 32);
      f(row, row < end);
    }
  }
  // rows of each group that each warp has
  WEFT_DEVICE static void count(const Binding<P>& b, const Groups& to, std::int32_t* mine, const Complaint& complaint) {
    for (long e = threadIdx.x % 32; e < F::groups(b); e += 32) mine[e] = 0;
    __syncwarp();
    each_row(b, [&](int row, bool exists) {
      const int group = exists ? F::group_of(b, static_cast<unsigned>(row), complaint) : -1;
      if (exists) to.group[row] = group;
      const unsigned alike = __match_any_sync(0xffffffffu, group);
      if (group >= 0 && is_first_of(alike)) mine[group] += __popc(alike);
      __syncwarp();
    });
  }
  WEFT_DEVICE static bool is_first_of(unsigned lanes) {
    return static_cast<unsigned>(__ffs(static_cast<int>(lanes))) == threadIdx.x % 32 + 1;
  }
  // counts become what is before each warp's rows of the group; then groups are lined up, with the tiles that they make
  WEFT_DEVICE static void line_up(const Binding<P>& b, const Groups& to, std::int32_t* counts, int tile_rows) {
    __shared__ int warp_rows[most_warps], warp_tiles[most_warps];
    const int groups = static_cast<int>(F::groups(b)), warps = static_cast<int>(blockDim.x / 32), lane = static_cast<int>(threadIdx.x % 32),
              warp = static_cast<int>(threadIdx.x / 32);
    int rows_before = 0, tiles_before = 0;
    for (int first = 0; first < groups; first += static_cast<int>(blockDim.x)) {
      const int group = first + static_cast<int>(threadIdx.x);
      int rows = 0;
      if (group < groups)
        for (int w = 0; w < warps; ++w) {
          const int n = counts[w * groups + group];
          counts[w * groups + group] = rows;
          rows += n;
        }
      const int tiles = (rows + tile_rows - 1) / tile_rows;
      int rows_to = rows, tiles_to = tiles;  // sums up to this lane, with it
#pragma unroll
      for (int distance = 1; distance < 32; distance *= 2) {
        const int r = __shfl_up_sync(0xffffffffu, rows_to, distance), t = __shfl_up_sync(0xffffffffu, tiles_to, distance);
        if (lane >= distance) {
          rows_to += r;
          tiles_to += t;
        }
      }
      if (lane == 31) {
        warp_rows[warp] = rows_to;
        warp_tiles[warp] = tiles_to;
      }
      __syncthreads();
      int begin = rows_before + rows_to - rows, tiles_begin = tiles_before + tiles_to - tiles;
      for (int w = 0; w < warps; ++w) {
        begin += w < warp ? warp_rows[w] : 0;
        tiles_begin += w < warp ? warp_tiles[w] : 0;
        rows_before += warp_rows[w];
        tiles_before += warp_tiles[w];
      }
      __syncthreads();
      if (group < groups) to.start[group] = begin;
      for (int i = 0; i < tiles; ++i)
        to.tiles[tiles_begin + i] = {group, begin + i * tile_rows, rows - i * tile_rows < tile_rows ? rows - i * tile_rows : tile_rows,
                                     tiles_begin, tiles};
    }
    if (threadIdx.x == 0) {
      to.start[groups] = rows_before;
      *to.tile_count = tiles_before;
    }
    __syncthreads();
  }
  WEFT_DEVICE static void put(const Binding<P>& b, const Groups& to, std::int32_t* mine) {
    each_row(b, [&](int row, bool exists) {
      const int group = exists ? to.group[row] : -1;
      const unsigned alike = __match_any_sync(0xffffffffu, group);
      int place = -1;
      if (group >= 0) {
        place = to.start[group] + mine[group] + __popc(alike & ((1u << threadIdx.x % 32) - 1u));
        to.order[place] = row;
      }
      if constexpr (F::combines)
        if (exists) to.placed[row] = place;
      __syncwarp();
      if (group >= 0 && is_first_of(alike)) mine[group] += __popc(alike);
      __syncwarp();
    });
  }
  // the places of the rows that are added up, ascending
  WEFT_DEVICE static void line_up_addends(const Binding<P>& b, const Groups& to) {
    const int count = static_cast<int>(F::row_count(b)), each = static_cast<int>(count_of<P, typename F::Combined>(b));
    __syncthreads();
    for (int row = static_cast<int>(threadIdx.x); row < count; row += static_cast<int>(blockDim.x)) {
      const int first = row / each * each, place = to.placed[row];
      int before = 0;  // rows without a group come last
      for (int r = first; r < first + each; ++r) {
        const int other = to.placed[r];
        before += place < 0 ? other >= 0 || r < row : other >= 0 && other < place;
      }
      to.addends[first + before] = place;
    }
  }
};

template <class P, int k> __global__ void __launch_bounds__(32 * GroupRows<P, k>::most_warps)
    group_rows_kernel(const Binding<P> b, const Groups to, int tile_rows, const Complaint complaint) {
  extern __shared__ __align__(128) float shared[];
  using G = GroupRows<P, k>;
  std::int32_t* counts = to.counts ? to.counts : reinterpret_cast<std::int32_t*>(shared);
  std::int32_t* mine = counts + threadIdx.x / 32 * RouteFacts<P, k>::groups(b);
  G::count(b, to, mine, complaint);
  __syncthreads();
  G::line_up(b, to, counts, tile_rows);
  G::put(b, to, mine);
  if constexpr (RouteFacts<P, k>::combines) G::line_up_addends(b, to);
}

template <class P, int k>
void GroupRows<P, k>::run(const Binding<P>& b, int tile_rows, const Groups& to, const Complaint& complaint, cudaStream_t stream) {
  const std::size_t bytes = to.counts ? 0 : static_cast<std::size_t>(count_bytes(b));
  group_rows_kernel<P, k><<<1, static_cast<unsigned>(32 * warps(b)), bytes, stream>>>(b, to, tile_rows, complaint);
}

}  // namespace weft::cuda
