// row: the skeletons map and row. A row with its reductions belongs to a warp or a block (row_body.cuh); a map has no reductions, each
// thread takes some neighbours.
#pragma once
#include <weft/cuda/row_body.cuh>

namespace weft::cuda {

// the rows of kernel k, whose values are stored
template <class P_, int k> struct StoredRow {
  using P = P_;
  static constexpr Kernel kernel = trimmed_plan<P>.kernel[k];
  static constexpr Segment segment = kernel.segment[0];
  static constexpr bool is_map = kernel.skeleton == Skeleton::map;
  static constexpr NodeList statistics = [] {
    NodeList l;
    for (int i = 0; i < kernel.statistics; ++i) l.add(kernel.statistic[i]);
    return l;
  }();
  static constexpr AxisList columns = ordered(trimmed_plan<P>, segment.columns, trimmed_plan<P>.store[segment.store[0]]);
  static constexpr AxisList rows = ordered(trimmed_plan<P>, is_map ? Mask{0} : kernel.rows, trimmed_plan<P>.store[segment.store[0]]);
  static constexpr NodeList roots = [] {
    NodeList l;
    for (int s = 0; s < segment.stores; ++s) l.add(trimmed_plan<P>.store[segment.store[s]].node);
    return l;
  }();
  template <int s> static constexpr int root_of = roots.find(trimmed_plan<P>.store[segment.store[s]].node);

  WEFT_DEVICE const StoredRow& at_row(unsigned) const { return *this; }
  template <class Point, int width> WEFT_DEVICE void put(const Point& p, unsigned, const float (&v)[roots.count][width]) const {
    unroll<segment.stores>([&](auto s) { write<P, segment.store[s]>(p, v[root_of<s>]); });
  }
  template <int lane, int width> static bool is_aligned(const Binding<P>& b) {
    bool aligned = true;
    unroll<segment.stores>([&](auto s) { aligned = is_aligned_store<P, segment.store[s], lane, width>(b) && aligned; });
    return aligned;
  }
};

template <class P, int k, bool vectors> __global__ void map_kernel(const Binding<P> b, unsigned count) {
  using Task = StoredRow<P, k>;
  using F = RowFacts<Task>;
  using Pass = typename F::template Pass<0>;
  const unsigned v = blockIdx.x * blockDim.x + threadIdx.x;
  if (v >= count) return;
  Index<P> index;
  const HoldsNothing nothing;
  int n = 1;
  if constexpr (Pass::lane >= 0) {
    const unsigned inner = static_cast<unsigned>(extent_of<P, Pass::lane>(b)), per_run = (inner + F::width - 1) / F::width,
                   first = v % per_run * F::width;
    decode<P, Pass, 0, Pass::list.count - 1>(b, v / per_run, index);
    index.at[Pass::lane] = static_cast<int>(first);
    n = static_cast<int>(inner - first < F::width ? inner - first : F::width);
  }
  constexpr int width = Pass::lane >= 0 ? F::width : 1;
  const Point<P, Pass::lane, width, vectors && (Pass::lane >= 0), HoldsNothing> here{b, index, nothing, n};
  float value[Task::roots.count][width];
  unroll<Task::roots.count>([&](auto i) { evaluate<Task::roots.node[i]>(here, value[i]); });
  Task{}.put(here, 0, value);
}

template <class P, int k> struct RowKernel {
  using Task = StoredRow<P, k>;
  using Launch = RowLaunch<Task>;

  static std::size_t workspace(const Binding<P>&) { return 0; }
  static void run(const Binding<P>& b, std::byte*, cudaStream_t stream) {
    if constexpr (Task::is_map)
      run_map(b, stream);
    else
      Launch::run(b, Task{}, stream);
  }

 private:
  static void run_map(const Binding<P>& b, cudaStream_t stream) {
    const long count = Launch::template vectors_of_pass<0>(b);
    if (count == 0) return;
    constexpr int threads = 256;
    const auto blocks = static_cast<unsigned>((count + threads - 1) / threads);
    if (Launch::is_aligned(b))
      map_kernel<P, k, true><<<blocks, threads, 0, stream>>>(b, static_cast<unsigned>(count));
    else
      map_kernel<P, k, false><<<blocks, threads, 0, stream>>>(b, static_cast<unsigned>(count));
  }
};

}  // namespace weft::cuda
