// columns: the columns of a segment, the chunks of them that are pieces of work, and values in an epilogue that all outer columns share.
#pragma once
#include <weft/cpu/staging.hpp>

#include <bit>

namespace weft::cpu {

constexpr long round_up(long n, long multiple) { return (n + multiple - 1) / multiple * multiple; }

// moves on to the next place along a list
template <class P, const AxisList& list> WEFT_INLINE void advance(const Binding<P>& b, Index<P>& index) {
  for (int i = list.count; i-- > 0;) {
    if (++index[list.axis[i]] < extent_of(b, list.axis[i])) return;
    index[list.axis[i]] = 0;
  }
}

// The columns of segment g of kernel k. A chunk is what one piece of work makes: a run of the innermost axis, or, where the epilogue
// reduces over columns, all columns that it reduces over (the innermost axes).
template <class P, int k, int g> struct Columns {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& segment = plan.kernel[k].segment[g];
  static constexpr TileColumns tile = tile_columns(plan, segment);
  static constexpr bool in_arrays = tile.in_arrays;
  static constexpr Mask columns = tile.all, reduced = tile.reduced;
  static constexpr AxisList list = [] {
    AxisList l = ordered(plan, columns & ~reduced, plan.store[segment.store[0]]);
    const AxisList r = reduced ? ordered_below(plan, reduced, plan.node[segment.contraction[0]].operand[1]) : AxisList{};
    for (int i = 0; i < r.count; ++i) l.axis[l.count++] = r.axis[i];
    return l;
  }();
  static constexpr int in_chunk = reduced ? count_axes(reduced) : 1;
  static constexpr int outer = list.count - in_chunk,
                       last = list.count - 1;  // list: [0, outer) [outer, last) last
  static constexpr int inner = list.axis[last];
  static constexpr Mask chunk_axes = [] {
    Mask m = 0;
    for (int i = list.count - in_chunk; i < list.count; ++i) m |= bit(list.axis[i]);
    return m;
  }();

  static long run_length(const Binding<P>& b,
                         long wanted) {  // columns along the innermost axis in a chunk
    const long n = extent_of<P, inner>(b);
    return reduced || n < wanted ? n : wanted;
  }
  static long runs(const Binding<P>& b) { return count_of<P, list, outer, last>(b); }
  static long chunks(const Binding<P>& b, long wanted) {
    const long n = extent_of<P, inner>(b), length = run_length(b, wanted);
    return count_of<P, list, 0, outer>(b) * (length ? (n + length - 1) / length : 0);
  }
};

// what an expression contains
struct Contents {
  NodeList seen;
  bool plain = true, function = false;  // plain: of leaves that the kernel does not store to; function: a map of one operand
};
template <class Plan> constexpr void look_into(const Plan& plan, const Kernel& kernel, int node, Contents& c) {
  if (c.seen.has(node)) return;
  c.seen.add(node);
  const Node& n = plan.node[node];
  if (n.kind == NodeKind::contract || (n.kind == NodeKind::reduce && n.bound)) c.plain = false;
  if (n.kind == NodeKind::map && n.operands == 1) c.function = true;
  for (int g = 0; g < kernel.segments && n.leaf >= 0; ++g)
    for (int s = 0; s < kernel.segment[g].stores; ++s)
      if (plan.store[kernel.segment[g].store[s]].leaf == n.leaf) c.plain = false;
  for (int i = 0; i < n.operands; ++i) look_into(plan, kernel, n.operand[i], c);
}
// the highest nodes below `node` that vary with the rows and along `lane` only, are plain and take a function to compute
template <class Plan>
constexpr void collect_invariants(const Plan& plan, const Kernel& kernel, int node, int lane, NodeList& seen, NodeList& found) {
  const Node& n = plan.node[node];
  if (seen.has(node) || n.kind == NodeKind::contract) return;
  seen.add(node);
  if (!n.has_contraction && (n.axes & ~(kernel.rows | kernel.batch)) == bit(lane) &&
      (n.kind == NodeKind::map || n.kind == NodeKind::cast)) {
    Contents c;
    look_into(plan, kernel, node, c);
    if (c.plain && c.function) return found.add(node);
  }
  for (int i = 0; i < n.operands; ++i) collect_invariants(plan, kernel, n.operand[i], lane, seen, found);
}

// Values of the epilogues of a contraction that depend on the row and the innermost column only and take a function to compute: the same
// for all outer columns, they are computed once a row and kept. So the angles of a rotation serve all heads.
template <class P, int k> struct ColumnInvariants {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& kernel = plan.kernel[k];
  static constexpr Mask rows = kernel.rows | kernel.batch;

  // of segment g
  template <int g> static constexpr NodeList of = [] {
    NodeList found;
    if constexpr (kernel.skeleton == Skeleton::contraction) {
      constexpr int lane = Columns<P, k, g>::inner;
      NodeList seen;
      if (kernel.segment[g].columns & ~bit(lane))
        for (int s = 0; s < kernel.segment[g].stores; ++s)
          collect_invariants(plan, kernel, plan.store[kernel.segment[g].store[s]].node, lane, seen, found);
    }
    return found;
  }();
  // of all segments
  static constexpr NodeList all = []<int... g>(std::integer_sequence<int, g...>) {
    NodeList l;
    for (const NodeList& some : {of<g>...})
      for (int i = 0; i < some.count; ++i) l.add(some.node[i]);
    return l;
  }
  (std::make_integer_sequence<int, kernel.segments>{});
  template <int i> struct Along {
    static constexpr AxisList list = [] {
      AxisList l;
      l.axis[l.count++] = static_cast<short>(std::countr_zero(plan.node[all.node[i]].axes & ~rows));
      return l;
    }();
  };

  // ---- a row of them: [value][stride]
  static long stride(const Binding<P>& b) {
    long n = 0;
    unroll<all.count>([&](auto i) {
      const long extent = round_up(count_of<P, Along<i>::list>(b), Packet::lanes);
      n = extent > n ? extent : n;
    });
    return n;
  }
  static long row_size(const Binding<P>& b) { return all.count * stride(b); }
  // index stands at the row
  static void evaluate(const Binding<P>& b, const Index<P>& index, float* out) {
    unroll<all.count>([&](auto i) { evaluate_plain_row<P, all.node[i], Along<i>::list, no_statistics>(b, index, out + i * stride(b)); });
  }
};

}  // namespace weft::cpu
