// access: from axes to memory. Which axes a kernel loops over and in what order, where a leaf or a store lies for a position of these axes, and
// loads and stores of packets along one axis (the lane axis).
#pragma once
#include <weft/cpu/block_elements.hpp>
#include <weft/plan/binding.hpp>
#include <weft/plan/loops.hpp>

namespace weft::cpu {

template <class P> inline constexpr auto& plan_of = Compiled<P>::plan;

// the place of the loops of a kernel: an index per axis of the program
template <class P> struct Index {
  long at[Binding<P>::axes ? Binding<P>::axes : 1] = {};
  WEFT_INLINE long& operator[](int a) { return at[a]; }
  WEFT_INLINE long operator[](int a) const { return at[a]; }
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
template <class T> using Elements =
    std::conditional_t<std::is_same_v<T, any_block>, AnyBlockElements, std::conditional_t<BlockFormat<T>, BlockElements<T>, T*>>;
template <class T> WEFT_INLINE Elements<T> elements_of(const View& v) {
  if constexpr (std::is_same_v<T, any_block>)
    return {static_cast<const std::byte*>(v.data), v.format, v.panel_row};
  else if constexpr (BlockFormat<T>)
    return {static_cast<const std::byte*>(v.data), v.panel_row};
  else
    return static_cast<T*>(v.data);
}

// n elements along a step, the other lanes 0; one element
template <class T> WEFT_INLINE Packet load_along(const T* p, long step, long n) { return step == 1 ? load(p, n) : gather(p, step, n); }
template <class T> WEFT_INLINE float element_at(const T* p) { return to_float(*p); }

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
  static constexpr Addends addends = [] {
    if constexpr (is_store)
      return addends_of(plan.store[number]);
    else
      return addends_of(plan.node[number]);
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

// ---- packets along the lane axis
template <class T> WEFT_INLINE void store_along(T* p, long step, Packet v, long n) {
  if (step == 1)
    store(p, v, n);
  else
    scatter(p, step, v, n);
}

}  // namespace weft::cpu
