// stream_facts: what the skeleton stream knows of its kernel at compile time, and the values at hand while it maps a block of scores.
#pragma once
#include <weft/cpu/epilogue.hpp>

#include <limits>

namespace weft::cpu {

template <class P, int k> struct StreamFacts {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& kernel = plan.kernel[k];
  static constexpr auto& stream = kernel.stream;
  static_assert(count_axes(kernel.bound) == 1, "a stream runs along one axis");
  static constexpr int key = std::countr_zero(kernel.bound);
  static constexpr bool online = stream.score >= 0;
  static constexpr int mapped = online ? stream.score : stream.weight;  // what is evaluated for each element of a block
  // the weight is an exponential, or one that the formula rounds
  static constexpr bool rounds = online && plan.node[stream.weight].kind == NodeKind::cast;
  static constexpr int exponential = rounds ? plan.node[stream.weight].operand[0] : stream.weight;
  using Rounded = typename type_of<rounds ? plan.node[stream.weight].dtype : DType::f32>::type;
  static constexpr bool sums_rounded = rounds && stream.sums && plan.node[stream.sum[0]].operand[0] == stream.weight;
  // M of exp(score - M); -1: nothing is subtracted
  static constexpr int subtracted = [] {
    if (!online) return -1;
    const int argument = plan.node[exponential].operand[0];
    return argument == stream.score ? -1 : static_cast<int>(plan.node[argument].operand[1]);
  }();
  using Inner = Operands<P, stream.inner>;
  using Outer = Operands<P, stream.outer>;
  static constexpr AxisList depth = ordered_below(plan, kernel.left[0].bound, Inner::right);
  static constexpr auto& store = plan.store[kernel.segment[0].store[0]];
  static constexpr AxisList rows = ordered(plan, kernel.rows & ~kernel.batch, store), batch = ordered(plan, kernel.batch, store);
  static constexpr AxisList keys = [] {
    AxisList l;
    l.axis[l.count++] = static_cast<short>(key);
    return l;
  }();
  using C = Columns<P, k, 0>;
  // rows of a tensor that an index along the streamed axis alone names (see stream_gathered.hpp)
  template <int node> static constexpr bool is_gathered = [] {
    constexpr auto& x = plan.node[node];
    if constexpr (x.kind == NodeKind::gather && !is_block(x.dtype)) {
      for (int d = 0; d < x.rank; ++d)
        if (x.at[d].factor_of(key) != 0) return false;
      return plan.node[x.operand[0]].axes == kernel.bound;
    } else {
      return false;
    }
  }();
  template <int node> using Room = std::conditional_t<is_gathered<node>, typename type_of<plan.node[node].dtype>::type, std::byte>;
  template <class O, int c> static constexpr bool in_bf16 = O::in_bf16 || (is_gathered<O::right> && are_bf16(plan, c));
  using Element = std::conditional_t<in_bf16<Inner, stream.inner>, bf16, float>;  // in which queries and keys are multiplied
  using Weight = std::conditional_t<in_bf16<Outer, stream.outer>, bf16, float>;   // in which weights and values are multiplied
  static constexpr float none = -std::numeric_limits<float>::infinity();
};

// the values at hand while a block of scores is mapped, inside the bounds of its row: the comparisons that made the bounds are true
template <class P, int k> struct Scores {
  static constexpr auto& stream = plan_of<P>.kernel[k].stream;
  static constexpr NodeList nodes = [] {
    NodeList l;
    l.add(stream.inner);
    for (int i = 0; i < stream.insides; ++i) l.add(stream.inside[i]);
    return l;
  }();
  const float* score;
  long at = 0;
  template <int node, class V> WEFT_INLINE V get() const {
    if constexpr (node == stream.inner) {
      if constexpr (std::is_same_v<V, float>)
        return score[at];
      else
        return load(score + at);
    } else {
      return V(1.f);
    }
  }
};

}  // namespace weft::cpu
