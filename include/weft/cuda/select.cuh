// select: rows of which the positions of the largest elements are wanted (the skeleton row, where what it stores is a top_k). A first kernel evaluates the
// elements and makes each a number that is ordered as they are to be, ties by their positions; a second one sorts them, a block for each row.
#pragma once
#include <weft/cuda/contraction_facts.cuh>
#include <weft/cuda/largest.cuh>

namespace weft::cuda {

using Candidate = unsigned long long;  // an element: its key, and below that its position, the first being the largest
inline constexpr Candidate no_candidate = 0;
WEFT_DEVICE Candidate candidate_of(float x, unsigned position) { return static_cast<Candidate>(ordered_key(x)) << 32 | ~position; }
WEFT_DEVICE int position_of(Candidate c) { return static_cast<int>(~static_cast<unsigned>(c)); }
WEFT_DEVICE bool is_nan(Candidate c) { return c >> 32 == key_of_nan; }

// the task of RowBody: the elements of a row on their way into memory
template <class P_, int k> struct CandidateRow {
  using P = P_;
  static constexpr Kernel kernel = trimmed_plan<P>.kernel[k];
  static constexpr int store = kernel.segment[0].store[0], root = trimmed_plan<P>.store[store].node;
  static constexpr Node node = trimmed_plan<P>.node[root];
  static_assert(node.kind == NodeKind::top_k);
  static constexpr NodeList statistics = [] {  // of the row, before anything is selected
    NodeList l;
    for (int i = 0; i < kernel.statistics; ++i)
      if (kernel.statistic[i] != root) l.add(kernel.statistic[i]);
    return l;
  }();
  static constexpr AxisList rows = ordered(trimmed_plan<P>, kernel.rows, trimmed_plan<P>.store[store]),
                            columns = ordered(trimmed_plan<P>, node.bound, node);
  static constexpr NodeList roots = [] {
    NodeList l;
    l.add(node.operand[0]);
    return l;
  }();
  struct Elements {
    static constexpr AxisList list = columns;
  };
  struct Selected {
    static constexpr AxisList list = [] {
      Node along;
      along.rank = 1;
      along.at[0] = node.at[1];
      return ordered(trimmed_plan<P>, node.at[1].axes(), along);
    }();
  };
  Candidate* to;
  long stride;

  WEFT_DEVICE CandidateRow at_row(unsigned row) const { return {to + row * stride, stride}; }
  template <class Point, int width> WEFT_DEVICE void put(const Point& p, unsigned flat, const float (&v)[1][width]) const {
#pragma unroll
    for (int i = 0; i < width; ++i)
      if (Point::vectors || i < p.n) to[flat + i] = candidate_of(v[0][i], flat + i);
  }
  template <int lane, int width> static bool is_aligned(const Binding<P>& b) { return extent_of<P, lane>(b) % width == 0; }
};

// By all threads of a block, which have written the elements and met since: the largest come first. count: a power of two
WEFT_DEVICE void sort_descending(Candidate* x, unsigned count) {
  for (unsigned run = 2; run <= count; run *= 2)  // bitonic: runs of this size become sorted, alternately up and down
    for (unsigned distance = run / 2; distance > 0; distance /= 2) {
      for (unsigned i = threadIdx.x; i < count / 2; i += blockDim.x) {
        const unsigned low = i / distance * 2 * distance + i % distance, high = low + distance;
        const Candidate a = x[low], b = x[high];
        if ((a < b) == ((low & run) == 0)) {
          x[low] = b;
          x[high] = a;
        }
      }
      __syncthreads();
    }
}

// all: room for `padded` candidates of each row, of which `count` are there
template <class P, int k> __global__ void __launch_bounds__(1024)
    select_kernel(const Binding<P> b, Candidate* all, unsigned count, unsigned padded, bool in_shared) {
  extern __shared__ __align__(16) Candidate shared_candidates[];
  using Task = CandidateRow<P, k>;
  Candidate *from = all + static_cast<long>(blockIdx.x) * padded, *x = in_shared ? shared_candidates : from;
  for (unsigned i = threadIdx.x; i < padded; i += blockDim.x)
    if (in_shared || i >= count) x[i] = i < count ? from[i] : no_candidate;
  __syncthreads();
  sort_descending(x, padded);
  Index<P> index;
  decode<P, typename RowFacts<Task>::Rows>(b, blockIdx.x, index);
  const HoldsNothing nothing;
  constexpr long only = Task::node.at[1].constant;  // where one of those that are selected is wanted
  const unsigned wanted = static_cast<unsigned>(count_of<P, typename Task::Selected>(b));
  const bool nan = is_nan(x[0]);
  for (unsigned i = threadIdx.x; i < wanted; i += blockDim.x) {
    decode<P, typename Task::Selected>(b, i, index);
    const float position = nan ? -1.f : static_cast<float>(position_of(x[i + only]));
    write<P, Task::store>(PointOfOne<P, HoldsNothing>{b, index, nothing, 1}, &position);
  }
}

template <class P, int k> struct SelectKernel {
  using Task = CandidateRow<P, k>;

  static std::size_t workspace(const Binding<P>& b) { return static_cast<std::size_t>(rows(b) * padded(b)) * sizeof(Candidate); }
  // throws Error where a row has fewer elements than are wanted
  static void run(const Binding<P>& b, std::byte* memory, cudaStream_t stream) {
    const long n = count(b), wanted = extent_of<P, Task::node.dimension>(b), size = padded(b);
    if (n < wanted)
      throw Error(std::string("top_k along axis ") + trimmed_plan<P>.axis[Task::columns.axis[0]].record.name + ": " +
                  std::to_string(wanted) + " elements are to be selected, found " + std::to_string(n));
    if (rows(b) == 0 || wanted == 0) return;
    auto* all = reinterpret_cast<Candidate*>(memory);
    RowLaunch<Task>::run(b, {all, size}, stream);
    const bool in_shared = size <= most_in_shared;
    const unsigned threads = size / 2 >= 1024 ? 1024 : size / 2 > 32 ? static_cast<unsigned>(size / 2) : 32;
    select_kernel<P, k>
        <<<static_cast<unsigned>(rows(b)), threads, in_shared ? static_cast<std::size_t>(size) * sizeof(Candidate) : 0, stream>>>(
            b, all, static_cast<unsigned>(n), static_cast<unsigned>(size), in_shared);
  }

 private:
  static constexpr long most_in_shared = 4096;
  static long rows(const Binding<P>& b) { return count_of<P, typename RowFacts<Task>::Rows>(b); }
  static long count(const Binding<P>& b) { return count_of<P, typename Task::Elements>(b); }
  static long padded(const Binding<P>& b) {
    long n = 2;
    while (n < count(b)) n *= 2;
    return n;
  }
};

}  // namespace weft::cuda
