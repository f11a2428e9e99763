// place: from axes to addresses, on the host and in device code. Facts of a plan are static data of small templates: nvcc calls no
// constexpr function of the host in device code, not even where a constant is wanted.
#pragma once
#include <weft/cuda/numbers.cuh>
#include <weft/plan/binding.hpp>
#include <weft/plan/loops.hpp>
#include <weft/plan/trimmed_plan.hpp>

namespace weft::cuda {

template <int n> struct Int {  // std::integral_constant converts on the host only
  static constexpr int value = n;
  WEFT_BOTH constexpr operator int() const { return n; }
};
#pragma nv_exec_check_disable
template <class F, int... i> WEFT_BOTH void unroll(F&& f, std::integer_sequence<int, i...>) { (f(Int<i>{}), ...); }
// f(Int<0>{}), f(Int<1>{}), ... f(Int<n - 1>{})
#pragma nv_exec_check_disable
template <int n, class F> WEFT_BOTH void unroll(F&& f) { unroll(static_cast<F&&>(f), std::make_integer_sequence<int, n>{}); }

// the place of the loops of a kernel: an index per axis of the program
template <class P> struct Index {
  static constexpr int axes = Binding<P>::axes ? Binding<P>::axes : 1;
  int at[axes] = {};
};

// ---- extents
template <class P, int axis> inline constexpr long known_extent = trimmed_plan<P>.axis[axis].record.extent;
template <class P, int axis> WEFT_BOTH long extent_of(const Binding<P>& b) {
  constexpr long e = known_extent<P, axis>;
  if constexpr (e >= 0)
    return e;
  else
    return b.extent[axis];
}
// L: a type with `static constexpr AxisList list`
template <class P, class L, int first = 0, int last = L::list.count> WEFT_BOTH long count_of(const Binding<P>& b) {
  long n = 1;
  unroll<last - first>([&](auto i) {
    constexpr int axis = L::list.axis[first + i];
    n *= extent_of<P, axis>(b);
  });
  return n;
}
// sets the indices of list[first, last) from their flat number
template <class P, class L, int first = 0, int last = L::list.count>
WEFT_DEVICE void decode(const Binding<P>& b, unsigned flat, Index<P>& index) {
  unroll<last - first>([&](auto i) {
    constexpr int axis = L::list.axis[last - 1 - i];
    if constexpr (i == last - first - 1) {
      index.at[axis] = static_cast<int>(flat);
    } else {
      const unsigned n = static_cast<unsigned>(extent_of<P, axis>(b));
      index.at[axis] = static_cast<int>(flat % n);
      flat /= n;
    }
  });
}
template <class P, class L> constexpr long known_count() {  // runtime where it is not known at compile time
  long n = 1;
  for (int i = 0; i < L::list.count; ++i) {
    const long e = trimmed_plan<P>.axis[L::list.axis[i]].record.extent;
    n = n == runtime || e == runtime ? runtime : n * e;
  }
  return n;
}

// ---- where a leaf (a node of the plan) or a store lies
template <class P, int number_, bool is_store> struct AccessFacts {
  static constexpr auto place = [] {
    if constexpr (is_store)
      return trimmed_plan<P>.store[number_];
    else
      return trimmed_plan<P>.node[number_];
  }();
  static constexpr Addends addends = addends_of(place);
  static constexpr int count = addends.count;
};
template <class P, int number_, bool is_store> struct Access {
  using Facts = AccessFacts<P, number_, is_store>;
  static constexpr int leaf = Facts::place.leaf;
  static constexpr DType dtype = Facts::place.dtype;
  using T = typename type_of<dtype>::type;
  static constexpr Mask axes = [] {
    Mask m = 0;
    for (int i = 0; i < Facts::addends.count; ++i)
      if (Facts::addends.of[i].axis != Term::no_axis) m |= bit(Facts::addends.of[i].axis);
    return m;
  }();
  template <int axis> static constexpr bool uses = axis >= 0 && (axes >> (axis < 0 ? 0 : axis) & 1);

  WEFT_BOTH static T* data(const Binding<P>& b) { return static_cast<T*>(b.view[leaf].data); }
  template <int i> WEFT_BOTH static long weight(const Binding<P>& b) {  // what one step along the addend's axis moves
    constexpr int times_0 = Facts::addends.of[i].factor.times[0], times_1 = Facts::addends.of[i].factor.times[1],
                  dimension = Facts::addends.of[i].dimension;
    long k = Facts::addends.of[i].factor.number;
    if constexpr (times_0 >= 0) k *= extent_of<P, times_0>(b);
    if constexpr (times_1 >= 0) k *= extent_of<P, times_1>(b);
    return k * b.view[leaf].stride[dimension];
  }
  // of an element, in elements from the beginning of the tensor
  WEFT_BOTH static long offset(const Binding<P>& b, const Index<P>& index) {
    long o = 0;
    unroll<Facts::count>([&](auto i) {
      constexpr int axis = Facts::addends.of[i].axis;
      if constexpr (axis == Term::no_axis)
        o += weight<i>(b);
      else
        o += weight<i>(b) * index.at[axis];
    });
    return o;
  }
  // how far one step along an axis moves
  template <int axis> WEFT_BOTH static long step(const Binding<P>& b) {
    long s = 0;
    unroll<Facts::count>([&](auto i) {
      constexpr int a = Facts::addends.of[i].axis;
      if constexpr (a == axis) s += weight<i>(b);
    });
    return s;
  }
  // whether `width` neighbours along an axis, whose extent is a multiple of it, can be loaded or stored at once wherever they begin
  template <int axis, int width> static bool is_aligned(const Binding<P>& b) {
    constexpr long bytes = width * static_cast<long>(sizeof(T)) > 16 ? 16 : width * static_cast<long>(sizeof(T));
    bool aligned = reinterpret_cast<std::uintptr_t>(b.view[leaf].data) % bytes == 0 && step<axis>(b) == 1;
    unroll<Facts::count>([&](auto i) {
      constexpr int a = Facts::addends.of[i].axis;
      if constexpr (a != axis) aligned = aligned && weight<i>(b) * static_cast<long>(sizeof(T)) % bytes == 0;
    });
    constexpr int indexed = Facts::place.dimension;  // by a value that the formula computes
    if constexpr (indexed >= 0) aligned = aligned && b.view[leaf].stride[indexed] * static_cast<long>(sizeof(T)) % bytes == 0;
    return aligned && extent_of<P, axis>(b) % width == 0;
  }
};
template <class P, int node> using LeafAccess = Access<P, node, false>;
template <class P, int store> using StoreAccess = Access<P, store, true>;

}  // namespace weft::cuda
