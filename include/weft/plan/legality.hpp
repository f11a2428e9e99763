// legality: rules 5-8 of the planner: which parts of an expression one kernel can hold. A cut is a mark on a node: a cut node is a leaf for
// everyone who reads it. Nothing here changes the graph.
#pragma once
#include <weft/plan/normal_form.hpp>

namespace weft {

inline constexpr long widest_tile = 256;  // columns that the accumulators of a kernel may hold

// can contraction c consume its left operand, itself made of contractions, block by block along the contracted axes?
struct Streaming {
  bool ok = false;
  const char* reason = "";
  short inner = -1, score = -1, maximum = -1, weight = -1;
  short factor[4]{}, factor_operand[4]{};  // factors free of the streamed axis, peeled off the left operand
  short factors = 0;
};

template <class Table, int capacity> struct Legality : NormalForm<Table, capacity> {
  using Base = NormalForm<Table, capacity>;
  using Base::axes;
  using Base::axis;
  using Base::node;
  using Base::nodes;
  using Base::table;

  constexpr explicit Legality(const Table& t) : Base(t) {
    for (auto& c : cut_of_record) c = -1;
  }

  // ---- marks
  short cut_of_record[Table::capacity]{};  // the last temporary that holds a value of a record, or -1
  struct Cut {
    std::uint16_t versions = 0;  // what the value was computed from
    short earlier = -1;          // another temporary of the same record
  };
  Cut cut_value[16];
  constexpr short cut_of(short n) const {  // the temporary that holds the value of a node, or -1
    short t = node[n].record >= 0 ? cut_of_record[node[n].record] : short{-1};
    while (t >= 0 && cut_value[t].versions != node[n].versions) t = cut_value[t].earlier;
    return t;
  }
  constexpr bool is_cut(short n) const { return cut_of(n) >= 0; }

  // ---- traversals, each with a fresh set of visited marks
  short visited[capacity]{};
  short generation = 0;
  constexpr void begin_visit() { ++generation; }
  constexpr bool visit(short n) {
    if (visited[n] == generation) return false;
    visited[n] = generation;
    return true;
  }
  // does an expression, as far as this kernel sees it, hold a contraction?
  constexpr bool contracts(short n, short root = -1) {
    if (!node[n].has_contraction) return false;
    begin_visit();
    return contracts_below(n, root);
  }
  constexpr bool contracts_below(short n, short root) {
    if (!node[n].has_contraction || !visit(n)) return false;
    if (n != root && is_cut(n)) return false;
    if (node[n].kind == NodeKind::contract) return true;
    for (int k = 0; k < node[n].operands; ++k)
      if (contracts_below(node[n].operand[k], root)) return true;
    return false;
  }
  // the outermost nodes of a kind
  constexpr NodeSet outermost(NodeKind kind, short n, short root = -1) {
    NodeSet found;
    begin_visit();
    outermost_below(kind, n, root, found);
    return found;
  }
  constexpr void outermost_below(NodeKind kind, short n, short root, NodeSet& found) {
    if (!visit(n) || (n != root && is_cut(n))) return;
    if (node[n].kind == kind) {
      found.add(n);
      return;
    }
    for (int k = 0; k < node[n].operands; ++k) outermost_below(kind, node[n].operand[k], root, found);
  }
  // all reductions of an expression outside its contractions, operands first
  constexpr NodeSet reductions(short n, short root = -1) {
    NodeSet found;
    begin_visit();
    reductions_below(n, root, found);
    return found;
  }
  constexpr void reductions_below(short n, short root, NodeSet& found) {
    if (!visit(n) || (n != root && is_cut(n)) || node[n].kind == NodeKind::contract) return;
    for (int k = 0; k < node[n].operands; ++k) reductions_below(node[n].operand[k], root, found);
    if (is_reduction(node[n])) found.add(n);
  }
  // all reductions, below contractions too
  constexpr void reductions_through(short n, NodeSet& found) {
    if (!visit(n) || is_cut(n)) return;
    for (int k = 0; k < node[n].operands; ++k) reductions_through(node[n].operand[k], found);
    if (is_reduction(node[n])) found.add(n);
  }

  // decisions read the extents of Tiles only; -1: not a tile
  constexpr long tile_extent(Mask m) const {
    long e = 1;
    for (int a = 0; a < axes; ++a)
      if (m & bit(a)) {
        if (!axis[a].record.tile) return -1;
        e *= axis[a].record.extent;
      }
    return e;
  }
  constexpr bool fits_a_tile(Mask m) const {
    const long e = tile_extent(m);
    return e >= 0 && e <= widest_tile;
  }

  // ---- 5. an epilogue holds any map, and reductions over static output columns that one tile holds; that of a routed contraction one sum over
  // rows, too
  constexpr bool is_epilogue(short n, short root) {
    NodeSet reduced;
    begin_visit();
    epilogue_reductions(n, root, reduced);
    if (!reduced.count) return true;
    const short combined = combine(n, root, reduced);
    Mask columns = 0;  // of contractions
    const NodeSet all = outermost(NodeKind::contract, n, root);
    for (int k = 0; k < all.count; ++k) columns |= node[all.member[k]].axes;
    for (int i = 0; i < reduced.count; ++i) {
      const Node& r = node[reduced.member[i]];
      if (reduced.member[i] == combined) continue;
      if (!fits_a_tile(r.bound) || !fits_a_tile(r.axes & ~columns)) return false;
      const NodeSet c = outermost(NodeKind::contract, r.operand[0], root);
      for (int k = 0; k < c.count; ++k)
        if (r.bound & rows_of_contraction(node, c.member[k])) return false;
    }
    return true;
  }
  // the sum over rows of a routed contraction through which alone a value sees it: the kernel adds the rows up as it makes them; or -1
  constexpr short combine(short n, short root, const NodeSet& reduced) {
    const NodeSet c = outermost(NodeKind::contract, n, root);
    if (!c.count || !is_routed(node, c.member[0])) return -1;
    for (int i = 0; i < reduced.count; ++i) {
      const Node& r = node[reduced.member[i]];
      if (r.kind != NodeKind::reduce || r.monoid != Monoid::sum || (r.bound & ~rows_of_contraction(node, c.member[0]))) continue;
      NodeSet below;
      begin_visit();
      epilogue_reductions(r.operand[0], root, below);
      begin_visit();
      visit(reduced.member[i]);
      if (!below.count && !contracts_below(n, root)) return reduced.member[i];
    }
    return -1;
  }
  constexpr void epilogue_reductions(short n, short root, NodeSet& found) {  // reductions over a contraction's values
    if (!node[n].has_contraction || !visit(n) || (n != root && is_cut(n)) || node[n].kind == NodeKind::contract) return;
    for (int k = 0; k < node[n].operands; ++k) epilogue_reductions(node[n].operand[k], root, found);
    if (is_reduction(node[n])) found.add(n);
  }

  // ---- what to materialise of an expression that cannot stay whole: its frontier, the highest nodes that are legal epilogues; those that are
  // pointwise in other frontier nodes are recomputed from them
  constexpr NodeSet frontier(short n) {
    NodeSet all;
    collect_frontier(n, all);
    return without_pointwise(all);
  }
  constexpr NodeSet frontier_below(short n) {
    NodeSet all;
    for (int k = 0; k < node[n].operands; ++k) collect_frontier(node[n].operand[k], all);
    return without_pointwise(all);
  }
  constexpr NodeSet without_pointwise(const NodeSet& all) const {
    NodeSet kept;
    for (int i = 0; i < all.count; ++i)
      if (all.count == 1 || sees_contraction_itself(all.member[i], all, all.member[i])) kept.add(all.member[i]);
    return kept;
  }
  constexpr void collect_frontier(short n, NodeSet& s) {
    if (is_cut(n) || !contracts(n)) return;
    if (!this->is_block_cast(node[n]) && is_epilogue(n, -1)) {  // what is to be quantised is saved as it is
      s.add(n);
      return;
    }
    for (int k = 0; k < node[n].operands; ++k) collect_frontier(node[n].operand[k], s);
  }
  constexpr bool sees_contraction_itself(short n, const NodeSet& others, short self) const {
    if ((n != self && others.has(n)) || is_cut(n) || !node[n].has_contraction) return false;
    if (node[n].kind == NodeKind::contract) return true;
    for (int k = 0; k < node[n].operands; ++k)
      if (sees_contraction_itself(node[n].operand[k], others, self)) return true;
    return false;
  }

  // ---- 7. streaming
  constexpr Streaming streaming(short c) {
    Streaming s;
    const Node& outer = node[c];
    const Mask streamed = outer.bound;
    const short left = outer.operand[0];
    if (!fits_a_tile(node[outer.operand[1]].axes & ~streamed & ~node[left].axes)) {
      s.reason = "its left operand is itself a contraction, and a row of its output is wider than a tile: the left operand is saved";
      return s;
    }
    const NodeSet inner = outermost(NodeKind::contract, left);
    if (inner.count != 1) {
      s.reason = "a streamed operand holds exactly one inner contraction: the others are saved";
      return s;
    }
    if ((node[inner.member[0]].axes & streamed) != streamed) {
      s.reason = "the contracted axis is not an output axis of the inner contraction: the left operand is saved";
      return s;
    }
    s.inner = inner.member[0];
    if (is_routed(node, s.inner)) {
      s.reason = "its left operand is a routed contraction, whose rows come group by group: the left operand is saved";
      return s;
    }
    short l = left;  // peel factors free of the streamed axis: they leave the contraction, never through a cast
    while (s.factors < 4 && node[l].kind == NodeKind::map && node[l].algebra.linear_in_first && !is_cut(l) &&
           !(node[node[l].operand[1]].axes & streamed)) {
      s.factor[s.factors] = l;
      s.factor_operand[s.factors++] = node[l].operand[1];
      l = node[l].operand[0];
    }
    s.weight = l;
    s.reason = "a reduction along the streamed axis has no online form: the left operand is saved";
    if (!reduces_along(left, streamed)) {
      s.ok = true;  // linear in the streamed blocks, nothing to rescale: linear or sigmoid attention
      return s;
    }
    // the weight may be rounded: that is relative, so the running maximum m moves it by no more than another rounding
    const short exponential = is_real_cast(node[l]) ? node[l].operand[0] : l;
    if (!(node[exponential].kind == NodeKind::map && node[exponential].algebra.is_exp) || is_cut(exponential)) return s;
    s.score = node[exponential].operand[0];
    // exp(s - M) = exp(s - m) * exp(m - M): the running maximum m is the kernel's own, M may be anything free of the streamed axis
    const Node& argument = node[s.score];
    if (argument.kind == NodeKind::map && argument.algebra.is_subtract && !(node[argument.operand[1]].axes & streamed)) {
      s.score = argument.operand[0];
      NodeSet r;
      begin_visit();
      reductions_through(argument.operand[1], r);
      for (int i = 0; i < r.count; ++i) {
        const Node& m = node[r.member[i]];
        if (m.bound != streamed) continue;
        if (m.monoid != Monoid::max || m.operand[0] != s.score) return s;
        s.maximum = r.member[i];
      }
    }
    if (reduces_along(s.score, streamed)) return s;
    short summed = -1;  // the weight as it is multiplied, or before it was rounded
    for (int i = 0; i < s.factors; ++i) {
      NodeSet r;
      begin_visit();
      reductions_through(s.factor_operand[i], r);
      for (int k = 0; k < r.count; ++k) {
        const Node& q = node[r.member[k]];
        if (q.bound != streamed || r.member[k] == s.maximum) continue;
        const short of = q.operand[0];
        if (q.monoid != Monoid::sum || (of != s.weight && of != exponential) || (summed >= 0 && of != summed)) return s;
        summed = of;
      }
    }
    s.ok = true;
    return s;
  }
  static constexpr bool is_real_cast(const Node& x) {
    return x.kind == NodeKind::cast && (x.dtype == DType::bf16 || x.dtype == DType::f16);
  }
  constexpr bool reduces_along(short n, Mask streamed) {
    NodeSet r;
    begin_visit();
    reductions_through(n, r);
    for (int i = 0; i < r.count; ++i)
      if (node[r.member[i]].bound == streamed) return true;
    return false;
  }

  // ---- 6. a left operand may hold row statistics: reductions that bind contracted axes, with what is left of its axes as rows
  constexpr const char* left_problem(short n, Mask bound, NodeSet& offenders) {
    const NodeSet r = reductions(n);
    const Mask row = node[n].axes & ~bound;
    for (int i = 0; i < r.count; ++i) {
      const Node& x = node[r.member[i]];
      if (x.bound == bound && x.axes == row) continue;
      offenders.add(r.member[i]);
    }
    return offenders.count ? "a statistic of the left operand is over other axes than the contraction: saved" : nullptr;
  }

  // ---- a row kernel holds reductions over one set of axes, one value a row
  constexpr const char* row_problem(short root, NodeSet& offenders) {
    const NodeSet r = reductions(root, root);
    if (r.count == 0) return nullptr;
    for (int i = 0; i < r.count; ++i)
      if (node[r.member[i]].kind == NodeKind::top_k && r.member[i] != root) offenders.add(r.member[i]);
    if (offenders.count) return "what is selected from a row is known when the whole row has been seen: saved";
    const Node& last = node[r.member[r.count - 1]];  // the outermost
    Mask rows = rows_of_reduction(last);
    for (int i = 0; i < r.count; ++i)
      if (node[r.member[i]].bound == last.bound) rows |= rows_of_reduction(node[r.member[i]]);
    for (int i = 0; i < r.count; ++i) {
      const Node& x = node[r.member[i]];
      if (r.member[i] != root && (x.bound != last.bound || x.axes != rows)) offenders.add(r.member[i]);
    }
    return offenders.count ? "a statistic over other axes than those of the kernel that uses it: saved" : nullptr;
  }
};

}  // namespace weft
