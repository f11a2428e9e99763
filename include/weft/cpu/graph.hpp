// graph: evaluates an expression of a plan at one place: a scalar, or a packet along the lane axis. The walk over the nodes is written out at
// compile time and the values live in registers. What the kernel has at hand (statistics, accumulators) it holds; what does not change along
// the lane axis is computed once a row.
#pragma once
#include <weft/cpu/access.hpp>

namespace weft::cpu {

// A Holder says which nodes a kernel has the value of: `static constexpr NodeList nodes`, and get<node, V>() for each.
struct HoldsNothing {
  static constexpr NodeList nodes{};
  template <int node, class V> WEFT_INLINE V get() const { return V(0.f); }
};

// a place: indices, how many lanes count, what is held
template <class P_, int lane_, class Holder> struct Point {
  using P = P_;
  static constexpr int lane = lane_;  // the lane axis; -1: a scalar
  using Held = Holder;
  const Binding<P>& binding;
  const Index<P>& index;
  const Holder& held;
  long n = Packet::lanes;
};

template <class Point, int root> struct Graph {
  using P = typename Point::P;
  static constexpr auto& plan = plan_of<P>;
  static constexpr NodeList order = [] {
    NodeList o;
    order_nodes(plan, root, Point::Held::nodes, o);
    return o;
  }();

  template <int j, class V> WEFT_INLINE static V value(const V* r, const Point& p) {
    constexpr int id = order.node[j];
    constexpr NodeKind kind = plan.node[id].kind;
    constexpr int operands = plan.node[id].operands;
    constexpr int a = operands > 0 ? order.find(plan.node[id].operand[0]) : 0, b = operands > 1 ? order.find(plan.node[id].operand[1]) : 0,
                  c = operands > 2 ? order.find(plan.node[id].operand[2]) : 0, d = operands > 3 ? order.find(plan.node[id].operand[3]) : 0;
    if constexpr (Point::Held::nodes.has(id)) {
      return p.held.template get<id, V>();
    } else if constexpr (kind == NodeKind::leaf) {
      return read<id, V>(0, p);
    } else if constexpr (kind == NodeKind::gather) {
      return gathered<id, V>(r[a], p);
    } else if constexpr (kind == NodeKind::constant) {
      constexpr float x = static_cast<float>(std::bit_cast<double>(plan.node[id].bits));
      return V(x);
    } else if constexpr (kind == NodeKind::position) {
      return place<id, V>(p);
    } else if constexpr (kind == NodeKind::extent) {
      constexpr int axis = plan.node[id].at[0].term[0].axis;
      return V(static_cast<float>(extent_of<P, axis>(p.binding)));
    } else if constexpr (kind == NodeKind::cast) {
      static_assert(!is_block(plan.node[id].dtype), "rows are quantised where they are staged");
      using T = typename type_of<plan.node[id].dtype>::type;
      if constexpr (std::is_same_v<V, float>)
        return to_float(from_float<T>(r[a]));
      else
        return round_to<T>(r[a]);
    } else if constexpr (kind == NodeKind::stack) {
      const V which = place<id, V>(p);
      V x = r[a];
      if constexpr (operands > 1) x = pick(which, 1.f, r[b], x);
      if constexpr (operands > 2) x = pick(which, 2.f, r[c], x);
      if constexpr (operands > 3) x = pick(which, 3.f, r[d], x);
      return x;
    } else if constexpr (kind == NodeKind::reduce) {  // a reduction whose axis was unrolled
      static_assert(plan.node[id].bound == 0, "a reduction is held by its kernel");
      constexpr bool is_sum = plan.node[id].monoid == Monoid::sum;
      V x = r[a];
      if constexpr (operands > 1) x = combine<is_sum>(x, r[b]);
      if constexpr (operands > 2) x = combine<is_sum>(x, r[c]);
      if constexpr (operands > 3) x = combine<is_sum>(x, r[d]);
      return x;
    } else {
      static_assert(kind == NodeKind::map, "a contraction is held by its kernel");
      using Op = functor_at<P, plan.node[id].functor>;
      if constexpr (operands == 1)
        return Op::apply(r[a]);
      else if constexpr (operands == 2)
        return Op::apply(r[a], r[b]);
      else
        return Op::apply(r[a], r[b], r[c]);
    }
  }
  template <class V> WEFT_INLINE static V pick(V which, float number, V a, V b) {
    using math::equal;
    using math::select;
    return select(equal(which, V(number)), a, b);
  }
  template <bool is_sum, class V> WEFT_INLINE static V combine(V a, V b) {
    using math::max;
    if constexpr (is_sum)
      return a + b;
    else
      return max(a, b);
  }
  // the value of an index form: of a position, of the axis of a stack
  template <int id, class V> WEFT_INLINE static V place(const Point& p) {
    using A = LeafAccess<P, id>;
    constexpr int summands = plan.node[id].at[0].summands, constant = plan.node[id].at[0].constant;
    long x = constant;
    V lanes(0.f);
    unroll<summands>([&](auto t) WEFT_FLAT {
      constexpr int axis = plan.node[id].at[0].term[t].axis;
      x += A::template factor<0, t>(p.binding) * (axis == Term::no_axis ? 1 : p.index[axis == Term::no_axis ? 0 : axis]);
      if constexpr (std::is_same_v<V, Packet>)  // on its own: clang 14 checks what a condition that depends on t would discard
        if constexpr (axis == Point::lane) lanes = iota() * Packet(static_cast<float>(A::template factor<0, t>(p.binding)));
    });
    return V(static_cast<float>(x)) + lanes;
  }
  template <int id, class V> WEFT_INLINE static V read(long extra, const Point& p) {
    using A = LeafAccess<P, id>;
    const auto data = A::data(p.binding) + A::offset(p.binding, p.index) + extra;
    if constexpr (std::is_same_v<V, float>)
      return element_at(data);
    else if constexpr (!A::uses(Point::lane))
      return V(element_at(data));
    else
      return load_along(data, A::template step<Point::lane>(p.binding), p.n);
  }
  template <int id, class V> WEFT_INLINE static V gathered(V which, const Point& p) {
    using A = LeafAccess<P, id>;
    constexpr int d = plan.node[id].dimension;
    if (p.binding.view[A::leaf].parts) return gathered_from_parts<id>(which, p);
    const long stride = p.binding.view[A::leaf].stride[d];
    if constexpr (std::is_same_v<V, float>) {
      return read<id, V>(static_cast<long>(which) * stride, p);
    } else if constexpr (!(plan.node[plan.node[id].operand[0]].axes & bit(Point::lane))) {
      return read<id, V>(static_cast<long>(which.v[0]) * stride, p);
    } else {
      float picked[Packet::lanes] = {};
      const auto data = A::data(p.binding) + A::offset(p.binding, p.index);
      const long step = A::template step<Point::lane>(p.binding);
      for (long i = 0; i < p.n && i < Packet::lanes; ++i)
        picked[i] = element_at(data + (i * step + static_cast<long>(which.v[i]) * stride));
      return load(picked);
    }
  }
  template <int id, class V> [[gnu::noinline]] static V gathered_from_parts(V which, const Point& p) {
    using A = LeafAccess<P, id>;
    View v = p.binding.view[A::leaf];
    const auto element = [&](float part, long extra) {
      v.data = p.binding.view[A::leaf].parts[static_cast<long>(part)];
      return elements_of<typename A::T>(v) + A::offset(p.binding, p.index) + extra;
    };
    if constexpr (std::is_same_v<V, float>) {
      return element_at(element(which, 0));
    } else {
      const long step = A::template step<Point::lane>(p.binding);
      if constexpr (!(plan.node[plan.node[id].operand[0]].axes & bit(Point::lane))) {
        const auto data = element(which.v[0], 0);
        if constexpr (A::uses(Point::lane))
          return load_along(data, step, p.n);
        else
          return V(element_at(data));
      } else {
        float picked[Packet::lanes] = {};
        for (long i = 0; i < p.n && i < Packet::lanes; ++i) picked[i] = element_at(element(which.v[i], i * step));
        return load(picked);
      }
    }
  }
  template <class V, int... j> WEFT_INLINE static V run(const Point& p, std::integer_sequence<int, j...>) {
    V r[sizeof...(j)];
    ((r[j] = value<j, V>(r, p)), ...);
    return r[sizeof...(j) - 1];
  }
  template <class V> WEFT_INLINE static V evaluate(const Point& p) { return run<V>(p, std::make_integer_sequence<int, order.count>{}); }
};

// the value of a node at a point
template <int root, class V, class Point> WEFT_INLINE V evaluate(const Point& p) { return Graph<Point, root>::template evaluate<V>(p); }

// ---- what does not change along the lane axis: computed once a row
template <class P, int lane, class Holder> struct RowInvariants {
  template <class Plan> static constexpr bool varies(const Plan& plan, int node) { return (plan.node[node].axes & bit(lane)) != 0; }
  // the highest invariant maps below a root
  template <class Plan> static constexpr void collect(const Plan& plan, int node, NodeList& seen, NodeList& found) {
    if (seen.has(node) || Holder::nodes.has(node)) return;
    seen.add(node);
    if (!varies(plan, node)) {
      if (plan.node[node].kind == NodeKind::map || plan.node[node].kind == NodeKind::gather) found.add(node);
      return;
    }
    for (int k = 0; k < plan.node[node].operands; ++k) collect(plan, plan.node[node].operand[k], seen, found);
  }
};
template <class P, int lane, class Holder, const NodeList& roots> struct WithInvariants {
  static constexpr NodeList invariant = [] {
    NodeList seen, found;
    for (int i = 0; i < roots.count; ++i) RowInvariants<P, lane, Holder>::collect(plan_of<P>, roots.node[i], seen, found);
    return found;
  }();
  static constexpr NodeList nodes = [] {
    NodeList all = Holder::nodes;
    for (int i = 0; i < invariant.count; ++i) all.add(invariant.node[i]);
    return all;
  }();
  const Holder& holder;
  float value[invariant.count ? invariant.count : 1];

  WEFT_INLINE WithInvariants(const Binding<P>& b, const Index<P>& index, const Holder& h) : holder(h) {
    const Point<P, -1, Holder> p{b, index, h};
    unroll<invariant.count>([&](auto i) WEFT_FLAT { value[i] = evaluate<invariant.node[i], float>(p); });
  }
  template <int node, class V> WEFT_INLINE V get() const {
    if constexpr (invariant.has(node))
      return V(value[invariant.find(node)]);
    else
      return holder.template get<node, V>();
  }
};

}  // namespace weft::cpu
