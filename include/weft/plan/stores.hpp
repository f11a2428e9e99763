// stores: rules 4 and 12 of the planner. Roots are ordered and become stores; the nodes that they need are written out anew, with temporaries as
// leaves.
#pragma once
#include <weft/plan/cuts.hpp>

namespace weft {

template <class Table, int capacity> struct Stores : Cuts<Table, capacity> {
  using Base = Cuts<Table, capacity>;
  using Base::axes;
  using Base::axis;
  using Base::fail;
  using Base::node;
  using Base::root;
  using Base::roots;
  using Base::table;

  Store store[24];
  int stores = 0;

  constexpr explicit Stores(const Table& t) : Base(t) {
    if (this->error.problem != PlanProblem::none) return;
    order_roots();
    for (int i = 0; i < roots && this->error.problem == PlanProblem::none; ++i) rebuild_root(root[order[i]]);
    for (auto& c : this->cut_of_record) c = -1;  // from here on temporaries are leaves, and nothing is cut
    for (int i = 0; i < roots && this->error.problem == PlanProblem::none; ++i) emit(order[i]);
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
    if (n != top && this->is_cut(n) && !is_at_hand(n)) return memo[n] = temporary_leaf(n, fixed_axis, value);
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

  // A saved selection is no leaf for a root that has the contractions from which it is made: the same tile holds it.
  NodeSet own_contractions;
  constexpr bool is_at_hand(short n) {
    if (node[n].kind != NodeKind::top_k || !own_contractions.count || !this->contracts(n, n)) return false;
    const NodeSet c = this->outermost(NodeKind::contract, n, n);
    for (int k = 0; k < c.count; ++k)
      if (!own_contractions.has(c.member[k])) return false;
    return true;
  }
  constexpr void rebuild_root(Root& r) {
    own_contractions = this->outermost(NodeKind::contract, r.node, r.top());
    r.store.node = rebuild(r.node, r.top());
    own_contractions = NodeSet{};
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
      if (s.kind != OutputKind::accumulate) s.kind = OutputKind::element;
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
};

}  // namespace weft
