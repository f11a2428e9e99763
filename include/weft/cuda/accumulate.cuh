// accumulate: rows that are added to rows of a tensor which an index names (the skeleton map, where its store accumulates). Rows may meet in one place:
// each place has a block of its own, which looks for its rows in ascending order; a thread adds up all of them in its columns.
#pragma once
#include <weft/cuda/complaint.cuh>
#include <weft/cuda/graph.cuh>

namespace weft::cuda {

template <class P, int k> struct AccumulateFacts {
  static constexpr auto& plan = trimmed_plan<P>;  // for facts only: device code cannot name it
  static constexpr int number = plan.kernel[k].segment[0].store[0];
  static constexpr Store store = plan.store[number];
  static constexpr Mask indexed = plan.node[store.index].axes;
  static constexpr short axis = Compiled<P>::table.leaf[store.leaf].axis[store.dimension];  // along which the places are
  struct Rows {
    static constexpr AxisList list = ordered(plan, indexed, plan.node[store.index]);
  };
  struct Columns {
    static constexpr AxisList list = ordered(plan, plan.kernel[k].segment[0].columns & ~indexed, store);
  };
  static constexpr int outer = Columns::list.count > 0 ? Columns::list.count - 1 : 0,
                       lane = Columns::list.count > 0 ? Columns::list.axis[outer] : -1;
  static constexpr int width = lane < 0 ? 1 : 16 / bytes_of(store.dtype);
  static_assert(!is_block(store.dtype), "rows in blocks cannot be added to");
  using A = StoreAccess<P, number>;
  static constexpr int warps = 8, threads = 32 * warps;
};

template <class P, int k, bool vectors> __global__ void __launch_bounds__(AccumulateFacts<P, k>::threads, 2)
    accumulate_kernel(const Binding<P> b, unsigned rows, long places, Complaint complaint) {
  using F = AccumulateFacts<P, k>;
  using A = typename F::A;
  using T = typename A::T;
  constexpr int width = F::width, lane = F::lane, index_node = F::store.index, root = F::store.node, dimension = F::store.dimension;
  __shared__ unsigned mine[F::threads], of_warp[F::warps];
  const unsigned warp = threadIdx.x / 32;
  const HoldsNothing nothing;
  Index<P> index;
  unsigned per_run = 1, pieces = 1, inner = 1;
  if constexpr (lane >= 0) {
    inner = static_cast<unsigned>(extent_of<P, lane>(b));
    per_run = (inner + width - 1) / width;
    pieces = static_cast<unsigned>(count_of<P, typename F::Columns, 0, F::outer>(b)) * per_run;
  }
  for (unsigned first = 0; first < rows; first += F::threads) {
    const unsigned row = first + threadIdx.x;
    bool is_mine = false;
    if (row < rows) {
      decode<P, typename F::Rows>(b, row, index);
      int asked = 0;
      const int place = checked_index(evaluate_one<index_node>(b, index, nothing), places, asked);
      if (place < 0 && blockIdx.x == 0) complaint.tell(row, asked);
      is_mine = place == static_cast<int>(blockIdx.x);
    }
    const unsigned votes = __ballot_sync(0xffffffffu, is_mine);
    if (threadIdx.x % 32 == 0) of_warp[warp] = static_cast<unsigned>(__popc(votes));
    __syncthreads();
    unsigned at = 0, found = 0;
    for (unsigned w = 0; w < F::warps; ++w) {
      if (w < warp) at += of_warp[w];
      found += of_warp[w];
    }
    if (is_mine) mine[at + static_cast<unsigned>(__popc(votes & ((1u << threadIdx.x % 32) - 1)))] = row;
    __syncthreads();
    for (unsigned piece = threadIdx.x; piece < pieces; piece += F::threads)
      for (unsigned i = 0; i < found; ++i) {
        decode<P, typename F::Rows>(b, mine[i], index);
        int n = 1;
        if constexpr (lane >= 0) {
          const unsigned begin = piece % per_run * width;
          decode<P, typename F::Columns, 0, F::outer>(b, piece / per_run, index);
          index.at[lane] = static_cast<int>(begin);
          n = static_cast<int>(inner - begin < width ? inner - begin : width);
        }
        const Point<P, lane, width, vectors && lane >= 0, HoldsNothing> here{b, index, nothing, n};
        T* to = A::data(b) + A::offset(b, index) + static_cast<long>(blockIdx.x) * b.view[A::leaf].stride[dimension];
        float sum[width], more[width];
        evaluate<root>(here, more);
        if constexpr (vectors && lane >= 0) {
          load_neighbours<T, width>(to, sum);
#pragma unroll
          for (int j = 0; j < width; ++j) sum[j] += more[j];
          store_neighbours<T, width>(to, sum);
        } else {
          const long step = A::template step<lane>(b);
#pragma unroll
          for (int j = 0; j < width; ++j)
            if (j < n) to[j * step] = rounded<T>(number(to[j * step]) + more[j]);
        }
      }
    __syncthreads();
  }
}

template <class P, int k> struct AccumulateKernel {
  using F = AccumulateFacts<P, k>;

  static std::size_t workspace(const Binding<P>&) { return 0; }
  static long choices(const Binding<P>& b) { return extent_of<P, F::axis>(b); }
  static std::string complaint(long row, long index, long count) {
    return std::string("operand ") + Compiled<P>::table.leaf[F::store.leaf].path.text + ": row " + std::to_string(row) +
           " is to be added at " + std::to_string(index) + " along axis " + trimmed_plan<P>.axis[F::axis].record.name + ", which has " +
           std::to_string(count);
  }
  static void run(const Binding<P>& b, std::byte*, cudaStream_t stream, const Complaint& complaint) {
    const auto rows = static_cast<unsigned>(count_of<P, typename F::Rows>(b));
    const long places = choices(b);
    if (rows == 0) return;
    const auto blocks = static_cast<unsigned>(places > 0 ? places : 1);  // one at least, to complain
    if constexpr (F::lane >= 0) {
      if (F::A::template is_aligned<F::lane, F::width>(b) && is_aligned_graph<P, F::store.node, F::lane, F::width, HoldsNothing>(b)) {
        accumulate_kernel<P, k, true><<<blocks, F::threads, 0, stream>>>(b, rows, places, complaint);
        return;
      }
    }
    accumulate_kernel<P, k, false><<<blocks, F::threads, 0, stream>>>(b, rows, places, complaint);
  }
};

}  // namespace weft::cuda
