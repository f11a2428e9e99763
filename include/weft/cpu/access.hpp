// access: from axes to memory. Which axes a kernel loops over and in what order, where a leaf or a store lies for a position of these axes, and
// loads and stores of packets along one axis (the lane axis).
#pragma once
#include <weft/cpu/block_load.hpp>
#include <weft/plan/binding.hpp>

namespace weft::cpu {

template <class P> inline constexpr auto& plan_of = Compiled<P>::plan;

// the place of the loops of a kernel: an index per axis of the program
template <class P> struct Index {
  long at[Binding<P>::axes ? Binding<P>::axes : 1] = {};
  WEFT_INLINE long& operator[](int a) { return at[a]; }
  WEFT_INLINE long operator[](int a) const { return at[a]; }
};

struct AxisList {
  short axis[8]{};
  int count = 0;
};

// ---- extents
template <class P, int a> WEFT_INLINE long extent_of(const Binding<P>& b) {
  constexpr long e = plan_of<P>.axis[a].record.extent;
  if constexpr (e >= 0)
    return e;
  else
    return b.extent[a];
}
template <class P> WEFT_INLINE long extent_of(const Binding<P>& b, int a) {
  const long e = plan_of<P>.axis[a].record.extent;
  return e >= 0 ? e : b.extent[a];
}
template <class P, const AxisList& list, int first = 0, int last = list.count> WEFT_INLINE long count_of(const Binding<P>& b) {
  long n = 1;
  for (int i = first; i < last; ++i) n *= extent_of(b, list.axis[i]);
  return n;
}
// sets the indices of list[first, last) from their flat number
template <class P, const AxisList& list, int first = 0, int last = list.count>
WEFT_INLINE void decode(const Binding<P>& b, long flat, Index<P>& index) {
  for (int i = last; i-- > first;) {
    const long n = extent_of(b, list.axis[i]);
    index[list.axis[i]] = flat % n;
    flat /= n;
  }
}

// ---- Where elements lie. Those of a plain format have addresses; those in blocks are counted from the beginning of the tensor.
template <class Block> struct BlockElements {
  const std::byte* blocks;
  long first = 0;
  WEFT_INLINE BlockElements operator+(long n) const { return {blocks, first + n}; }
  // at the beginning of a block
  WEFT_INLINE const Block* block() const {
    return reinterpret_cast<const Block*>(blocks + first / block_elements(dtype_of<Block>) * static_cast<long>(sizeof(Block)));
  }
};
struct AnyBlockElements {
  const std::byte* blocks;
  DType format;
  long first = 0;
  WEFT_INLINE AnyBlockElements operator+(long n) const { return {blocks, format, first + n}; }
  template <class Block> WEFT_INLINE BlockElements<Block> in() const { return {blocks, first}; }
};
template <class T> using Elements =
    std::conditional_t<std::is_same_v<T, any_block>, AnyBlockElements, std::conditional_t<BlockFormat<T>, BlockElements<T>, T*>>;
template <class T> WEFT_INLINE Elements<T> elements_of(const View& v) {
  if constexpr (std::is_same_v<T, any_block>)
    return {static_cast<const std::byte*>(v.data), v.format};
  else if constexpr (BlockFormat<T>)
    return {static_cast<const std::byte*>(v.data)};
  else
    return static_cast<T*>(v.data);
}

// n elements along a step, the other lanes 0; one element
template <class T> WEFT_INLINE Packet load_along(const T* p, long step, long n) { return step == 1 ? load(p, n) : gather(p, step, n); }
template <class Block> Packet load_along(BlockElements<Block> p, long step, long n) {
  if (n > Packet::lanes) n = Packet::lanes;
  const Block* blocks = reinterpret_cast<const Block*>(p.blocks);
  if (step == 1) return load_block(blocks, p.first, n);
  alignas(64) float t[Packet::lanes] = {};
  for (long i = 0; i < n; ++i) t[i] = load_block(blocks, p.first + i * step, 1).v[0];
  return load(t);
}
inline Packet load_along(AnyBlockElements p, long step, long n) {
  return with_block(p.format, [&](auto block) { return load_along(p.in<decltype(block)>(), step, n); });
}
template <class T> WEFT_INLINE float element_at(const T* p) { return to_float(*p); }
template <class Block> float element_at(BlockElements<Block> p) { return load_along(p, 1, 1).v[0]; }
inline float element_at(AnyBlockElements p) { return load_along(p, 1, 1).v[0]; }

// ---- where a leaf (a node of the plan) or a store lies
template <class P, int number, bool is_store> struct Access {
  static constexpr auto& plan = plan_of<P>;
  static constexpr int leaf = is_store ? plan.store[is_store ? number : 0].leaf : plan.node[is_store ? 0 : number].leaf;
  static constexpr int rank = is_store ? plan.store[is_store ? number : 0].rank : plan.node[is_store ? 0 : number].rank;
  static constexpr DType dtype = is_store ? plan.store[is_store ? number : 0].dtype : plan.node[is_store ? 0 : number].dtype;
  using T = typename type_of<dtype>::type;
  static constexpr const IndexForm& form(int d) {
    if constexpr (is_store)
      return plan.store[number].at[d];
    else
      return plan.node[number].at[d];
  }
  static constexpr bool uses(int axis) {
    for (int d = 0; d < rank; ++d)
      if (form(d).factor_of(axis) != 0) return true;
    return false;
  }
  static Elements<T> data(const Binding<P>& b) { return elements_of<T>(b.view[leaf]); }

  template <int d, int t> WEFT_INLINE static long factor(const Binding<P>& b) {
    constexpr Factor f = form(d).term[t].factor;
    long k = f.number;
    if constexpr (f.times[0] >= 0) k *= extent_of<P, f.times[0]>(b);
    if constexpr (f.times[1] >= 0) k *= extent_of<P, f.times[1]>(b);
    return k;
  }
  // the offset of an element is a sum of addends, one for each summand of each dimension
  struct Addend {
    short dimension = 0, axis = Term::no_axis;
    Factor factor;
  };
  struct Addends {
    Addend of[rank * (IndexForm::capacity + 1) + 1];
    int count = 0;
  };
  static constexpr Addends addends = [] {
    Addends a;
    for (int d = 0; d < rank; ++d) {
      if (form(d).constant) a.of[a.count++] = {static_cast<short>(d), Term::no_axis, Factor{form(d).constant}};
      for (int t = 0; t < form(d).summands; ++t) a.of[a.count++] = {static_cast<short>(d), form(d).term[t].axis, form(d).term[t].factor};
    }
    return a;
  }();
  template <int i> WEFT_INLINE static long weight(const Binding<P>& b) {  // what one step along the addend's axis moves
    constexpr Addend a = addends.of[i];
    long k = a.factor.number;
    if constexpr (a.factor.times[0] >= 0) k *= extent_of<P, a.factor.times[0]>(b);
    if constexpr (a.factor.times[1] >= 0) k *= extent_of<P, a.factor.times[1]>(b);
    return k * b.view[leaf].stride[a.dimension];
  }
  template <int i> WEFT_INLINE static long addend(const Binding<P>& b, const Index<P>& index) {
    constexpr int axis = addends.of[i].axis;
    if constexpr (axis == Term::no_axis)
      return weight<i>(b);
    else
      return weight<i>(b) * index[axis];
  }
  template <int axis, int i> WEFT_INLINE static long weight_along(const Binding<P>& b) {
    if constexpr (addends.of[i].axis == axis)
      return weight<i>(b);
    else
      return 0;
  }
  template <int... i> WEFT_INLINE static long sum_offset(const Binding<P>& b, const Index<P>& index, std::integer_sequence<int, i...>) {
    return (0L + ... + addend<i>(b, index));
  }
  template <int axis, int... i> WEFT_INLINE static long sum_step(const Binding<P>& b, std::integer_sequence<int, i...>) {
    return (0L + ... + weight_along<axis, i>(b));
  }
  WEFT_INLINE static long offset(const Binding<P>& b, const Index<P>& index) {
    return sum_offset(b, index, std::make_integer_sequence<int, addends.count>{});
  }
  // how far one step along an axis moves
  template <int axis> WEFT_INLINE static long step(const Binding<P>& b) {
    return sum_step<axis>(b, std::make_integer_sequence<int, addends.count>{});
  }
  // the axes of a list, outermost to innermost, lie in memory like one axis: each step is the next one's times its extent. Returns the
  // innermost step, or 0 where they do not.
  template <const AxisList& list> WEFT_INLINE static long flat_step(const Binding<P>& b) {
    long inner = 0, expected = 0;
    bool regular = true;
    unroll<list.count>([&](auto i) WEFT_FLAT {
      constexpr int a = list.axis[list.count - 1 - i];
      const long s = step<a>(b), n = extent_of<P, a>(b);
      if constexpr (i == 0)
        inner = s;
      else
        regular = regular && (s == expected || n == 1);
      expected = s * n;
    });
    return regular ? inner : 0;
  }
};
template <class P, int node> using LeafAccess = Access<P, node, false>;
template <class P, int store> using StoreAccess = Access<P, store, true>;

// ---- the order of loops: the axes of a set, outermost first, as they lie in a leaf or a store
template <class Plan, class Reference> constexpr AxisList ordered(const Plan& plan, Mask set, const Reference& reference) {
  AxisList list;
  long weight[max_axes]{};
  for (int a = 0; a < plan.axes; ++a) {
    weight[a] = 1L << 60;  // an axis that the reference lacks is outermost
    for (int d = 0; d < reference.rank; ++d)
      if (const int f = reference.at[d].factor_of(a); f != 0)
        weight[a] = (static_cast<long>(reference.rank - d) << 40) + (f < 0 ? 1L << 39 : f);
  }
  for (Mask left = set; left;) {
    int outermost = -1;
    for (int a = 0; a < plan.axes; ++a)
      if ((left & bit(a)) && (outermost < 0 || weight[a] > weight[outermost])) outermost = a;
    list.axis[list.count++] = static_cast<short>(outermost);
    left &= ~bit(outermost);
  }
  return list;
}
// a leaf below a node by which axes may be ordered: the first whose last dimension runs along one of them, else the first that has any
template <class Plan> constexpr int reference_leaf(const Plan& plan, int node, Mask set, bool strict) {
  const Node& n = plan.node[node];
  if (n.kind == NodeKind::leaf || n.kind == NodeKind::gather) {
    Mask used = 0;
    for (int d = 0; d < n.rank; ++d) used |= n.at[d].axes();
    const bool inner = n.rank > 0 && (n.at[n.rank - 1].axes() & set);
    if (strict ? inner : (used & set) != 0) return node;
  }
  for (int k = 0; k < n.operands; ++k)
    if (const int r = reference_leaf(plan, n.operand[k], set, strict); r >= 0) return r;
  return -1;
}
template <class Plan> constexpr AxisList ordered_below(const Plan& plan, Mask set, int node) {
  int r = reference_leaf(plan, node, set, true);
  if (r < 0) r = reference_leaf(plan, node, set, false);
  return r < 0 ? ordered(plan, set, Node{}) : ordered(plan, set, plan.node[r]);
}

// ---- packets along the lane axis
template <class T> WEFT_INLINE void store_along(T* p, long step, Packet v, long n) {
  if (step == 1)
    store(p, v, n);
  else
    scatter(p, step, v, n);
}

}  // namespace weft::cpu
