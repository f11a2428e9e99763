// partition: rules 10 and 11 of the planner: stores join kernels.
#pragma once
#include <weft/plan/stores.hpp>

namespace weft {

template <class Table, int capacity> struct Partition : Stores<Table, capacity> {
  using Base = Stores<Table, capacity>;
  using Base::axes;
  using Base::axis;
  using Base::fail;
  using Base::node;
  using Base::reads;
  using Base::store;
  using Base::stores;
  using Base::stream_of;
  using Base::table;
  using typename Base::StreamOf;

  Kernel kernel[16];
  int kernels = 0;

  constexpr explicit Partition(const Table& t) : Base(t) {
    for (int i = 0; i < stores && this->error.problem == PlanProblem::none; ++i) place(i);
  }

  // ---- 10. a store joins a kernel, or makes one
  constexpr void place(int i) {
    const NodeSet c = this->outermost(NodeKind::contract, store[i].node);
    const int first = earliest_kernel(i);
    if (stream_of[i].contraction >= 0)
      place_stream(i);
    else if (c.count)
      place_contraction(i, c, first);
    else
      place_row(i, first);
  }
  constexpr bool uses(int i, short leaf, short version) {
    return reads(store[i].node, -1, leaf, version) || (store[i].index >= 0 && reads(store[i].index, -1, leaf, version));
  }
  // the first kernel that a store may join: after all that it must follow
  constexpr int earliest_kernel(int i) {
    int first = 0;
    for (int k = 0; k < kernels; ++k)
      for (int g = 0; g < kernel[k].segments; ++g)
        for (int j = 0; j < kernel[k].segment[g].stores; ++j) {
          const Store &e = store[kernel[k].segment[g].store[j]], &l = store[i];
          const bool after =
              uses(i, e.leaf, e.version) || (e.leaf == l.leaf && e.version < l.version) ||
              (!l.temporary && l.version > 0 && uses(kernel[k].segment[g].store[j], l.leaf, static_cast<short>(l.version - 1)));
          if (after) first = k + 1;
        }
    return first;
  }
  constexpr Kernel& new_kernel(Skeleton s) {
    if (kernels == 16) {
      fail(PlanProblem::expression_is_too_large);
      kernels = 15;
    }
    kernel[kernels].skeleton = s;
    return kernel[kernels++];
  }
  constexpr Mask stored_axes(int i) const {
    Mask m = node[store[i].node].axes;
    for (int d = 0; d < store[i].rank; ++d) m |= store[i].at[d].axes();
    if (store[i].index >= 0) m |= node[store[i].index].axes;
    return m;
  }
  template <int most> constexpr void append(short (&list)[most], short& count, short n) {
    if (count == most) return fail(PlanProblem::expression_is_too_large);
    list[count++] = n;
  }
  template <int most> constexpr void add_unique(short (&list)[most], short& count, short n) {
    for (int i = 0; i < count; ++i)
      if (list[i] == n) return;
    append(list, count, n);
  }

  constexpr void place_row(int i, int first) {
    const NodeSet r = this->reductions(store[i].node);
    Mask bound = 0, rows = 0;
    for (int k = 0; k < r.count; ++k) {
      bound = node[r.member[k]].bound;
      rows |= rows_of_reduction(node[r.member[k]]);
    }
    const bool alone = stands_alone(store[i]);
    const Mask all = stored_axes(i), columns = r.count ? all & ~rows : all;
    int k = -1;  // stores over the same rows and columns share a kernel: each row is read once
    for (int j = first; j < kernels && k < 0; ++j) {
      const Kernel& q = kernel[j];
      if ((q.skeleton == Skeleton::row || q.skeleton == Skeleton::map) && q.bound == bound && q.rows == rows &&
          q.segment[0].columns == columns && q.segment[0].stores < 8 && !alone && !stands_alone(store[q.segment[0].store[0]]))
        k = j;
    }
    if (k < 0) {
      new_kernel(r.count ? Skeleton::row : Skeleton::map);
      k = kernels - 1;
      kernel[k].rows = rows;
      kernel[k].bound = bound;
      kernel[k].segments = 1;
      kernel[k].segment[0].columns = columns;
    }
    if (!columns && !alone) store[i].kind = OutputKind::row_statistic;
    for (int s = 0; s < r.count; ++s) add_unique(kernel[k].statistic, kernel[k].statistics, r.member[s]);
    append(kernel[k].segment[0].store, kernel[k].segment[0].stores, static_cast<short>(i));
  }

  // a selection, or a sum of rows that meet in one place, is a kernel of its own
  constexpr bool stands_alone(const Store& s) const { return node[s.node].kind == NodeKind::top_k || s.kind == OutputKind::accumulate; }

  constexpr Left make_left(short n, Mask bound) {
    Left l;
    l.node = n;
    l.bound = bound;
    const NodeSet r = this->reductions(n);
    for (int i = 0; i < r.count; ++i) append(l.statistic, l.statistics, r.member[i]);
    return l;
  }
  constexpr int left_number(Kernel& q, short c) {
    const short n = node[c].operand[0];
    for (int i = 0; i < q.lefts; ++i)
      if (q.left[i].node == n && q.left[i].bound == node[c].bound) return i;
    if (q.lefts == static_cast<int>(sizeof q.left / sizeof q.left[0])) {
      fail(PlanProblem::expression_is_too_large);
      return 0;
    }
    q.left[q.lefts] = make_left(n, node[c].bound);
    return q.lefts++;
  }
  constexpr Mask rows_of(short c) const { return rows_of_contraction(node, c); }
  constexpr short index_of(short c) const { return is_routed(node, c) ? node[node[c].operand[1]].operand[0] : short{-1}; }

  constexpr void place_contraction(int i, const NodeSet& c, int first) {
    NodeSet r;
    this->begin_visit();
    this->epilogue_reductions(store[i].node, -1, r);
    const short combine = this->combine(store[i].node, -1, r);
    const Mask combined = combine < 0 ? 0 : node[combine].bound;
    int k = -1;  // several right operands of one left operand are one kernel
    const short index = index_of(c.member[0]);
    const Skeleton skeleton = index < 0 ? Skeleton::contraction : Skeleton::route;
    for (int j = first; j < kernels && k < 0; ++j) {
      if (kernel[j].skeleton != skeleton || kernel[j].index != index || kernel[j].combined != combined ||
          kernel[j].rows != rows_of(c.member[0]) || kernel[j].segments == 6 || adds_up_otherwise(kernel[j], c, combine))
        continue;
      for (int m = 0; m < c.count && k < 0; ++m)
        if (kernel[j].left[0].node == node[c.member[m]].operand[0] && kernel[j].left[0].bound == node[c.member[m]].bound) k = j;
    }
    if (k < 0) {
      new_kernel(skeleton);
      k = kernels - 1;
      kernel[k].index = index;
      kernel[k].combined = combined;
      kernel[k].rows = rows_of(c.member[0]);
      kernel[k].bound = node[c.member[0]].bound;
    }
    Kernel& q = kernel[k];
    int g = -1;
    for (int j = 0; j < q.segments && g < 0; ++j)
      for (int m = 0; m < c.count; ++m)
        for (int t = 0; t < q.segment[j].contractions; ++t)
          if (q.segment[j].contraction[t] == c.member[m]) g = j;
    if (g < 0) {
      g = q.segments++;
      q.segment[g].columns = stored_axes(i) & ~q.rows;
    }
    Segment& s = q.segment[g];
    for (int m = 0; m < c.count; ++m) {
      if (index < 0) q.batch |= node[node[c.member[m]].operand[1]].axes & q.rows;
      const short left = static_cast<short>(left_number(q, c.member[m]));
      const short before = s.contractions;
      add_unique(s.contraction, s.contractions, c.member[m]);
      if (s.contractions != before) s.left_of[before] = left;
    }
    append(s.store, s.stores, static_cast<short>(i));
    s.combine = combine;
    for (int m = 0; m < r.count; ++m) {
      if (r.member[m] == combine) continue;
      s.columns |= node[r.member[m]].bound;  // an axis that a tile reduces is a column of it
      add_unique(s.reduction, s.reductions, r.member[m]);
    }
    if (!s.columns) s.columns = bit(unit_axis());
  }
  // does a segment with one of these contractions make another sum of its rows?
  constexpr bool adds_up_otherwise(const Kernel& q, const NodeSet& c, short combine) const {
    for (int g = 0; g < q.segments; ++g)
      for (int t = 0; t < q.segment[g].contractions; ++t)
        if (c.has(q.segment[g].contraction[t]) && q.segment[g].combine != combine) return true;
    return false;
  }
  // the only column of a contraction whose right operand is a vector
  constexpr short unit_axis() {
    constexpr AxisRecord unit = {"one", 1, true};
    for (short a = static_cast<short>(table.axes); a < axes; ++a)
      if (axis[a].record.name == unit.name) return a;
    if (axes == max_axes) {
      fail(PlanProblem::expression_is_too_large);
      return 0;
    }
    axis[axes] = {unit, static_cast<short>(axes)};
    return static_cast<short>(axes++);
  }

  // ---- streams: the bounds of the loop over the streamed axis come from the mask (rule 8)
  constexpr void place_stream(int i) {
    const StreamOf& st = stream_of[i];
    Kernel& q = new_kernel(Skeleton::stream);
    const Node& outer = node[st.contraction];
    q.stream.outer = st.contraction;
    q.stream.inner = st.s.inner;
    q.stream.score = st.s.score;
    q.stream.maximum = st.s.maximum;
    q.stream.weight = st.s.weight;
    q.bound = outer.bound;
    q.left[q.lefts++] = make_left(node[st.s.inner].operand[0], node[st.s.inner].bound);
    q.rows = node[st.s.weight].axes & ~outer.bound;
    q.batch = q.rows & (node[outer.operand[1]].axes | node[node[st.s.inner].operand[1]].axes);
    NodeSet r;
    this->begin_visit();
    this->reductions_through(store[i].node, r);
    for (int m = 0; m < r.count; ++m) {
      const Node& x = node[r.member[m]];
      if (x.bound == outer.bound && x.monoid == Monoid::sum) add_unique(q.stream.sum, q.stream.sums, r.member[m]);
    }
    const Node& masked = node[st.s.score >= 0 ? st.s.score : st.s.weight];
    if (masked.kind == NodeKind::map && masked.algebra.is_where) {
      const Node& otherwise = node[masked.operand[2]];
      const std::uint64_t nothing = st.s.score >= 0 ? 0xfff0000000000000u : 0u;
      if (otherwise.kind == NodeKind::constant && otherwise.bits == nothing) find_bounds(masked.operand[0], q);
    }
    Segment& g = q.segment[q.segments++];
    g.contraction[g.contractions++] = st.contraction;
    g.columns = stored_axes(i) & ~q.rows;
    g.store[g.stores++] = static_cast<short>(i);
    NodeSet e;
    this->begin_visit();
    this->epilogue_reductions(store[i].node, -1, e);
    for (int m = 0; m < e.count; ++m)
      if (node[e.member[m]].bound != outer.bound) {
        g.columns |= node[e.member[m]].bound;
        add_unique(g.reduction, g.reductions, e.member[m]);
      }
  }
  constexpr void find_bounds(short n, Kernel& q) const {
    const Node& x = node[n];
    if (x.kind != NodeKind::map) return;
    if (x.algebra.is_and) {
      find_bounds(x.operand[0], q);
      find_bounds(x.operand[1], q);
      return;
    }
    if (x.algebra.comparison == Comparison::none) return;
    auto is_streamed_position = [&](short i) {
      return node[i].kind == NodeKind::position && node[i].axes == q.bound && count_axes(q.bound) == 1 &&
             node[i].at[0].is_axis(std::countr_zero(q.bound));
    };
    Comparison c = x.algebra.comparison;
    short position = x.operand[0], value = x.operand[1];
    if (!is_streamed_position(position)) {  // turned round: a < b is b > a
      position = x.operand[1];
      value = x.operand[0];
      c = c == Comparison::less         ? Comparison::greater
          : c == Comparison::less_equal ? Comparison::greater_equal
          : c == Comparison::greater    ? Comparison::less
                                        : Comparison::less_equal;
    }
    if (!is_streamed_position(position) || (node[value].axes & q.bound)) return;
    Stream& s = q.stream;
    const bool upper = c == Comparison::less || c == Comparison::less_equal;
    if (upper ? s.highs == 2 : s.lows == 2) return;
    if (upper)
      s.high[s.highs++] = {value, static_cast<short>(c == Comparison::less_equal)};
    else
      s.low[s.lows++] = {value, static_cast<short>(c == Comparison::greater)};
    s.inside[s.insides++] = n;
  }
};

}  // namespace weft
