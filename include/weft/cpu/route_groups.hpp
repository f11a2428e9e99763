// route_groups: what the skeleton route knows before it multiplies: the group of each row (a counting sort of the rows by their index), and where
// the right operands of a group lie.
#pragma once
#include <weft/cpu/contraction_facts.hpp>
#include <weft/cpu/team.hpp>

#include <string>

namespace weft::cpu {

// The rows of a call, sorted: those of group e are order[start[e]] ... order[start[e + 1] - 1], ascending.
struct Groups {
  std::int32_t *order, *start;
  std::int32_t* used;  // the groups that have rows, ascending
  long count;          // how many these are
  long rows_of(long e) const { return start[e + 1] - start[e]; }
};

template <class P, int k> struct RouteFacts : ContractionFacts<P, k> {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& kernel = plan.kernel[k];
  static_assert(kernel.lefts == 1, "what is routed together has one left operand");
  using Left = typename ContractionFacts<P, k>::template LeftOperand<0>;

  static constexpr int first_right = plan.node[kernel.segment[0].contraction[0]].operand[1];
  static constexpr short group_axis = Compiled<P>::table.leaf[plan.node[first_right].leaf].axis[plan.node[first_right].dimension];
  static long group_count(const Binding<P>& b) { return extent_of<P, group_axis>(b); }

  // ---- rows: those that are added up lie together
  static constexpr AxisList ordered_rows(Mask m) {
    constexpr auto& index = plan.node[kernel.index];
    return index.kind == NodeKind::leaf ? ordered(plan, m, index) : ordered(plan, m, plan.store[kernel.segment[0].store[0]]);
  }
  static constexpr AxisList outputs = ordered_rows(kernel.rows & ~kernel.combined), combined = ordered_rows(kernel.combined);
  static constexpr AxisList rows = [] {
    AxisList l = outputs;
    for (int i = 0; i < combined.count; ++i) l.axis[l.count++] = combined.axis[i];
    return l;
  }();
  // those that the left operand has: the others share them
  static constexpr AxisList left_rows = [] {
    AxisList l;
    for (int i = 0; i < rows.count; ++i)
      if (plan.node[kernel.left[0].node].axes & bit(rows.axis[i])) l.axis[l.count++] = rows.axis[i];
    return l;
  }();
  static long left_row(const Binding<P>& b, const Index<P>& index) {  // its number along left_rows
    long n = 0;
    for (int i = 0; i < left_rows.count; ++i) n = n * extent_of(b, left_rows.axis[i]) + index[left_rows.axis[i]];
    return n;
  }

  // ---- groups
  static Groups take(const Binding<P>& b, long rows, Arena& arena) {
    const long groups = group_count(b);
    return {arena.take<std::int32_t>(rows), arena.take<std::int32_t>(groups + 1), arena.take<std::int32_t>(groups), 0};
  }
  // of rows [first, first + count); their numbers in `order` are those in the whole call. Throws Error where an index names no group.
  static void sort(const Binding<P>& b, long first, long count, Groups& to) {
    const long groups = group_count(b);
    for (long e = 0; e <= groups; ++e) to.start[e] = 0;
    for (long r = first; r < first + count; ++r) ++to.start[group_of(b, r, groups)];
    to.count = 0;
    std::int32_t end = 0;
    for (long e = 0; e < groups; ++e) {
      if (to.start[e] > 0) to.used[to.count++] = static_cast<std::int32_t>(e);
      to.start[e] = end += to.start[e];
    }
    to.start[groups] = end;
    for (long r = first + count; r-- > first;) to.order[--to.start[group_of(b, r, groups)]] = static_cast<std::int32_t>(r);
  }

  // ---- right operands: `here` gets views of those of group e
  static void enter(const Binding<P>& b, long e, Binding<P>& here) {
    unroll<kernel.segments>([&](auto g) {
      unroll<kernel.segment[g].contractions>([&](auto i) {
        constexpr auto& right = plan.node[plan.node[kernel.segment[g].contraction[i]].operand[1]];
        here.view[right.leaf].data = b.view[right.leaf].part(right.dimension, e);
      });
    });
  }

 private:
  static long group_of(const Binding<P>& b, long row, long groups) {
    Index<P> index;
    decode<P, rows>(b, row, index);
    const HoldsNothing nothing;
    const auto e = static_cast<long>(evaluate<kernel.index, float>(Point<P, -1, HoldsNothing>{b, index, nothing}));
    if (e < 0 || e >= groups) {
      std::string place;
      for (int i = 0; i < rows.count; ++i)
        place += std::string(i ? ", " : "") + plan.axis[rows.axis[i]].record.name + " " + std::to_string(index[rows.axis[i]]);
      throw Error(std::string("operand ") + Compiled<P>::table.leaf[plan.node[first_right].leaf].path.text + ": row " +
                  std::to_string(row) + " asks for part " + std::to_string(e) + " along axis " + plan.axis[group_axis].record.name +
                  ", which has " + std::to_string(groups) + " (" + place + ")" +
                  (e == -1 ? "; -1 is what top_k gives where it meets a NaN" : ""));
    }
    return e;
  }
};

// ---- rows that are added up
template <class P, int k, int g> struct RowSums {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& segment = plan.kernel[k].segment[g];
  using C = Columns<P, k, g>;
  static constexpr int lane = C::inner;

  struct Products {  // the accumulators of one row
    static constexpr NodeList nodes = [] {
      NodeList l;
      for (int i = 0; i < segment.contractions; ++i) l.add(segment.contraction[i]);
      return l;
    }();
    const float* row;
    long runs, padded, at = 0;
    template <int node, class V> WEFT_INLINE V get() const {
      const float* p = row + nodes.find(node) * runs * padded + at;
      if constexpr (std::is_same_v<V, float>)
        return *p;
      else
        return load(p);
    }
  };
  // Adds what the kernel adds up of rows order[0] ... order[count - 1]: `added` rows that follow each other have one sum. The accumulators of a row are
  // row_size apart, the sums of output rows from `first_output` on c.runs * c.padded.
  template <class Chunk> [[gnu::noinline]] static void add(const Binding<P>& binding, const Index<P>& start, const std::int32_t* order,
                                                           long count, const float* accumulators, long row_size, const Chunk& c,
                                                           long first_output, float* sums) {
    if constexpr (segment.combine >= 0) {
      constexpr int body = plan.node[segment.combine].operand[0];
      using Row = WithInvariants<P, lane, Products, OnlyNode<body>::list>;
      const Binding<P> b = binding;  // copies that no store can reach: what does not change is computed once
      Index<P> index = start;
      const long added = count_of<P, RouteFacts<P, k>::combined>(b);
      for (long r = 0; r < count; ++r) {
        decode<P, RouteFacts<P, k>::rows>(b, order[r], index);
        Products held{accumulators + r * row_size, c.runs, c.padded};
        float* sum = sums + (order[r] / added - first_output) * c.runs * c.padded;
        for (long o = 0; o < c.runs; ++o) {
          decode<P, C::list, C::outer, C::last>(b, o, index);
          index[lane] = c.first;
          const Row known(b, index, held);
          for (long j = 0; j < c.length; j += Packet::lanes) {
            held.at = o * c.padded + j;
            index[lane] = c.first + j;
            const Point<P, lane, Row> p{b, index, known, std::min<long>(c.length - j, Packet::lanes)};
            store(sum + held.at, load(sum + held.at) + evaluate<body, Packet>(p));
          }
        }
      }
    }
  }
};

}  // namespace weft::cpu
