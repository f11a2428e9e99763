// loops: facts of a plan that every executor builds its kernels from: in which order the axes of a kernel are walked, where the elements of
// a leaf lie, in which order the nodes of an expression are computed.
#pragma once
#include <weft/plan/plan_value.hpp>

namespace weft {

struct AxisList {  // outermost first
  short axis[8]{};
  int count = 0;
};

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

// ---- the offset of an element is a sum of addends, one for each summand of each dimension
struct Addend {
  short dimension = 0, axis = Term::no_axis;
  Factor factor;
};
struct Addends {
  Addend of[max_rank * (IndexForm::capacity + 1) + 1];
  int count = 0;
};
// of a leaf (a node of the plan) or a store
template <class Place> constexpr Addends addends_of(const Place& place) {
  Addends a;
  for (int d = 0; d < place.rank; ++d) {
    const IndexForm& f = place.at[d];
    if (f.constant) a.of[a.count++] = {static_cast<short>(d), Term::no_axis, Factor{f.constant}};
    for (int t = 0; t < f.summands; ++t) a.of[a.count++] = {static_cast<short>(d), f.term[t].axis, f.term[t].factor};
  }
  return a;
}

// ---- lists of nodes
struct NodeList {
  static constexpr int capacity = 160;
  short node[capacity]{};
  int count = 0;
  constexpr int find(int n) const {
    for (int i = 0; i < count; ++i)
      if (node[i] == n) return i;
    return -1;
  }
  constexpr bool has(int n) const { return find(n) >= 0; }
  constexpr void add(int n) {
    if (n >= 0 && !has(n)) node[count++] = static_cast<short>(n);
  }
};

template <class Plan> constexpr void order_nodes(const Plan& plan, int node, const NodeList& held, NodeList& order) {
  if (order.has(node)) return;
  if (!held.has(node))
    for (int k = 0; k < plan.node[node].operands; ++k) order_nodes(plan, plan.node[node].operand[k], held, order);
  order.add(node);
}

// ---- the tile of a segment
// what the accumulators of a segment hold when its epilogue runs: its contractions, or the sum over their rows
constexpr NodeList accumulated(const Segment& s) {
  NodeList l;
  if (s.combine >= 0) l.add(s.combine);
  for (int i = 0; i < s.contractions && s.combine < 0; ++i) l.add(s.contraction[i]);
  return l;
}
// Are some reductions of a segment more than one number for all columns that its tile reduces (tile_arrays of an executor)?
template <class Plan> constexpr bool reduces_to_arrays(const Plan& plan, const Segment& s) {
  Mask columns = 0;
  for (int i = 0; i < s.contractions; ++i) columns |= plan.node[s.contraction[i]].axes;
  for (int i = 0; i < s.reductions; ++i) {
    const Node& r = plan.node[s.reduction[i]];
    if (r.kind == NodeKind::top_k || r.bound != plan.node[s.reduction[0]].bound || (r.axes & ~columns)) return true;
  }
  return false;
}
// The columns of a segment's tile: those of its contractions (an array may have other axes, too), and which of them its epilogue reduces over.
struct TileColumns {
  bool in_arrays;
  Mask all, reduced;
};
template <class Plan> constexpr TileColumns tile_columns(const Plan& plan, const Segment& s) {
  TileColumns c{reduces_to_arrays(plan, s), s.columns, 0};
  Mask contracted = 0;
  for (int i = 0; i < s.contractions; ++i) contracted |= plan.node[s.contraction[i]].axes;
  if (c.in_arrays) c.all &= contracted;
  for (int i = 0; i < s.reductions; ++i) c.reduced |= plan.node[s.reduction[i]].bound & c.all;
  return c;
}

}  // namespace weft
