// graph: evaluates an expression of a plan for some neighbours along an axis (the lane axis), in one thread. The walk over the nodes is
// written out at compile time and the values live in registers; what does not vary along the lane axis is computed once. What the kernel
// has at hand (statistics, accumulators, values of an earlier pass) it holds.
#pragma once
#include <weft/cuda/blocks.cuh>
#include <weft/cuda/place.cuh>

namespace weft::cuda {

// A Holder says which nodes a kernel has the value of: `static constexpr NodeList nodes`, and get<node>(float*) for each, which sets as
// many values as the node has: one, or one per neighbour where it varies along the lane axis.
struct HoldsNothing {
  static constexpr NodeList nodes{};
  template <int node> WEFT_DEVICE void get(float*) const {}
};

// `width` neighbours from index.at[lane] on, of which n exist. vectors: all do, and every leaf along the lane axis is aligned
// (Access::is_aligned).
template <class P_, int lane_, int width_, bool vectors_, class Holder_> struct Point {
  using P = P_;
  using Holder = Holder_;
  static constexpr int lane = lane_, width = width_;  // lane -1: a single element
  static constexpr bool vectors = vectors_;
  const Binding<P>& binding;
  const Index<P>& index;
  const Holder& held;
  int n;
};
template <class P, class Holder> using PointOfOne = Point<P, -1, 1, false, Holder>;

template <class P, int node> inline constexpr Mask axes_of_node = trimmed_plan<P>.node[node].axes;
template <class P, int node, int lane> inline constexpr bool varies_along = lane >= 0 &&
                                                                            (axes_of_node<P, node> >> (lane < 0 ? 0 : lane) & 1);

template <class Point, int root> struct Graph {
  using P = typename Point::P;
  static constexpr NodeList order = [] {
    NodeList o;
    order_nodes(trimmed_plan<P>, root, Point::Holder::nodes, o);
    return o;
  }();
  static constexpr int count = order.count;
  static constexpr bool varies = varies_along<P, root, Point::lane>;

  template <int j> struct Fact {
    static constexpr int id = order.node[j];
    static constexpr Node node = trimmed_plan<P>.node[id];
    static constexpr bool held = Point::Holder::nodes.has(id);
    static constexpr bool varies = varies_along<P, id, Point::lane>;
    static constexpr int size = varies ? Point::width : 1;
    static constexpr float constant = static_cast<float>(__builtin_bit_cast(double, node.bits));
    static constexpr int slot(int k) { return k < node.operands ? order.find(node.operand[k]) : 0; }
    static constexpr int operand[4] = {slot(0), slot(1), slot(2), slot(3)};
  };
  using Values = float[count][Point::width];

  template <int j, int k> WEFT_DEVICE static float operand(const Values& r, int i) {
    constexpr int s = Fact<j>::operand[k];
    return r[s][Fact<s>::varies ? i : 0];
  }
  template <int j> WEFT_DEVICE static void step(Values& r, const Point& p) {
    using F = Fact<j>;
    constexpr NodeKind kind = F::node.kind;
    constexpr int operands = F::node.operands;
    if constexpr (F::held) {
      p.held.template get<F::id>(r[j]);
    } else if constexpr (kind == NodeKind::leaf) {
      read<F>(0, p, r[j]);
    } else if constexpr (kind == NodeKind::gather) {
      gathered<j>(r, p);
    } else if constexpr (kind == NodeKind::constant) {
      constexpr float c = F::constant;
      r[j][0] = c;
    } else if constexpr (kind == NodeKind::position) {
      place<F>(p, r[j]);
    } else if constexpr (kind == NodeKind::extent) {
      constexpr int axis = F::node.at[0].term[0].axis;
      r[j][0] = static_cast<float>(extent_of<P, axis>(p.binding));
    } else if constexpr (kind == NodeKind::stack) {
      float which[Point::width];
      place<F>(p, which);
#pragma unroll
      for (int i = 0; i < F::size; ++i) {
        constexpr int axis = F::node.at[0].term[0].axis;
        const float w = which[varies_along<P, F::id, Point::lane> && axis == Point::lane ? i : 0];
        float x = operand<j, 0>(r, i);
        if constexpr (operands > 1) x = w == 1.f ? operand<j, 1>(r, i) : x;
        if constexpr (operands > 2) x = w == 2.f ? operand<j, 2>(r, i) : x;
        if constexpr (operands > 3) x = w == 3.f ? operand<j, 3>(r, i) : x;
        r[j][i] = x;
      }
    } else {
#pragma unroll
      for (int i = 0; i < F::size; ++i) r[j][i] = pointwise<j>(r, i);
    }
  }
  template <int j> WEFT_DEVICE static float pointwise(const Values& r, int i) {
    using F = Fact<j>;
    constexpr NodeKind kind = F::node.kind;
    constexpr int operands = F::node.operands;
    if constexpr (kind == NodeKind::cast) {
      static_assert(F::node.dtype < DType::q8_0, "rows are quantised where they are staged");
      constexpr DType dtype = F::node.dtype;
      using T = typename type_of<dtype>::type;
      return number(rounded<T>(operand<j, 0>(r, i)));
    } else if constexpr (kind == NodeKind::reduce) {  // a reduction whose axis was unrolled
      static_assert(F::node.bound == 0, "a reduction is held by its kernel");
      constexpr bool is_sum = F::node.monoid == Monoid::sum;
      float x = operand<j, 0>(r, i);
      if constexpr (operands > 1) x = combine<is_sum>(x, operand<j, 1>(r, i));
      if constexpr (operands > 2) x = combine<is_sum>(x, operand<j, 2>(r, i));
      if constexpr (operands > 3) x = combine<is_sum>(x, operand<j, 3>(r, i));
      return x;
    } else {
      static_assert(kind == NodeKind::map, "a contraction is held by its kernel");
      constexpr int functor = F::node.functor;
      using Op = functor_at<P, functor>;
      if constexpr (operands == 1)
        return Op::apply(operand<j, 0>(r, i));
      else if constexpr (operands == 2)
        return Op::apply(operand<j, 0>(r, i), operand<j, 1>(r, i));
      else
        return Op::apply(operand<j, 0>(r, i), operand<j, 1>(r, i), operand<j, 2>(r, i));
    }
  }
  template <bool is_sum> WEFT_DEVICE static float combine(float a, float b) {
    if constexpr (is_sum)
      return a + b;
    else
      return math::max(a, b);
  }
  // the value of an index form: of a position, of the axis of a stack
  template <class F> WEFT_DEVICE static void place(const Point& p, float* out) {
    using A = LeafAccess<P, F::id>;
    constexpr int summands = F::node.at[0].summands;
    long x = F::node.at[0].constant, along = 0;
    unroll<summands>([&](auto t) {
      constexpr int axis = F::node.at[0].term[t].axis;
      constexpr Factor factor = F::node.at[0].term[t].factor;
      long k = factor.number;
      if constexpr (factor.times[0] >= 0) k *= extent_of<P, factor.times[0]>(p.binding);
      if constexpr (factor.times[1] >= 0) k *= extent_of<P, factor.times[1]>(p.binding);
      if constexpr (axis == Term::no_axis)
        x += k;
      else
        x += k * p.index.at[axis];
      if constexpr (axis == Point::lane) along += k;
    });
    out[0] = static_cast<float>(x);
#pragma unroll
    for (int i = 1; i < F::size; ++i) out[i] = static_cast<float>(x + i * along);
  }
  template <class A> WEFT_DEVICE static float element(const Point& p, long offset) {
    const auto* data = A::data(p.binding);
    if constexpr (A::dtype < DType::q8_0)
      return number(data[offset]);
    else
      return element_in_blocks<typename A::T>(data, p.binding.view[A::leaf].format, offset);
  }
  template <class F> WEFT_DEVICE static void read(long extra, const Point& p, float* out) {
    using A = LeafAccess<P, F::id>;
    const long offset = A::offset(p.binding, p.index) + extra;
    if constexpr (!A::template uses<Point::lane>) {
      const float x = element<A>(p, offset);
#pragma unroll
      for (int i = 0; i < F::size; ++i) out[i] = x;
    } else if constexpr (Point::vectors && A::dtype < DType::q8_0) {
      load_neighbours<typename A::T, Point::width>(A::data(p.binding) + offset, out);
    } else {
      const long step = A::template step<Point::lane>(p.binding);
#pragma unroll
      for (int i = 0; i < Point::width; ++i) out[i] = i < p.n ? element<A>(p, offset + i * step) : 0.f;
    }
  }
  template <int j> WEFT_DEVICE static void gathered(Values& r, const Point& p) {
    using F = Fact<j>;
    using A = LeafAccess<P, F::id>;
    constexpr int d = F::node.dimension, index_node = F::node.operand[0];
    const long stride = p.binding.view[A::leaf].stride[d];
    if constexpr (!varies_along<P, index_node, Point::lane>) {
      read<F>(static_cast<long>(operand<j, 0>(r, 0)) * stride, p, r[j]);
    } else {
      const long offset = A::offset(p.binding, p.index), step = A::template step<Point::lane>(p.binding);
#pragma unroll
      for (int i = 0; i < Point::width; ++i)
        r[j][i] = i < p.n ? element<A>(p, offset + i * step + static_cast<long>(operand<j, 0>(r, i)) * stride) : 0.f;
    }
  }
  template <int... j> WEFT_DEVICE static void run(Values& r, const Point& p, std::integer_sequence<int, j...>) { (step<j>(r, p), ...); }
};

// the value of a node at the neighbours of a point
template <int root, class Point> WEFT_DEVICE void evaluate(const Point& p, float* out) {
  using G = Graph<Point, root>;
  typename G::Values r;
  G::run(r, p, std::make_integer_sequence<int, G::count>{});
#pragma unroll
  for (int i = 0; i < Point::width; ++i) out[i] = r[G::count - 1][G::varies ? i : 0];
}
// the value of a node at a single place
template <int root, class P, class Holder> WEFT_DEVICE float evaluate_one(const Binding<P>& b, const Index<P>& index, const Holder& held) {
  float x;
  evaluate<root>(PointOfOne<P, Holder>{b, index, held, 1}, &x);
  return x;
}

// ---- stores
template <class P, int store, class Point>
requires(StoreAccess<P, store>::dtype < DType::q8_0) WEFT_DEVICE void write(const Point& p, const float* v) {
  using A = StoreAccess<P, store>;
  constexpr int where = A::Facts::place.index, dimension = A::Facts::place.dimension;
  using T = typename A::T;
  T* data = A::data(p.binding) + A::offset(p.binding, p.index);
  if constexpr (where >= 0) {
    const long stride = p.binding.view[A::leaf].stride[dimension];
    if constexpr (varies_along<P, where, Point::lane>) {
      float rows[Point::width];
      evaluate<where>(p, rows);
      const long step = A::template step<Point::lane>(p.binding);
#pragma unroll
      for (int i = 0; i < Point::width; ++i)
        if (i < p.n) data[i * step + static_cast<long>(rows[i]) * stride] = rounded<T>(v[i]);
      return;
    } else {
      data += static_cast<long>(evaluate_one<where>(p.binding, p.index, p.held)) * stride;
    }
  }
  if constexpr (Point::vectors) {
    store_neighbours<T, Point::width>(data, v);
  } else {
    const long step = A::template step<Point::lane>(p.binding);
#pragma unroll
    for (int i = 0; i < Point::width; ++i)
      if (i < p.n) data[i * step] = rounded<T>(v[i]);
  }
}

// in blocks: the lanes that hold a group of 32 neighbours call this together, one after the other
template <class P, int store, class Point>
requires(StoreAccess<P, store>::dtype >= DType::q8_0) WEFT_DEVICE void write(const Point& p, const float* v) {
  using A = StoreAccess<P, store>;
  constexpr int where = A::Facts::place.index, dimension = A::Facts::place.dimension;
  long at = A::offset(p.binding, p.index);
  if constexpr (where >= 0) {
    static_assert(!varies_along<P, where, Point::lane>, "the rows that an index names hold whole blocks");
    at += static_cast<long>(evaluate_one<where>(p.binding, p.index, p.held)) * p.binding.view[A::leaf].stride[dimension];
  }
  write_in_blocks<typename A::T, Point::width>(A::data(p.binding), at, v);
}

// ---- may leaves and stores be accessed in vectors? Those below the roots, but for what is held and what does not vary along the lane
// axis.
template <class P, int node, int lane, int width> bool is_aligned_node(const Binding<P>& b) {
  constexpr NodeKind kind = trimmed_plan<P>.node[node].kind;
  if constexpr (kind == NodeKind::leaf || kind == NodeKind::gather) {
    using A = LeafAccess<P, node>;
    if constexpr (A::template uses<lane> && A::dtype < DType::q8_0) return A::template is_aligned<lane, width>(b);
  }
  return true;
}
template <class P, int root, int lane, int width, class Holder> bool is_aligned_graph(const Binding<P>& b) {
  using G = Graph<Point<P, lane, width, false, Holder>, root>;
  bool aligned = true;
  unroll<G::count>([&](auto j) { aligned = aligned && is_aligned_node<P, G::order.node[j], lane, width>(b); });
  return aligned;
}
// throws Error where neighbours along the lane axis are no whole blocks in memory
template <class P, int store, int lane> void expect_whole_blocks(const Binding<P>& b) {
  using A = StoreAccess<P, store>;
  constexpr long size = block_elements(A::dtype);
  bool whole = A::template step<lane>(b) == 1 && extent_of<P, lane>(b) % size == 0;
  unroll<A::Facts::count>([&](auto i) {
    constexpr int axis = A::Facts::addends.of[i].axis;
    if constexpr (axis != lane) whole = whole && A::template weight<i>(b) % size == 0;
  });
  if (!whole)
    throw Error(std::string("operand ") + Compiled<P>::table.leaf[A::leaf].path.text + ": a kernel stores runs of " +
                std::to_string(extent_of<P, lane>(b)) + " elements; " + name_of(A::dtype) + " needs whole blocks of " +
                std::to_string(size));
}
template <class P, int store, int lane, int width> bool is_aligned_store(const Binding<P>& b) {
  using A = StoreAccess<P, store>;
  if constexpr (is_block(A::dtype)) {
    expect_whole_blocks<P, store, lane>(b);
    return true;
  } else if constexpr (A::template uses<lane>)
    return A::template is_aligned<lane, width>(b);
  else
    return false;  // neighbours that are stored to one place, or to places that an index names
}

}  // namespace weft::cuda
