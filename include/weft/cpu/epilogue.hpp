// epilogue: what happens to a block of accumulators: reductions over the columns of the tile, then pointwise stores. Shared by the
// skeletons contraction and stream; neither knows what is computed.
#pragma once
#include <weft/cpu/tile_arrays.hpp>

namespace weft::cpu {

// A block of accumulators of one row: contraction i, run o of the chunk, column j of the run is block[(i * runs + o) * padded + j].
struct Block {
  const float* row;
  long runs, padded;
  float sum = 0, maximum = 0;         // of a stream: over the streamed axis
  const float* invariants = nullptr;  // of a contraction: what is the same for all outer columns (columns.hpp)
};

template <class P, int k, int g, int known> struct Accumulators {
  static constexpr auto& segment = plan_of<P>.kernel[k].segment[g];
  static constexpr NodeList sums = accumulated(segment);
  static constexpr int reduction_number(int node) {
    for (int i = 0; i < known; ++i)
      if (segment.reduction[i] == node) return i;
    return -1;
  }
  static constexpr bool is_sum_of_stream(int node) {
    constexpr auto& stream = plan_of<P>.kernel[k].stream;
    for (int i = 0; i < stream.sums; ++i)
      if (stream.sum[i] == node) return true;
    return false;
  }
  using Invariants = ColumnInvariants<P, k>;
  static constexpr NodeList invariants = Invariants::template of<g>;
  static constexpr NodeList nodes = [] {
    constexpr auto& stream = plan_of<P>.kernel[k].stream;
    NodeList l;
    for (int i = 0; i < sums.count; ++i) l.add(sums.node[i]);
    for (int i = 0; i < known; ++i) l.add(segment.reduction[i]);
    for (int i = 0; i < stream.sums; ++i) l.add(stream.sum[i]);
    l.add(stream.maximum);
    for (int i = 0; i < invariants.count; ++i) l.add(invariants.node[i]);
    return l;
  }();
  Block block;
  const float* reduced;
  long stride = 0;         // of invariants
  long at = 0, place = 0;  // of the current packet: o * padded + j, and along the innermost axis

  template <int node, class V> WEFT_INLINE V get() const {
    if constexpr (reduction_number(node) >= 0) {
      return V(reduced[reduction_number(node)]);
    } else if constexpr (is_sum_of_stream(node)) {
      return V(block.sum);
    } else if constexpr (node == plan_of<P>.kernel[k].stream.maximum) {
      return V(block.maximum);
    } else if constexpr (invariants.has(node)) {
      static_assert(std::is_same_v<V, Packet>, "they vary along the innermost axis");
      return load(block.invariants + Invariants::all.find(node) * stride + place);
    } else {
      const float* p = block.row + sums.find(node) * block.runs * block.padded + at;
      if constexpr (std::is_same_v<V, float>)
        return *p;
      else
        return load(p);
    }
  }
};

// the plain leaves below a node, not counting what contractions read, that have a row for each of `rows` and lie along the lane axis
template <class Plan> constexpr void collect_leaves(const Plan& plan, int node, Mask rows, int lane, NodeList& seen, NodeList& found) {
  const Node& n = plan.node[node];
  if (seen.has(node) || n.kind == NodeKind::contract) return;
  seen.add(node);
  if (n.kind == NodeKind::leaf && (n.axes & rows) && (n.axes & bit(lane))) found.add(node);
  for (int i = 0; i < n.operands; ++i) collect_leaves(plan, n.operand[i], rows, lane, seen, found);
}

template <class P, int k, int g> struct Epilogue {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& segment = plan.kernel[k].segment[g];
  using C = Columns<P, k, g>;
  static constexpr int lane = C::inner;
  static constexpr bool whole_chunk(int store) {  // one value for all columns that the tile reduces
    Mask used = 0;
    for (int d = 0; d < plan.store[store].rank; ++d) used |= plan.store[store].at[d].axes();
    return C::reduced && !(used & C::chunk_axes);
  }
  static constexpr bool stores_elements = [] {
    for (int s = 0; s < segment.stores; ++s)
      if (!whole_chunk(segment.store[s])) return true;
    return false;
  }();
  static constexpr NodeList roots = [] {
    NodeList l;
    for (int s = 0; s < segment.stores; ++s) l.add(plan.store[segment.store[s]].node);
    return l;
  }();
  // index stands at the row and the outer columns; the chunk begins at `first` along the innermost axis and is `length` long
  [[gnu::noinline]] static void run(const Binding<P>& b, Index<P>& index, Block block, long first, long length) {
    row(b, index, block, first, length);
  }
  // the same for `count` rows from first_row on, numbered along the axes `rows`; their accumulators are row_size apart
  template <const AxisList& rows> [[gnu::noinline]] static void run_rows(const Binding<P>& binding, const Index<P>& start, long first_row,
                                                                         long count, Block block, long row_size, long first, long length) {
    const Binding<P> b = binding;  // copies that no store can reach: what does not change is computed once
    Index<P> index = start;
    decode<P, rows>(b, first_row, index);
    const long invariants_size = ColumnInvariants<P, k>::row_size(b);
    for (long r = 0; r < count; ++r, block.row += row_size, block.invariants += invariants_size) {
      row(b, index, block, first, length);
      advance<P, rows>(b, index);
    }
  }
  // the same for rows order[0] ... order[count - 1]
  template <const AxisList& rows> [[gnu::noinline]] static void run_listed_rows(const Binding<P>& binding, const Index<P>& start,
                                                                                const std::int32_t* order, long count, Block block,
                                                                                long row_size, long first, long length) {
    const Binding<P> b = binding;
    Index<P> index = start;
    for (long r = 0; r < count; ++r, block.row += row_size) {
      decode<P, rows>(b, order[r], index);
      row(b, index, block, first, length);
    }
  }
  // brings what run_rows will touch into the cache: the tensors that lie along the chunk. They come a short piece per row, which no
  // hardware prefetcher foresees.
  template <const AxisList& rows>
  WEFT_INLINE static void prefetch(const Binding<P>& b, const Index<P>& start, long first_row, long count, long first, long length) {
    Index<P> index = start;
    decode<P, rows>(b, first_row, index);
    for (long r = 0; r < count; ++r, advance<P, rows>(b, index)) {
      index[lane] = first;
      unroll<leaves.count>([&](auto i) WEFT_FLAT { prefetch_run<LeafAccess<P, leaves.node[i]>, 0>(b, index, length); });
      unroll<segment.stores>([&](auto s) WEFT_FLAT {
        constexpr int store = segment.store[s];
        if constexpr (plan.store[store].index < 0) prefetch_run<StoreAccess<P, store>, 1>(b, index, length);
      });
    }
  }

 private:
  static constexpr NodeList leaves = [] {
    NodeList seen, found;
    for (int i = 0; i < roots.count; ++i) collect_leaves(plan, roots.node[i], plan.kernel[k].rows, lane, seen, found);
    return found;
  }();
  template <class A, int to_write> WEFT_INLINE static void prefetch_run(const Binding<P>& b, const Index<P>& index, long length) {
    constexpr long line = 64;
    if constexpr (std::is_pointer_v<decltype(A::data(b))>) {
      if (A::template step<lane>(b) != 1) return;
      const auto* p = reinterpret_cast<const std::byte*>(A::data(b) + A::offset(b, index));
      const long bytes = length * static_cast<long>(sizeof(typename A::T));
      for (long at = 0; at < bytes; at += line) __builtin_prefetch(p + at, to_write, 3);
    }
  }
  WEFT_INLINE static void row(const Binding<P>& b, Index<P>& index, Block block, long first, long length) {
    if constexpr (C::in_arrays)
      TileArrays<P, k, g>::run(b, index, block.row, block.runs, block.padded);
    else
      row_of_numbers(b, index, block, first, length);
  }
  WEFT_INLINE static void row_of_numbers(const Binding<P>& b, Index<P>& index, Block block, long first, long length) {
    float reduced[segment.reductions + 1];
    const long stride = ColumnInvariants<P, k>::stride(b);
    unroll<segment.reductions>([&](auto r) WEFT_FLAT {
      reduced[r] = reduce<r>(b, index, Accumulators<P, k, g, r>{block, reduced, stride}, length);
    });
    Accumulators<P, k, g, segment.reductions> held{block, reduced, stride};
    unroll<segment.stores>([&](auto s) WEFT_FLAT {
      constexpr int store = segment.store[s];
      if constexpr (whole_chunk(store)) {
        const Point<P, -1, decltype(held)> p{b, index, held};
        write<P, store>(p, evaluate<plan.store[store].node, float>(p));
      }
    });
    if constexpr (stores_elements) {
      for (long o = 0; o < block.runs; ++o) {
        decode<P, C::list, C::outer, C::last>(b, o, index);
        index[lane] = first;
        store_run(b, index, held, o * block.padded, first, length);
      }
      for (int i = C::outer; i <= C::last; ++i) index[C::list.axis[i]] = 0;
    }
  }
  template <class Held>
  WEFT_INLINE static void store_run(const Binding<P>& b, Index<P>& index, Held& held, long base, long first, long length) {
    using Row = WithInvariants<P, lane, Held, roots>;
    held.at = base;
    const Row row(b, index, held);
    RunWriters<P, k, g> writers(b, index, length);
    const auto packet = [&](long j, auto n) WEFT_FLAT {
      held.at = base + j;
      index[lane] = held.place = first + j;
      const Point<P, lane, Row> p{b, index, row, n};
      Packet v[segment.stores];
      unroll<segment.stores>([&](auto s) WEFT_FLAT {
        if constexpr (!whole_chunk(segment.store[s])) v[s] = evaluate<plan.store[segment.store[s]].node, Packet>(p);
      });
      unroll<segment.stores>([&](auto s) WEFT_FLAT {
        if constexpr (!whole_chunk(segment.store[s])) writers.template put<s>(p, v[s]);
      });
    };
    long j = 0;
    for (; j + Packet::lanes <= length; j += Packet::lanes) packet(j, std::integral_constant<long, Packet::lanes>{});
    if (j < length) packet(j, length - j);
  }
  template <int r, class Held> WEFT_INLINE static float reduce(const Binding<P>& b, Index<P>& index, Held held, long length) {
    constexpr int node = segment.reduction[r], operands = plan.node[node].operands;
    constexpr bool is_sum = plan.node[node].monoid == Monoid::sum;
    const Packet neutral(is_sum ? 0.f : -std::numeric_limits<float>::infinity());
    Packet total = neutral;
    for (long o = 0; o < held.block.runs; ++o) {
      decode<P, C::list, C::outer, C::last>(b, o, index);
      for (long j = 0; j < length; j += Packet::lanes) {
        held.at = o * held.block.padded + j;
        index[lane] = held.place = j;
        const Point<P, lane, Held> p{b, index, held, length - j < Packet::lanes ? length - j : long(Packet::lanes)};
        unroll<operands>([&](auto i) WEFT_FLAT {  // an axis that was unrolled has left one operand for each of its values
          const Packet v = keep(evaluate<plan.node[node].operand[i], Packet>(p), p.n, neutral);
          if constexpr (is_sum)
            total = total + v;
          else
            total = max(total, v);
        });
      }
    }
    for (int i = C::outer; i <= C::last; ++i) index[C::list.axis[i]] = 0;
    if constexpr (is_sum)
      return sum(total);
    else
      return max(total);
  }
};

}  // namespace weft::cpu
