// plan: from the type of a program to its plan, once per program type. Compiled<P>::plan is the value that kernel_count, explain, the
// executors and static_asserts read.
#pragma once
#include <weft/plan/partition.hpp>
#include <weft/plan/type_of_record.hpp>

namespace weft {

// the nodes that kernels need, renumbered; everything else is left behind
template <class Planner, int capacity> constexpr PlanValue<capacity> compact(Planner p) {
  PlanValue<capacity> v;
  short number[4096 / 4]{};
  for (auto& n : number) n = -1;
  auto keep = [&](auto self, short n) -> short {
    if (n < 0) return n;
    if (number[n] >= 0) return number[n];
    Node x = p.node[n];
    for (int k = 0; k < x.operands; ++k) x.operand[k] = self(self, x.operand[k]);
    v.node[v.nodes] = x;
    return number[n] = static_cast<short>(v.nodes++);
  };
  auto renumber = [&](short& n) { n = keep(keep, n); };
  v.stores = p.stores;
  for (int i = 0; i < p.stores; ++i) {
    v.store[i] = p.store[i];
    renumber(v.store[i].node);
    renumber(v.store[i].index);
  }
  v.kernels = p.kernels;
  for (int k = 0; k < p.kernels; ++k) {
    Kernel q = p.kernel[k];
    for (int i = 0; i < q.lefts; ++i) {
      renumber(q.left[i].node);
      for (int s = 0; s < q.left[i].statistics; ++s) renumber(q.left[i].statistic[s]);
    }
    for (int g = 0; g < q.segments; ++g) {
      for (int c = 0; c < q.segment[g].contractions; ++c) renumber(q.segment[g].contraction[c]);
      for (int r = 0; r < q.segment[g].reductions; ++r) renumber(q.segment[g].reduction[r]);
      renumber(q.segment[g].combine);
    }
    for (int s = 0; s < q.statistics; ++s) renumber(q.statistic[s]);
    renumber(q.index);
    Stream& s = q.stream;
    for (short* n : {&s.inner, &s.outer, &s.score, &s.maximum, &s.weight}) renumber(*n);
    for (int i = 0; i < s.sums; ++i) renumber(s.sum[i]);
    for (int i = 0; i < s.lows; ++i) renumber(s.low[i].node);
    for (int i = 0; i < s.highs; ++i) renumber(s.high[i].node);
    for (int i = 0; i < s.insides; ++i) renumber(s.inside[i]);
    v.kernel[k] = q;
  }
  for (int a = 0; a < p.axes; ++a) v.axis[a] = p.axis[a];
  v.axes = p.axes;
  for (int t = 0; t < p.temporaries; ++t) v.temporary[t] = p.temporary[t];
  v.temporaries = p.temporaries;
  v.leaves = p.table.leaves;
  v.error = p.error;
  return v;
}

// the types that tables and plans of all programs share
inline constexpr int record_capacity = 320, plan_capacity = 512;
using ProgramTable = RecordTable<record_capacity>;
using ProgramPlan = PlanValue<plan_capacity>;

template <class P> struct Compiled {
  static constexpr auto table = reflect_program<record_capacity>(P{});
  static constexpr int capacity = plan_capacity;
  static constexpr auto plan = compact<Partition<std::remove_const_t<decltype(table)>, capacity>, capacity>(
      Partition<std::remove_const_t<decltype(table)>, capacity>(table));
};

template <class P> inline constexpr int kernel_count = Compiled<P>::plan.kernels;

// does a program read a leaf as the columns of a contraction? does it store to it?
template <class P> constexpr bool contracts_with(int leaf) {
  constexpr auto& plan = Compiled<P>::plan;
  for (int n = 0; n < plan.nodes; ++n)
    if (plan.node[n].kind == NodeKind::contract && (plan.node[plan.node[n].operand[1]].kind == NodeKind::leaf || is_routed(plan.node, n)) &&
        plan.node[plan.node[n].operand[1]].leaf == leaf)
      return true;
  return false;
}
template <class P> constexpr bool stores_to(int leaf) {
  for (int s = 0; s < Compiled<P>::plan.stores; ++s)
    if (Compiled<P>::plan.store[s].leaf == leaf) return true;
  return false;
}

// By what the rows of a program are routed: the temporary that holds which part each row asks for, and the axis of the parts. -1 where nothing is
// routed, or by an index that no kernel saves.
struct RoutedBy {
  short temporary = -1, axis = -1;
};
template <class P> constexpr RoutedBy routed_by() {
  constexpr auto& plan = Compiled<P>::plan;
  for (int k = 0; k < plan.kernels; ++k) {
    const Kernel& q = plan.kernel[k];
    if (q.index < 0 || plan.node[q.index].kind != NodeKind::leaf || plan.node[q.index].leaf < plan.leaves) continue;
    const Node& right = plan.node[plan.node[q.segment[0].contraction[0]].operand[1]];
    return {static_cast<short>(plan.node[q.index].leaf - plan.leaves), Compiled<P>::table.leaf[right.leaf].axis[right.dimension]};
  }
  return {};
}

// the functor of a Map, from the number of a record that has it
template <class P, int record> using functor_at = typename functor_of<typename type_of_record<P, record>::type>::type;

}  // namespace weft
