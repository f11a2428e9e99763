// stream_facts: what the skeleton stream knows of its kernel at compile time, and the values at hand while it maps scores.
#pragma once
#include <weft/cuda/staging.cuh>

namespace weft::cuda {

template <class P, int k> struct StreamFacts {
  using F = ContractionFacts<P, k>;
  static constexpr auto& plan = trimmed_plan<P>;  // for facts only: device code cannot name it
  static constexpr Kernel kernel = F::kernel;
  static constexpr Stream stream = kernel.stream;
  static_assert(count_axes(kernel.bound) == 1, "a stream runs along one axis");
  static constexpr int key = std::countr_zero(kernel.bound);
  static constexpr bool online = stream.score >= 0;
  static constexpr int mapped = online ? stream.score : stream.weight;  // what is evaluated for each score
  // the weight is an exponential, or one that the formula rounds
  static constexpr bool rounds = online && plan.node[stream.weight].kind == NodeKind::cast;
  static constexpr int exponential = rounds ? plan.node[stream.weight].operand[0] : stream.weight;
  static constexpr DType rounded_to = rounds ? plan.node[stream.weight].dtype : DType::f32;
  static constexpr bool sums_rounded = rounds && stream.sums > 0 && plan.node[stream.sum[0]].operand[0] == stream.weight;
  // M of exp(score - M); -1: nothing is subtracted
  static constexpr int subtracted = [] {
    if (!online) return -1;
    const int argument = plan.node[exponential].operand[0];
    return argument == stream.score ? -1 : static_cast<int>(plan.node[argument].operand[1]);
  }();

  // ---- operands: queries, keys, values
  static constexpr int query = plan.node[stream.inner].operand[0], keys = plan.node[stream.inner].operand[1],
                       values = plan.node[stream.outer].operand[1];
  static constexpr bool multiplies(int contraction, DType t) {
    const Node &left = plan.node[plan.node[contraction].operand[0]], &right = plan.node[plan.node[contraction].operand[1]];
    return (left.kind == NodeKind::leaf || left.kind == NodeKind::cast) && left.dtype == t && right.kind == NodeKind::leaf &&
           right.dtype == t;
  }
  // in which queries and keys, and weights and values, are multiplied
  template <int contraction> using Format =
      std::conditional_t<multiplies(contraction, DType::bf16), bf16, std::conditional_t<multiplies(contraction, DType::f16), f16, float>>;
  using Element = Format<stream.inner>;
  using Weight = Format<stream.outer>;
  struct Depth {
    static constexpr AxisList list = ordered_below(plan, kernel.left[0].bound, keys);
  };
  using C = typename F::template Columns<0>;
  static constexpr long column_count = known_count<P, C>();
  static_assert(column_count > 0 && column_count <= 256, "a stream accumulates at most 256 columns, whose extents are part of their types");
  static constexpr int columns = static_cast<int>((column_count + 31) / 32 * 32);

  // ---- staging of operands that do not lie as they are multiplied
  struct Statistics {
    static constexpr NodeList statistics = [] {
      NodeList s;
      for (int i = 0; i < kernel.left[0].statistics; ++i) s.add(kernel.left[0].statistic[i]);
      return s;
    }();
  };
  struct QueryRows {
    static constexpr AxisList list = F::join(F::batch_list, F::rows_list);
  };
  struct KeyRows {
    static constexpr AxisList list = [] {
      AxisList l = F::batch_list;
      l.axis[l.count++] = static_cast<short>(key);
      return l;
    }();
  };
  using QueryTask = StagedRow<P, query, Element, Statistics, QueryRows, Depth>;
  using KeyTask = StagedRow<P, keys, Element, NoStatistics, KeyRows, Depth>;
  using ValueTask = StagedRow<P, values, Weight, NoStatistics, KeyRows, C>;
  template <class T> static constexpr int piece = 16 / static_cast<int>(sizeof(T));  // elements
  template <int node, class T, class Along> static bool lies(const Binding<P>& b) {
    if constexpr (plan.node[node].kind == NodeKind::leaf && plan.node[node].dtype == dtype_of<T>)
      return lies_along<P, node, Along, piece<T>>(b);
    else
      return false;
  }
  template <class T, class Along> WEFT_BOTH static long staged_size(const Binding<P>& b) {
    return round_up(count_of<P, Along>(b), piece<T>);
  }
};

// the values at hand while scores are mapped, inside the bounds of their row: the comparisons that made the bounds are true
template <class P, int k, int width> struct ScoreHolder {
  static constexpr Stream stream = trimmed_plan<P>.kernel[k].stream;
  static constexpr NodeList nodes = [] {
    NodeList l;
    l.add(stream.inner);
    for (int i = 0; i < stream.insides; ++i) l.add(stream.inside[i]);
    return l;
  }();
  const float* score;
  template <int node> WEFT_DEVICE void get(float* out) const {
#pragma unroll
    for (int i = 0; i < width; ++i) {
      if constexpr (node == stream.inner)
        out[i] = score[i];
      else
        out[i] = 1.f;
    }
  }
};

}  // namespace weft::cuda
