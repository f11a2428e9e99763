// staging: operands of a contraction that are not multiplied from where they lie are evaluated once into the workspace: rows of a left
// operand with their statistics, columns of a right operand. There each is a row of its depth, padded to whole pieces of 16 bytes.
#pragma once
#include <weft/cuda/blocks.cuh>
#include <weft/cuda/contraction_facts.cuh>

namespace weft::cuda {

// the rows of node `node` (batches and `rows_`, then the depth), in format E
template <class P_, int node, class E, class Statistics, class Rows, class Depth> struct StagedRow {
  using P = P_;
  static constexpr NodeList statistics = Statistics::statistics;
  static constexpr AxisList rows = Rows::list, columns = Depth::list;
  static constexpr bool quantised = is_quantised<P, node>;
  static constexpr NodeList roots = [] {
    NodeList l;
    l.add(quantised ? static_cast<int>(trimmed_plan<P>.node[node].operand[0]) : node);
    return l;
  }();
  E* to;
  long stride;

  WEFT_DEVICE StagedRow at_row(unsigned row) const { return {to + row * stride, stride}; }
  template <class Point, int width> WEFT_DEVICE void put(const Point& p, unsigned flat, const float (&v)[1][width]) const {
    if constexpr (quantised) {
      const float largest = largest_of_group(v[0]), scale = scale_of_digits(largest);
      int digit[width];
      quantize(v[0], largest, digit);
#pragma unroll
      for (int i = 0; i < width; ++i) to[flat + i] = rounded<E>(scale * static_cast<float>(digit[i]));
    } else if constexpr (Point::vectors) {
      store_neighbours<E, width>(to + flat, v[0]);
    } else {
#pragma unroll
      for (int i = 0; i < width; ++i)
        if (i < p.n) to[flat + i] = rounded<E>(v[0][i]);
    }
  }
  template <int lane, int width> static bool is_aligned(const Binding<P>& b) { return extent_of<P, lane>(b) % width == 0; }
};

// weights in blocks, expanded: a thread for each group of 32. start: of a routed contraction, where the rows of each of its groups begin; those
// without rows are left out
template <class P, class O, int group_axis, class E, class Rows, class Depth>
__global__ void expand_blocks_kernel(const Binding<P> b, E* to, long stride, long rows, const std::int32_t* start) {
  using A = LeafAccess<P, O::right>;
  const long depth = count_of<P, Depth>(b), groups = depth / 32, number = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (number >= rows * groups) return;
  const long row = number / groups, at = number % groups;
  Index<P> index;
  decode<P, Rows>(b, static_cast<unsigned>(row), index);
  const Format<typename A::T> format(b.view[A::leaf].format);
  long part = 0;
  if constexpr (group_axis >= 0) {
    part = index.at[group_axis];
    if (start[part] == start[part + 1]) return;
  }
  const long first = (A::offset(b, index) + O::part(b, part)) / 32 + at;
  const auto* block = reinterpret_cast<const unsigned char*>(A::data(b)) + first / format.groups() * format.bytes();
  const auto group = Group<typename A::T>::load(format, block, static_cast<int>(first % format.groups()));
  E* out = to + row * stride + at * 32;
#pragma unroll
  for (int i = 0; i < 32; i += 4) {
    float v[4];
#pragma unroll
    for (int j = 0; j < 4; ++j)
      v[j] = group.scales.scale[i / 16] * static_cast<float>(digit_of(group.word[i / 4], j)) + group.scales.minimum;
    store_neighbours<E, 4>(out + i, v);
  }
}

// The parts of a plain leaf that the groups of a routed contraction pick, in another format or order: a thread for four neighbours.
template <class P, class O, int group_axis, class E, class Rows, class Depth>
__global__ void convert_parts_kernel(const Binding<P> b, E* to, long stride, long rows, const std::int32_t* start) {
  using A = LeafAccess<P, O::right>;
  const long depth = count_of<P, Depth>(b), pieces = (depth + 3) / 4, number = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (number >= rows * pieces) return;
  const long row = number / pieces, first = number % pieces * 4;
  Index<P> index;
  decode<P, Rows>(b, static_cast<unsigned>(row), index);
  const int part = index.at[group_axis];
  if (start[part] == start[part + 1]) return;
  for (long d = first; d < first + 4 && d < depth; ++d) {
    decode<P, Depth>(b, static_cast<unsigned>(d), index);
    to[row * stride + d] = rounded<E>(cuda::number(A::data(b)[A::offset(b, index) + O::part(b, part)]));
  }
}

struct NoStatistics {
  static constexpr NodeList statistics{};
};

template <class P, int k> struct Staging {
  using F = ContractionFacts<P, k>;
  using E = typename F::Element;
  static constexpr int piece = 16 / static_cast<int>(sizeof(E));  // elements
  using LeftRows = typename F::LeftRows;
  struct Parts {  // of right operands
    static constexpr AxisList list = [] {
      AxisList group;
      if (F::routes) group.axis[group.count++] = F::group_axis;
      return F::routes ? group : F::batch_list;
    }();
  };
  template <int g> struct RightRows { static constexpr AxisList list = F::join(Parts::list, F::template Columns<g>::list); };
  template <int l> using LeftTask =
      StagedRow<P, F::template Left<l>::node, E, typename F::template Left<l>, LeftRows, typename F::template Left<l>::Depth>;
  template <int g, int i> using O = typename F::template Operands<g, i>;
  template <int g, int i> using Depth = typename F::template Left<O<g, i>::left>::Depth;
  template <int g, int i> using RightTask = StagedRow<P, O<g, i>::right, E, NoStatistics, RightRows<g>, Depth<g, i>>;

  template <class Depth> static long row_size(const Binding<P>& b) { return round_up(count_of<P, Depth>(b), piece); }

  template <int l> static bool left_lies(const Binding<P>& b) {
    using L = typename F::template Left<l>;
    if constexpr (L::is_leaf && F::plan.node[L::node].dtype == F::element)
      return lies_along<P, L::node, typename L::Depth, piece>(b);
    else
      return false;
  }
  template <int g, int i> static bool right_lies(const Binding<P>& b) {
    constexpr int right = O<g, i>::right;
    if constexpr (O<g, i>::right_is_stored && F::plan.node[right].dtype == F::element)
      return lies_along<P, right, Depth<g, i>, piece>(b);
    else
      return false;
  }

  // what was staged; nullptr: the operand is multiplied from where it lies
  struct Places {
    E* left[4]{};
    E* right[6][6]{};
  };
  // f(bytes) gives memory
  template <class F_> static Places places(const Binding<P>& b, F_ f) {
    Places p;
    unroll<F::lefts>([&](auto l) {
      const long rows = count_of<P, LeftRows>(b), size = row_size<typename F::template Left<l>::Depth>(b);
      if (!left_lies<l>(b)) p.left[l] = reinterpret_cast<E*>(f(rows * size * static_cast<long>(sizeof(E))));
    });
    unroll<F::segments>([&](auto g) {
      unroll<F::template Columns<g>::contractions>([&](auto i) {
        const long rows = count_of<P, RightRows<g>>(b), size = row_size<Depth<g, i>>(b);
        if (!right_lies<g, i>(b)) p.right[g][i] = reinterpret_cast<E*>(f(rows * size * static_cast<long>(sizeof(E))));
      });
    });
    return p;
  }
  static Places places_in(const Binding<P>& b, std::byte* memory) {
    return places(b, [&](long bytes) { return std::exchange(memory, memory + round_up(bytes, 256)); });
  }
  static std::size_t bytes(const Binding<P>& b) {
    long sum = 0;
    places(b, [&](long n) {
      sum += round_up(n, 256);
      return static_cast<std::byte*>(nullptr);
    });
    return static_cast<std::size_t>(sum);
  }
  // start: of a routed contraction, where the rows of each group begin
  static void run(const Binding<P>& b, const Places& p, cudaStream_t stream, const std::int32_t* start = nullptr) {
    unroll<F::lefts>([&](auto l) {
      using L = typename F::template Left<l>;
      if constexpr (is_quantised<P, L::node>) {
        constexpr int axis = L::depth.axis[L::depth.count - 1];
        if (const long n = extent_of<P, axis>(b); n % 32 != 0)
          throw Error(std::string("q8_0 along axis ") + trimmed_plan<P>.axis[axis].record.name +
                      ": expected rows of a multiple of 32 elements, found " + std::to_string(n));
      }
      if (p.left[l]) RowLaunch<LeftTask<l>>::run(b, {p.left[l], row_size<typename L::Depth>(b)}, stream);
    });
    unroll<F::segments>([&](auto g) {
      unroll<F::template Columns<g>::contractions>([&](auto i) {
        if (p.right[g][i]) stage_right<g, i>(b, p.right[g][i], stream, start);
      });
    });
  }

 private:
  template <int g, int i> static void stage_right(const Binding<P>& b, E* to, cudaStream_t stream, const std::int32_t* start) {
    using D = Depth<g, i>;
    constexpr int right = O<g, i>::right, threads = 128;
    const long rows = count_of<P, RightRows<g>>(b);
    const auto blocks = [&](long each) { return static_cast<unsigned>((rows * each + threads - 1) / threads); };
    if constexpr (O<g, i>::right_is_stored && is_block(F::plan.node[right].dtype)) {
      expect_blocks_along<P, right, D>(b);
      if (const unsigned n = blocks(count_of<P, D>(b) / 32); n > 0)
        expand_blocks_kernel<P, O<g, i>, F::group_axis, E, RightRows<g>, D><<<n, threads, 0, stream>>>(b, to, row_size<D>(b), rows, start);
    } else if constexpr (F::routes) {
      if (const unsigned n = blocks((count_of<P, D>(b) + 3) / 4); n > 0)
        convert_parts_kernel<P, O<g, i>, F::group_axis, E, RightRows<g>, D><<<n, threads, 0, stream>>>(b, to, row_size<D>(b), rows, start);
    } else {
      RowLaunch<RightTask<g, i>>::run(b, {to, row_size<D>(b)}, stream);
    }
  }
};

}  // namespace weft::cuda
