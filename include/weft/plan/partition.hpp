// partition: rules 4, 10 and 11 of the planner. Roots become stores, stores are ordered and join kernels; the nodes that kernels need are
// written out anew, with temporaries as leaves.
#pragma once
#include <weft/plan/cuts.hpp>

namespace weft {

template <class Table, int capacity> struct Partition : Cuts<Table, capacity> {
  using Base = Cuts<Table, capacity>;
  using Base::axes;
  using Base::axis;
  using Base::fail;
  using Base::home;
  using Base::node;
  using Base::root;
  using Base::roots;
  using Base::table;

  Store store[24];
  int stores = 0;
  Kernel kernel[16];
  int kernels = 0;

  constexpr explicit Partition(const Table& t) : Base(t) {
    if (this->error.problem != PlanProblem::none) return;
    order_roots();
    for (int i = 0; i < roots && this->error.problem == PlanProblem::none; ++i) rebuild_root(root[order[i]]);
    for (auto& c : this->cut_of_record) c = -1;  // from here on temporaries are leaves, and nothing is cut
    for (int i = 0; i < roots && this->error.problem == PlanProblem::none; ++i) emit(order[i]);
    for (int i = 0; i < stores && this->error.problem == PlanProblem::none; ++i) place(i);
  }

  // ---- 12. order: a root comes after those that make what it reads, and before those that overwrite it
  short order[24]{};
  constexpr bool reads(short n, short top, short leaf, short version) {
    this->begin_visit();
    return reads_below(n, top, leaf, version);
  }
  constexpr bool reads_below(short n, short top, short leaf, short version) {
    if (!this->visit(n)) return false;
    if (n != top && this->is_cut(n)) return table.leaves + this->cut_of(n) == leaf;
    if ((node[n].kind == NodeKind::leaf || node[n].kind == NodeKind::gather) && node[n].leaf == leaf && node[n].version == version)
      return true;
    for (int k = 0; k < node[n].operands; ++k)
      if (reads_below(node[n].operand[k], top, leaf, version)) return true;
    return false;
  }
  constexpr bool must_follow(int later, int earlier) {
    const Store &l = root[later].store, &e = root[earlier].store;
    auto uses = [&](int i, short leaf, short version) {
      return reads(root[i].node, root[i].top(), leaf, version) ||
             (root[i].store.index >= 0 && reads(root[i].store.index, -1, leaf, version));
    };
    if (uses(later, e.leaf, e.version)) return true;                                                   // read after write
    if (e.leaf == l.leaf && e.version < l.version) return true;                                        // write after write
    return !l.temporary && l.version > 0 && uses(earlier, l.leaf, static_cast<short>(l.version - 1));  // write after read
  }
  constexpr void order_roots() {
    bool follows[24][24]{};
    for (int i = 0; i < roots; ++i)
      for (int j = 0; j < roots; ++j) follows[i][j] = i != j && must_follow(i, j);
    bool placed[24]{};
    for (int k = 0; k < roots; ++k) {
      int next = -1;
      for (int i = 0; i < roots && next < 0; ++i) {
        bool ready = !placed[i];
        for (int j = 0; ready && j < roots; ++j) ready = placed[j] || !follows[i][j];
        if (ready) next = i;
      }
      if (next < 0) return fail(PlanProblem::statements_wait_for_each_other, -1, waiting(placed));
      placed[next] = true;
      order[k] = static_cast<short>(next);
    }
  }

  constexpr int waiting(const bool* placed) const {  // a tensor whose statement waits
    for (int i = 0; i < roots; ++i)
      if (!placed[i] && !root[i].store.temporary) return root[i].store.leaf;
    return -1;
  }

  // ---- rebuild an expression: cut nodes become leaves, streamed contractions shed their factors, an axis may become a constant
  constexpr short rebuilt(short n, short top, short fixed_axis, int value, short* memo) {
    if (memo[n] >= 0) return memo[n];
    if (n != top && this->is_cut(n)) return memo[n] = temporary_leaf(n, fixed_axis, value);
    Node x = node[n];
    if (fixed_axis >= 0 && (x.bound & bit(fixed_axis))) return memo[n] = n;  // below, it is another axis of the same name
    if (fixed_axis >= 0)
      for (int d = 0; d < x.rank && x.kind != NodeKind::extent; ++d) x.at[d] = substitute(x.at[d], fixed_axis, constant_form(value));
    if (x.kind == NodeKind::stack && x.at[0].summands == 0)
      return memo[n] = rebuilt(x.operand[x.at[0].constant], top, fixed_axis, value, memo);
    for (int k = 0; k < x.operands; ++k) x.operand[k] = rebuilt(x.operand[k], top, fixed_axis, value, memo);
    x.record = x.environment = -1;  // the copy is not to be cut
    return memo[n] = this->intern(x);
  }
  constexpr short temporary_leaf(short n, short fixed_axis, int value) {
    const short t = this->cut_of(n);
    const auto& e = this->environment[node[n].environment];
    Node x;
    x.kind = NodeKind::leaf;
    x.leaf = static_cast<short>(table.leaves + t);
    x.dtype = this->temporary[t].dtype;
    for (; x.rank < this->temporary[t].rank; ++x.rank) {
      x.at[x.rank] = this->form_of(e, this->temporary[t].axis[x.rank]);
      if (fixed_axis >= 0) x.at[x.rank] = substitute(x.at[x.rank], fixed_axis, constant_form(value));
    }
    return this->intern(x);
  }
  constexpr short rebuild(short n, short top, short fixed_axis = -1, int value = 0) {
    short memo[capacity];
    for (auto& m : memo) m = -1;
    return rebuilt(n, top, fixed_axis, value, memo);
  }
  constexpr short replace(short n, short from, short to) {
    short memo[capacity];
    for (auto& m : memo) m = -1;
    memo[from] = to;
    return rebuilt(n, n, -1, 0, memo);
  }

  constexpr void rebuild_root(Root& r) {
    r.store.node = rebuild(r.node, r.top());
    if (r.store.index >= 0) r.store.index = rebuild(r.store.index, -1);
  }

  // ---- a root becomes stores
  struct StreamOf {
    short contraction = -1;
    Streaming s;
  };
  StreamOf stream_of[24];  // of each store
  constexpr void emit(int r) {
    Store s = root[r].store;
    StreamOf st;
    if (root[r].streams) {
      const short c = this->outermost(NodeKind::contract, s.node).member[0];
      st.s = this->streaming(c);
      Node outer = node[c];
      outer.operand[0] = st.s.weight;
      st.contraction = this->intern(outer);
      short top = st.contraction;
      for (int i = st.s.factors; i-- > 0;) {
        Node f = node[st.s.factor[i]];
        f.operand[0] = top;
        f.operand[1] = st.s.factor_operand[i];
        top = this->intern(f);
      }
      s.node = replace(s.node, c, top);
    }
    add_store(s, st);
  }
  // 4. a Stack at a store unrolls its axis: one store for each value
  constexpr void add_store(Store s, const StreamOf& st) {
    const short a = st.contraction >= 0 ? short(-1) : stacked_axis(s.node);
    if (a < 0) {
      s.kind = OutputKind::element;
      if (stores == 24) return fail(PlanProblem::expression_is_too_large);
      stream_of[stores] = st;
      store[stores++] = s;
      return;
    }
    short memo[capacity];
    for (auto& m : memo) m = -1;
    const short unrolled = unroll_reductions(s.node, a, memo);
    for (int c = 0; c < axis[a].record.extent; ++c) {
      Store one = s;
      for (int d = 0; d < s.rank; ++d) one.at[d] = substitute(s.at[d], a, constant_form(c));
      one.node = rebuild(unrolled, unrolled, a, c);
      if (s.index >= 0) one.index = rebuild(s.index, -1, a, c);
      add_store(one, st);
    }
  }
  constexpr short stacked_axis(short n) {
    this->begin_visit();
    return stacked_axis_below(n);
  }
  constexpr short stacked_axis_below(short n) {
    if (!this->visit(n)) return -1;
    if (node[n].kind == NodeKind::stack && node[n].at[0].summands == 1 && node[n].at[0].constant == 0) return node[n].at[0].term[0].axis;
    if (node[n].kind == NodeKind::contract || node[n].kind == NodeKind::reduce) return -1;
    for (int k = 0; k < node[n].operands; ++k)
      if (const short a = stacked_axis_below(node[n].operand[k]); a >= 0) return a;
    return -1;
  }
  // the reductions of an unrolled store reduce the unrolled values: sum over an axis of a copy (renamed apart) of it
  constexpr short unroll_reductions(short n, short a, short* memo) {
    if (memo[n] >= 0) return memo[n];
    Node x = node[n];
    if (x.kind == NodeKind::contract) return memo[n] = n;
    for (int k = 0; k < x.operands; ++k) x.operand[k] = unroll_reductions(x.operand[k], a, memo);
    if (x.kind == NodeKind::reduce && node[n].has_contraction)
      for (short b = 0; b < axes; ++b)
        if ((x.bound & bit(b)) && axis[b].origin == axis[a].origin && axis[b].record.extent <= max_operands && axis[b].record.extent > 0) {
          const short body = x.operand[0];
          x.bound &= ~bit(b);
          x.operands = static_cast<short>(axis[b].record.extent);
          for (int c = 0; c < x.operands; ++c) x.operand[c] = rebuild(body, -1, b, c);
          break;
        }
    return memo[n] = this->intern(x);
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
      rows |= node[r.member[k]].axes;
    }
    const Mask all = stored_axes(i), columns = r.count ? all & ~rows : all;
    int k = -1;  // stores over the same rows and columns share a kernel: each row is read once
    for (int j = first; j < kernels && k < 0; ++j) {
      const Kernel& q = kernel[j];
      if ((q.skeleton == Skeleton::row || q.skeleton == Skeleton::map) && q.bound == bound && q.rows == rows &&
          q.segment[0].columns == columns && q.segment[0].stores < 8)
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
    if (!columns) store[i].kind = OutputKind::row_statistic;
    for (int s = 0; s < r.count; ++s) add_unique(kernel[k].statistic, kernel[k].statistics, r.member[s]);
    append(kernel[k].segment[0].store, kernel[k].segment[0].stores, static_cast<short>(i));
  }

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
  constexpr Mask rows_of(short c) const { return node[node[c].operand[0]].axes & ~node[c].bound; }

  constexpr void place_contraction(int i, const NodeSet& c, int first) {
    int k = -1;  // several right operands of one left operand are one kernel
    for (int j = first; j < kernels && k < 0; ++j) {
      if (kernel[j].skeleton != Skeleton::contraction || kernel[j].rows != rows_of(c.member[0]) || kernel[j].segments == 6) continue;
      for (int m = 0; m < c.count && k < 0; ++m)
        if (kernel[j].left[0].node == node[c.member[m]].operand[0] && kernel[j].left[0].bound == node[c.member[m]].bound) k = j;
    }
    if (k < 0) {
      new_kernel(Skeleton::contraction);
      k = kernels - 1;
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
      q.batch |= node[node[c.member[m]].operand[1]].axes & q.rows;
      const short left = static_cast<short>(left_number(q, c.member[m]));
      const short before = s.contractions;
      add_unique(s.contraction, s.contractions, c.member[m]);
      if (s.contractions != before) s.left_of[before] = left;
    }
    append(s.store, s.stores, static_cast<short>(i));
    NodeSet r;
    this->begin_visit();
    this->epilogue_reductions(store[i].node, -1, r);
    for (int m = 0; m < r.count; ++m) {
      s.columns |= node[r.member[m]].bound;  // an axis that a tile reduces is a column of it
      add_unique(s.reduction, s.reductions, r.member[m]);
    }
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
      if (x.bound == outer.bound && x.monoid == Monoid::sum)
        add_unique(q.stream.sum, q.stream.sums, r.member[m]);
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
