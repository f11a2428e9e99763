// normal_form: rules 1-3 of the planner. Views vanish into the index formulas of leaves, bound axes are renamed apart, equal nodes merge.
#pragma once
#include <weft/plan/plan_value.hpp>

#include <algorithm>

namespace weft {

// a small set of nodes
struct NodeSet {
  static constexpr int capacity = 32;
  short member[capacity]{};
  int count = 0;
  constexpr bool has(short n) const {
    for (int i = 0; i < count; ++i)
      if (member[i] == n) return true;
    return false;
  }
  constexpr void add(short n) {
    if (!has(n)) member[count++] = n;
  }
};

template <class Table, int capacity> struct NormalForm {
  Table table;
  Node node[capacity];
  int nodes = 0;
  PlanAxis axis[max_axes];
  int axes = 0;
  IndexForm home[max_axes];  // each axis in summands of the finest ones
  PlanError error;

  constexpr explicit NormalForm(const Table& t) : table(t) {
    axes = t.axes;
    for (int a = 0; a < axes; ++a) axis[a] = {t.axis[a], static_cast<short>(a)};
    for (int i = 0; i < t.count; ++i)
      if (const Record& r = t.record[i]; r.kind == NodeKind::leaf && r.number < 0)
        fail(PlanProblem::one_path_with_two_shapes, -1, -1 - r.number);
    refine_axes();
  }
  constexpr void fail(PlanProblem p, int a = -1, int leaf = -1) {
    if (error.problem == PlanProblem::none) error = {p, static_cast<short>(leaf), static_cast<short>(a)};
  }
  constexpr Factor extent_factor(int a) const {
    return axis[a].record.extent == runtime ? Factor{1, {static_cast<short>(a), -1}}
                                            : Factor{static_cast<int>(axis[a].record.extent), {-1, -1}};
  }

  // ---- 1. refine axes: every Split and Merge states an equation whole = |inner| * outer + inner, applied to the whole program
  constexpr void refine_axes() {
    short outer[max_axes]{}, inner[max_axes]{};
    for (int a = 0; a < axes; ++a) {
      outer[a] = inner[a] = -1;
      home[a] = IndexForm::of(a);
    }
    for (int i = 0; i < table.count; ++i) {
      const Record& r = table.record[i];
      if (r.kind != NodeKind::split && r.kind != NodeKind::merge) continue;
      const short whole = r.axis[0];
      if (outer[whole] >= 0 && (outer[whole] != r.axis[1] || inner[whole] != r.axis[2]))
        fail(PlanProblem::one_axis_split_in_two_ways, whole);
      outer[whole] = r.axis[1];
      inner[whole] = r.axis[2];
    }
    for (bool changed = true; changed;) {
      changed = false;
      for (int a = 0; a < axes; ++a)
        for (int t = 0; t < home[a].summands; ++t)
          if (const short x = home[a].term[t].axis; outer[x] >= 0) {
            IndexForm whole;
            whole.add(outer[x], extent_factor(inner[x]));
            whole.add(inner[x], Factor{});
            home[a] = substitute(home[a], x, whole);
            changed = true;
            break;
          }
    }
  }

  // ---- environments: what each axis of a record stands for where it is read, if not for itself
  struct Environment {
    static constexpr int capacity_ = 8;
    short from[capacity_]{};
    IndexForm to[capacity_]{};
    int count = 0;
    constexpr bool operator==(const Environment& o) const {
      if (count != o.count) return false;
      for (int i = 0; i < count; ++i)
        if (from[i] != o.from[i] || !(to[i] == o.to[i])) return false;
      return true;
    }
  };
  Environment environment[48];
  int environments = 1;  // the first is empty: every axis at home

  constexpr const IndexForm& form_of(const Environment& e, short a) const {
    for (int i = 0; i < e.count; ++i)
      if (e.from[i] == a) return e.to[i];
    return home[a];
  }
  constexpr Environment with(Environment e, short a, const IndexForm& f) const {
    for (int i = 0; i < e.count; ++i)
      if (e.from[i] == a) {
        e.to[i] = f;
        return e;
      }
    int i = e.count++;  // sorted by axis, so that equal environments look equal
    for (; i > 0 && e.from[i - 1] > a; --i) {
      e.from[i] = e.from[i - 1];
      e.to[i] = e.to[i - 1];
    }
    e.from[i] = a;
    e.to[i] = f;
    return e;
  }
  // an environment counts only on the axes that the record has; else pairs of record and environment multiply
  constexpr bool is_copy(const IndexForm& f) const { return f.summands == 1 && f.term[0].axis >= table.axes && f.is_axis(f.term[0].axis); }
  constexpr short restricted(const Environment& e, Mask to, Mask bound) {
    Environment r;
    for (int i = 0; i < e.count; ++i)
      if (((to & bit(e.from[i])) && !(e.to[i] == home[e.from[i]])) || ((bound & bit(e.from[i])) && is_copy(e.to[i]))) {
        r.from[r.count] = e.from[i];
        r.to[r.count++] = e.to[i];
      }
    for (int i = 0; i < environments; ++i)
      if (environment[i] == r) return static_cast<short>(i);
    if (environments == 48) {
      fail(PlanProblem::expression_is_too_large);
      return 0;
    }
    environment[environments] = r;
    return static_cast<short>(environments++);
  }

  Mask free_axes_of[Table::capacity]{};
  bool free_axes_known[Table::capacity]{};
  constexpr Mask free_axes(short i) {  // of a record, before views are substituted
    if (free_axes_known[i]) return free_axes_of[i];
    const Record& r = table.record[i];
    Mask m = 0;
    const int values = r.kind == NodeKind::update ? 0 : r.operands;
    for (int k = 0; k < values; ++k) m |= free_axes(r.operand[k]);
    if (r.kind == NodeKind::update) m = free_axes(r.operand[2]);
    if (r.kind == NodeKind::leaf || r.kind == NodeKind::position || r.kind == NodeKind::stack)
      for (int d = 0; d < r.axes; ++d) m |= bit(r.axis[d]);
    if (r.kind == NodeKind::reduce || r.kind == NodeKind::contract || r.kind == NodeKind::select)
      for (int d = 0; d < r.axes; ++d) m &= ~bit(r.axis[d]);
    if (r.kind == NodeKind::top_k) m = (m & ~bit(r.axis[0])) | bit(r.axis[1]);
    if (r.kind == NodeKind::gather) m = (free_axes(r.operand[0]) & ~bit(r.axis[0])) | free_axes(r.operand[1]);
    if (r.kind == NodeKind::split) m = (m & ~bit(r.axis[0])) | bit(r.axis[1]) | bit(r.axis[2]);
    if (r.kind == NodeKind::merge) m = (m & ~bit(r.axis[1]) & ~bit(r.axis[2])) | bit(r.axis[0]);
    if (r.kind == NodeKind::rename) m = (m & ~bit(r.axis[0])) | bit(r.axis[1]);
    free_axes_known[i] = true;
    return free_axes_of[i] = m;
  }

  // Axes that a record binds, itself or below. Where the environment has renamed one apart, they take the copy's name: so a statistic keeps the
  // axis of the row that it belongs to.
  Mask bound_axes_of[Table::capacity]{};
  bool bound_axes_known[Table::capacity]{};
  constexpr Mask bound_axes(short i) {
    if (bound_axes_known[i]) return bound_axes_of[i];
    const Record& r = table.record[i];
    Mask m = 0;
    for (int k = 0; k < r.operands; ++k) m |= bound_axes(r.operand[k]);
    if (r.kind == NodeKind::reduce || r.kind == NodeKind::contract)
      for (int d = 0; d < r.axes; ++d) m |= bit(r.axis[d]);
    if (r.kind == NodeKind::top_k) m |= bit(r.axis[0]);
    bound_axes_known[i] = true;
    return bound_axes_of[i] = m;
  }

  // ---- nodes are hash-consed
  static constexpr int buckets = 64;
  short first_in[buckets]{}, next_in[capacity]{};  // 1-based
  constexpr int bucket_of(const Node& x) const {
    unsigned h = static_cast<unsigned>(x.kind) * 7u + static_cast<unsigned>(x.functor + 1) * 13u + static_cast<unsigned>(x.leaf + 1) * 31u +
                 static_cast<unsigned>(x.bits >> 40);
    for (int i = 0; i < x.operands; ++i) h = h * 17u + static_cast<unsigned>(x.operand[i] + 1);
    return static_cast<int>(h % buckets);
  }
  constexpr short intern(Node x) {
    Mask m = 0;
    x.has_contraction = x.kind == NodeKind::contract;
    x.versions =
        (x.kind == NodeKind::leaf || x.kind == NodeKind::gather) && x.version > 0 ? statement_of(x.leaf, x.version) : std::uint16_t{0};
    for (int i = 0; i < x.operands; ++i) {
      m |= node[x.operand[i]].axes;
      x.versions |= node[x.operand[i]].versions;
      x.has_contraction |= node[x.operand[i]].has_contraction;
    }
    if (x.kind != NodeKind::extent)
      for (int d = 0; d < x.rank; ++d) m |= x.at[d].axes();
    x.axes = m & ~x.bound;
    const int b = bucket_of(x);
    for (int i = first_in[b]; i > 0; i = next_in[i - 1])
      if (same_node(node[i - 1], x)) return static_cast<short>(i - 1);
    if (nodes == capacity) {
      fail(PlanProblem::expression_is_too_large);
      return 0;
    }
    node[nodes] = x;
    next_in[nodes] = first_in[b];
    first_in[b] = static_cast<short>(nodes + 1);
    return static_cast<short>(nodes++);
  }

  short version[32]{};        // of each leaf: how many statements have stored to it so far
  short version_after[16]{};  // of each statement's target
  constexpr std::uint16_t statement_of(short leaf, short stored_version) const {  // which made this version of a leaf, as a bit
    for (int q = 0; q < table.statements; ++q)
      if (version_after[q] == stored_version && table.record[table.statement[q].target].number == leaf)
        return static_cast<std::uint16_t>(1 << q);
    return 0;
  }

  // ---- 2. lower: the node that a record is, read in an environment
  struct Lowered {
    short record = -1, environment = -1, node = -1;
  };
  Lowered lowered[2 * capacity]{};
  int lowered_count = 0;
  constexpr short lower(short record, const Environment& outer) {
    const short e = restricted(outer, free_axes(record), outer.count ? bound_axes(record) : 0);
    for (int i = lowered_count; i-- > 0;)
      if (lowered[i].record == record && lowered[i].environment == e) return lowered[i].node;
    const short n = lower_new(record, environment[e], e);
    if (lowered_count < 2 * capacity) lowered[lowered_count++] = {record, e, n};
    return n;
  }
  constexpr short lower(short record) { return lower(record, environment[0]); }

  constexpr short fresh_of_axis(short a) {  // 3. a bound axis renamed apart
    const short origin = axis[a].origin;
    for (int i = std::max<int>(table.axes, a + 1); i < axes; ++i)
      if (axis[i].origin == origin) return static_cast<short>(i);
    if (axes == max_axes) {
      fail(PlanProblem::expression_is_too_large);
      return a;
    }
    axis[axes] = {axis[a].record, origin};
    home[axes] = IndexForm::of(axes);
    return static_cast<short>(axes++);
  }

  constexpr short lower_new(short record, Environment e, short e_number) {
    const Record& r = table.record[record];
    Node x;
    x.kind = r.kind;
    x.dtype = r.dtype;
    x.monoid = r.monoid;
    x.algebra = r.algebra;
    x.functor = r.functor;
    x.bits = r.bits;
    x.record = x.origin = record;
    x.environment = e_number;
    switch (r.kind) {
      case NodeKind::leaf:
        x.leaf = r.number;
        x.version = version[r.number < 0 ? 0 : r.number];
        for (; x.rank < r.axes; ++x.rank) x.at[x.rank] = form_of(e, r.axis[x.rank]);
        return intern(x);
      case NodeKind::constant: return intern(x);
      case NodeKind::position:
        x.rank = 1;
        x.at[0] = form_of(e, r.axis[0]);
        return intern(x);
      case NodeKind::extent:
        x.rank = 1;
        x.at[0] = IndexForm::of(r.axis[0]);
        return intern(x);
      case NodeKind::select: return lower(r.operand[0], with(e, r.axis[0], constant_form(r.number)));
      case NodeKind::rename: return lower(r.operand[0], with(e, r.axis[0], form_of(e, r.axis[1])));
      case NodeKind::split: {
        IndexForm f;
        f.add(r.axis[1], extent_factor(r.axis[2]));
        f.add(r.axis[2], Factor{});
        f = substitute(substitute(f, r.axis[1], form_of(e, r.axis[1])), r.axis[2], form_of(e, r.axis[2]));
        return lower(r.operand[0], with(e, r.axis[0], f));
      }
      case NodeKind::merge: {
        IndexForm quotient, remainder;
        divide(form_of(e, r.axis[0]), r.axis[2], quotient, remainder);
        return lower(r.operand[0], with(with(e, r.axis[1], quotient), r.axis[2], remainder));
      }
      case NodeKind::stack: {
        const IndexForm f = form_of(e, r.axis[0]);
        if (f.summands == 0) return lower(r.operand[f.constant], e);  // a constant index picks its child
        x.rank = 1;
        x.at[0] = f;
        for (; x.operands < r.operands; ++x.operands)
          x.operand[x.operands] = lower(r.operand[x.operands], with(e, r.axis[0], constant_form(x.operands)));
        return intern(x);
      }
      case NodeKind::call: return lower(r.operand[0], e);
      case NodeKind::update: {  // the target after the statement that this update is
        const Record& target = table.record[r.operand[2]];
        x.kind = NodeKind::leaf;
        x.dtype = target.dtype;
        x.leaf = target.number;
        x.version = version_after[r.number];
        for (; x.rank < target.axes; ++x.rank) x.at[x.rank] = form_of(e, target.axis[x.rank]);
        return intern(x);
      }
      case NodeKind::gather: {
        const Record& source = table.record[r.operand[0]];
        x.leaf = source.number;
        x.dtype = source.dtype;
        x.version = version[source.number < 0 ? 0 : source.number];
        for (; x.rank < source.axes; ++x.rank) {
          if (source.axis[x.rank] == r.axis[0]) {
            x.dimension = x.rank;
            x.at[x.rank] = constant_form(0);
          } else {
            x.at[x.rank] = form_of(e, source.axis[x.rank]);
          }
        }
        x.operands = 1;
        x.operand[0] = lower(r.operand[1], e);
        return intern(x);
      }
      case NodeKind::top_k:
        x.rank = 2;
        x.dimension = r.axis[1];
        x.at[1] = form_of(e, r.axis[1]);
        [[fallthrough]];
      case NodeKind::reduce:
      case NodeKind::contract: {
        Mask mentioned = 0;
        for (int a = 0; a < table.axes; ++a)
          if (free_axes(record) & bit(a)) mentioned |= form_of(e, static_cast<short>(a)).axes();
        const int binds = r.kind == NodeKind::top_k ? 1 : r.axes;
        for (int d = 0; d < binds; ++d) {
          IndexForm f = is_copy(form_of(e, r.axis[d])) ? form_of(e, r.axis[d]) : home[r.axis[d]];
          for (int t = 0; t < f.summands; ++t)
            while (mentioned & bit(f.term[t].axis)) f.term[t].axis = fresh_of_axis(f.term[t].axis);
          x.bound |= f.axes();
          e = with(e, r.axis[d], f);
        }
        if (r.kind == NodeKind::top_k) x.at[0] = form_of(e, r.axis[0]);
        for (; x.operands < r.operands; ++x.operands) x.operand[x.operands] = lower(r.operand[x.operands], e);
        if (r.kind == NodeKind::contract) orient(x);
        return intern(x);
      }
      case NodeKind::cast:
        x.operands = 1;
        x.operand[0] = lower(r.operand[0], e);
        if (same_format(node[x.operand[0]], x.dtype)) return x.operand[0];            // nothing to round
        for (; x.rank < r.axes; ++x.rank) x.at[x.rank] = form_of(e, r.axis[x.rank]);  // along which blocks lie
        return intern(x);
      default:
        for (; x.operands < r.operands; ++x.operands) x.operand[x.operands] = lower(r.operand[x.operands], e);
        return intern(x);
    }
  }
  // arithmetic is done in f32, which holds every value that was read or rounded to a smaller format
  constexpr bool same_format(const Node& x, DType wanted) const {
    const bool stored = x.kind == NodeKind::leaf || x.kind == NodeKind::cast || x.kind == NodeKind::gather;
    return wanted == DType::f32 || (stored && x.dtype == wanted);
  }
  static constexpr bool is_block_cast(const Node& x) { return x.kind == NodeKind::cast && is_block(x.dtype); }
  // a value in blocks is the left operand of contractions over the axes of its blocks, and nothing else
  constexpr void check_block_casts() {
    for (int n = 0; n < nodes; ++n)
      for (int k = 0; k < node[n].operands; ++k) {
        const Node& x = node[node[n].operand[k]];
        if (!is_block_cast(x)) continue;
        Mask along = 0;
        for (int d = 0; d < x.rank; ++d) along |= x.at[d].axes();
        if (node[n].kind != NodeKind::contract || k != 0 || node[n].bound != along || x.dtype != DType::q8_0) refuse_block_cast(x);
      }
  }
  constexpr void refuse_block_cast(const Node& x) {
    fail(PlanProblem::a_value_in_blocks_is_no_multiplicand, table.record[x.origin].axis[0]);
  }
  // the right operand of a contraction is the one that is stored as a matrix: operands commute
  constexpr void orient(Node& x) const {
    const Node &a = node[x.operand[0]], &b = node[x.operand[1]];
    auto is_parameter = [&](const Node& n) { return n.kind == NodeKind::leaf && table.leaf[n.leaf].role == Role::parameter; };
    if (is_block_cast(a)) return;
    if (is_block_cast(b) || (is_parameter(a) && !is_parameter(b)) ||
        (b.has_contraction && !a.has_contraction && a.kind == NodeKind::leaf)) {
      const short t = x.operand[0];
      x.operand[0] = x.operand[1];
      x.operand[1] = t;
    }
  }
  // f = quotient * |inner| + remainder
  constexpr void divide(const IndexForm& f, short inner, IndexForm& quotient, IndexForm& remainder) {
    const Factor by = extent_factor(inner);
    for (int t = 0; t < f.summands; ++t) {
      Factor c = f.term[t].factor;
      if (by.times[0] >= 0) {
        const int k = c.times[0] == by.times[0] ? 0 : c.times[1] == by.times[0] ? 1 : -1;
        if (k < 0) {
          remainder.add(f.term[t].axis, c);
          continue;
        }
        if (k == 0) c.times[0] = c.times[1];
        c.times[1] = -1;
        quotient.add(f.term[t].axis, c);
      } else if (c.number % by.number == 0) {
        c.number /= by.number;
        quotient.add(f.term[t].axis, c);
      } else {
        remainder.add(f.term[t].axis, c);
      }
    }
    if (by.times[0] >= 0) {
      if (f.constant != 0) fail(PlanProblem::view_of_a_merged_index_is_not_affine, inner);
    } else {
      quotient.constant = f.constant / by.number;
      remainder.constant = f.constant % by.number;
    }
  }
};

}  // namespace weft
