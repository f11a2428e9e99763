// cuts: rules 9 and 12 of the planner. Decides, over the whole program and before any kernel exists, which values are materialised as
// temporaries, and why. Each statement and each temporary becomes a root: something that is stored.
#pragma once
#include <weft/plan/legality.hpp>

namespace weft {

struct Root {
  short node = -1;
  Store store;
  bool streams = false;
  bool copies = false;                                               // its value was made by another root, into a temporary
  constexpr short top() const { return copies ? short{-1} : node; }  // the node whose own mark does not count
};

template <class Table, int capacity> struct Cuts : Legality<Table, capacity> {
  using Base = Legality<Table, capacity>;
  using Base::environment;
  using Base::fail;
  using Base::form_of;
  using Base::free_axes;
  using Base::home;
  using Base::lower;
  using Base::node;
  using Base::table;

  Root root[24];
  int roots = 0;
  Temporary temporary[16];
  int temporaries = 0;

  constexpr explicit Cuts(const Table& t) : Base(t) {
    if (this->error.problem == PlanProblem::none) lower_statements();
    this->check_block_casts();
    for (int i = 0; i < roots; ++i)
      if (this->is_block_cast(node[root[i].node])) this->refuse_block_cast(node[root[i].node]);
    for (int i = 0; i < roots && this->error.problem == PlanProblem::none; ++i) resolve(i);  // resolving may append roots
    copy_saved_selections();
  }
  // A selection from a row that is stored by the program and saved for others is made once: the program's is a copy. (Where a tile holds what is
  // selected from, it stores its selection to both places.)
  constexpr void copy_saved_selections() {
    for (int i = 0; i < roots; ++i)
      if (const short n = root[i].node; node[n].kind == NodeKind::top_k && !root[i].store.temporary && this->is_cut(n))
        root[i].copies = root[i].copies || !this->contracts(n, n);
  }

  // ---- statements become roots. A leaf read by a later statement is a new version of it.
  constexpr void lower_statements() {
    bool read[32]{};
    for (int i = 0; i < table.count; ++i)
      for (int k = 0; k < table.record[i].operands; ++k)
        if (const Record& o = table.record[table.record[i].operand[k]]; o.kind == NodeKind::leaf && o.number >= 0) read[o.number] = true;
    for (int q = 0; q < table.statements; ++q) {
      const Statement& s = table.statement[q];
      const Record& target = table.record[s.target];
      if (target.number < 0) return;
      Root r;
      r.store.leaf = target.number;
      r.store.dtype = target.dtype;
      r.store.rank = target.axes;
      for (int d = 0; d < target.axes; ++d) {
        if (target.axis[d] == s.index_axis) {
          r.store.dimension = static_cast<short>(d);
          r.store.index = lower(s.index);
          r.store.at[d] = constant_form(0);
        } else {
          r.store.at[d] = home[target.axis[d]];
        }
      }
      r.node = lower(s.value);
      if (s.adds) r.store.kind = OutputKind::accumulate;
      r.store.reason = "stored by the program";
      r.store.version = ++this->version[target.number];
      this->version_after[q] = r.store.version;
      root[roots++] = r;
      if (read[target.number]) this->lowered_count = 0;  // from here on the leaf is another version
    }
  }

  // ---- materialise a node: a mark on its record, and a root that stores it
  constexpr void cut(short n, const char* reason) {
    const short record = node[n].record;
    if (this->is_cut(n)) return;
    if (temporaries == 16 || roots == 24) return fail(PlanProblem::expression_is_too_large);
    Temporary t;
    t.dtype = format_of_value(n);
    layout(n, t);
    Root r;
    r.store.leaf = static_cast<short>(table.leaves + temporaries);
    r.store.temporary = true;
    r.store.dtype = t.dtype;
    r.store.rank = t.rank;
    r.store.reason = reason;
    for (int d = 0; d < t.rank; ++d) r.store.at[d] = home[t.axis[d]];
    restore_versions(node[n].versions);
    r.node = lower(record);
    temporary[temporaries] = t;
    this->cut_value[temporaries] = {node[n].versions, this->cut_of_record[record]};
    this->cut_of_record[record] = static_cast<short>(temporaries++);
    root[roots++] = r;
  }
  // the versions of leaves as they were after some statements
  constexpr void restore_versions(std::uint16_t after) {
    short past[32]{};
    for (int q = 0; q < table.statements; ++q)
      if (after >> q & 1) past[table.record[table.statement[q].target].number] = this->version_after[q];
    for (int l = 0; l < table.leaves; ++l)
      if (this->version[l] != past[l]) {
        this->version[l] = past[l];
        this->lowered_count = 0;
      }
  }
  // the smallest format that holds a value exactly: what was rounded last, on every path of a Stack
  constexpr DType format_of_value(short n) const {
    const Node& x = node[n];
    if (x.kind == NodeKind::cast) return x.dtype;
    if (x.kind == NodeKind::top_k) return DType::i32;
    if (x.kind != NodeKind::stack) return DType::f32;
    const DType first = format_of_value(x.operand[0]);
    for (int k = 1; k < x.operands; ++k)
      if (format_of_value(x.operand[k]) != first) return DType::f32;
    return first;
  }
  // rows first, then columns, tiles last; no extent is read
  constexpr void layout(short n, Temporary& t) {
    const Mask all = free_axes(node[n].record);
    const NodeSet c = this->outermost(NodeKind::contract, n, n);
    Mask rows = 0;
    if (c.count) rows = rows_of_contraction(node, c.member[0]);
    for (int rank = 0; rank < 3; ++rank)
      for (short a = 0; a < table.axes; ++a) {
        if (!(all & bit(a))) continue;
        const bool row = (home[a].axes() & ~rows) == 0;
        const int wanted = row ? 0 : table.axis[a].tile ? 2 : 1;
        if (wanted == rank) t.axis[t.rank++] = a;
      }
  }

  // ---- cut below root i until one kernel can make it
  constexpr void resolve(int i) {
    for (int guard = 0; guard < 32; ++guard) {
      NodeSet cuts;
      const char* reason = first_problem(i, cuts);
      if (!cuts.count) return;
      for (int k = 0; k < cuts.count; ++k) cut(cuts.member[k], reason);
      root[i].copies = cuts.has(root[i].node);
      if (root[i].copies) return;
    }
    fail(PlanProblem::expression_is_too_large);
  }

  constexpr const char* first_problem(int i, NodeSet& cuts) {
    const short top = root[i].node;
    const NodeSet contractions = this->outermost(NodeKind::contract, top, top);
    root[i].streams = false;
    const Store& s = root[i].store;
    if (s.index >= 0 && (this->contracts(s.index) || this->reductions(s.index).count)) {
      cuts.add(s.index);
      return "an index at which rows are stored is known before the rows are: saved";
    }
    if (s.kind == OutputKind::accumulate && (this->contracts(top, top) || this->reductions(top, top).count)) {
      cuts.add(top);
      return "rows that meet in one place are added up in their order, when all are made: saved";
    }
    for (int k = 0; k < contractions.count; ++k)
      if (const char* reason = contraction_problem(contractions.member[k], contractions.count, i, cuts)) return reason;
    if (const char* reason = routed_problem(top, contractions, cuts)) return reason;
    if (contractions.count && !this->is_epilogue(top, top)) {
      cuts = this->frontier_below(top);
      if (node[top].kind == NodeKind::map || cuts.count) return "a reduction needs the whole output row of a contraction: the row is saved";
    }
    if (!contractions.count)
      if (const char* reason = this->row_problem(top, cuts)) return reason;
    if (contractions.count) {
      const NodeSet r = this->reductions(top, top);
      for (int k = 0; k < r.count; ++k)
        if (!this->contracts(r.member[k], top)) cuts.add(r.member[k]);
      if (cuts.count) return "an epilogue sees one tile of a row, not a statistic of a stored tensor: saved";
    }
    if (const char* reason = narrow_problem(i, contractions, cuts)) return reason;
    return overwrite_problem(i, cuts);
  }

  constexpr const char* contraction_problem(short c, int others, int i, NodeSet& cuts) {
    const short left = node[c].operand[0], right = node[c].operand[1];
    if (is_routed(node, c)) {
      const short index = node[right].operand[0];
      if (this->contracts(index) || this->reductions(index).count) {
        cuts.add(index);
        return "rows are grouped by an index before they are multiplied: saved";
      }
      if (this->contracts(left)) {
        cuts = this->frontier(left);
        return "the left operand of a routed contraction is staged, not recomputed for each group: saved";
      }
      return this->left_problem(left, node[c].bound, cuts);
    }
    if (this->contracts(right)) {
      cuts = this->frontier(right);
      return "a right operand is itself made of contractions: saved";
    }
    if (this->reductions(right).count) {
      cuts.add(right);
      return "a right operand holds a statistic: saved";
    }
    if (this->contracts(left)) {
      const Streaming s = this->streaming(c);
      if (!s.ok) {
        cuts = this->frontier(left);
        return s.reason;
      }
      if (others > 1) {
        cuts.add(c);
        return "a streamed contraction shares its output with another contraction: saved";
      }
      for (int k = 0; k < 2; ++k)
        if (this->contracts(node[s.inner].operand[k])) {
          cuts = this->frontier(node[s.inner].operand[k]);
          return "an operand of a streamed inner contraction is staged, not recomputed for each block: saved";
        }
      if (this->reductions(node[s.inner].operand[1]).count) {
        cuts.add(node[s.inner].operand[1]);
        return "a right operand holds a statistic: saved";
      }
      root[i].streams = true;
      return this->left_problem(node[s.inner].operand[0], node[s.inner].bound, cuts);
    }
    return this->left_problem(left, node[c].bound, cuts);
  }

  // A routed contraction shares its kernel with those that are routed alike and have the same left operand. What other contractions make is saved.
  constexpr bool routed_alike(short a, short b) const {
    const Node &x = node[a], &y = node[b];
    return is_routed(node, a) && is_routed(node, b) && x.operand[0] == y.operand[0] && x.bound == y.bound &&
           node[x.operand[1]].operand[0] == node[y.operand[1]].operand[0];
  }
  constexpr const char* routed_problem(short top, const NodeSet& contractions, NodeSet& cuts) {
    short key = -1;
    bool others = false;
    for (int k = 0; k < contractions.count; ++k)
      if (key < 0 && is_routed(node, contractions.member[k])) key = contractions.member[k];
    for (int k = 0; k < contractions.count && key >= 0; ++k) others |= !routed_alike(contractions.member[k], key);
    if (!others) return nullptr;
    NodeSet seen, all;
    beside(top, top, key, seen, all);
    cuts = this->without_pointwise(all);
    return "the output of a routed contraction, whose rows come group by group, needs the result of another contraction: saved";
  }
  // the highest nodes that hold contractions, but none that is routed like key
  constexpr void beside(short n, short top, short key, NodeSet& seen, NodeSet& found) {
    if (seen.has(n) || (n != top && this->is_cut(n)) || !this->contracts(n, top)) return;
    seen.add(n);
    const NodeSet c = this->outermost(NodeKind::contract, n, top);
    bool holds_key = false;
    for (int k = 0; k < c.count; ++k) holds_key |= routed_alike(c.member[k], key);
    if (!holds_key) return this->collect_frontier(n, found);
    if (node[n].kind == NodeKind::contract) return;
    for (int k = 0; k < node[n].operands; ++k) beside(node[n].operand[k], top, key, seen, found);
  }

  // a contraction with fewer columns than what it feeds would be computed again for each of them
  constexpr const char* narrow_problem(int i, const NodeSet& contractions, NodeSet& cuts) {
    if (root[i].streams) return nullptr;
    this->begin_visit();
    const Mask unrolled = stacked_axes(root[i].node, root[i].node);  // a store unrolls them: they are no columns
    Mask columns = 0;
    for (int k = 0; k < contractions.count; ++k) columns |= columns_of(contractions.member[k]) & ~unrolled;
    for (int k = 0; k < contractions.count; ++k)
      if (contractions.count > 1 && (columns_of(contractions.member[k]) & ~unrolled) != columns) cuts.add(contractions.member[k]);
    return cuts.count ? "a contraction with fewer columns than the output it feeds: computed once and saved" : nullptr;
  }
  constexpr Mask stacked_axes(short n, short top) {
    if (!this->visit(n) || (n != top && this->is_cut(n)) || node[n].kind == NodeKind::contract) return 0;
    Mask m = node[n].kind == NodeKind::stack ? node[n].at[0].axes() : 0;
    for (int k = 0; k < node[n].operands; ++k) m |= stacked_axes(node[n].operand[k], top);
    return m;
  }
  constexpr Mask columns_of(short c) const { return node[node[c].operand[1]].axes & ~node[c].bound & ~rows_of_contraction(node, c); }

  // 12. in place only where every read of the overwritten version has the store's own index formula and is not part of an operand
  constexpr const char* overwrite_problem(int i, NodeSet& cuts) {
    const Store& s = root[i].store;
    if (s.temporary || s.version == 0) return nullptr;
    this->begin_visit();
    bool unsafe = reads_elsewhere(root[i].node, root[i].node, s);
    this->begin_visit();
    unsafe = unsafe || reads_in_an_operand(root[i].node, root[i].node, s, false);
    this->begin_visit();
    unsafe = unsafe || (s.index >= 0 && reads_in_an_operand(s.index, s.index, s, true));
    if (!unsafe) return nullptr;
    cuts.add(root[i].node);
    return "the stored tensor is read elsewhere by the kernel that overwrites it: written through a temporary";
  }
  constexpr bool is_overwritten(const Node& x, const Store& s) const {
    return (x.kind == NodeKind::leaf || x.kind == NodeKind::gather) && x.leaf == s.leaf && x.version + 1 == s.version;
  }
  constexpr bool reads_elsewhere(short n, short top, const Store& s) {
    if (!this->visit(n) || (n != top && this->is_cut(n))) return false;
    const Node& x = node[n];
    if (is_overwritten(x, s)) {
      bool own = x.kind == NodeKind::leaf && x.rank == s.rank && s.index < 0;
      for (int d = 0; own && d < x.rank; ++d) own = x.at[d] == s.at[d];
      if (!own) return true;
    }
    for (int k = 0; k < x.operands; ++k)
      if (reads_elsewhere(x.operand[k], top, s)) return true;
    return false;
  }
  // each node is visited once inside operands and once outside
  constexpr bool reads_in_an_operand(short n, short top, const Store& s, bool inside) {
    if (n != top && this->is_cut(n)) return false;
    if (inside && !this->visit(n)) return false;
    const Node& x = node[n];
    if (inside && is_overwritten(x, s)) return true;
    if (!inside && !x.has_contraction) return false;
    for (int k = 0; k < x.operands; ++k)
      if (reads_in_an_operand(x.operand[k], top, s, inside || x.kind == NodeKind::contract)) return true;
    return false;
  }
};

}  // namespace weft
