// tile_arrays: reductions in the tile of an epilogue that are more than one number for all columns: selections of the largest, reductions over
// some of several axes, and what is computed from them along axes that no contraction has. Each is an array over Tiles, in the stack frame of its
// row. Everything is small (at most 256 elements, mostly a handful), so clarity comes before speed.
#pragma once
#include <weft/cpu/columns.hpp>
#include <weft/cpu/largest.hpp>

namespace weft::cpu {

template <class P, int k, int g> struct TileArrays {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& segment = plan.kernel[k].segment[g];
  using C = Columns<P, k, g>;
  static constexpr Mask around = [] {  // axes at which an array stands: rows and the columns outside of the chunk
    Mask m = plan.kernel[k].rows | plan.kernel[k].batch;
    for (int i = 0; i < C::outer; ++i) m |= bit(C::list.axis[i]);
    return m;
  }();
  static constexpr AxisList axes_of(Mask m) {
    AxisList l;
    for (short a = 0; a < plan.axes; ++a)
      if (m & bit(a)) l.axis[l.count++] = a;
    return l;
  }
  static constexpr long extent(int axis) { return plan.axis[axis].record.extent; }
  static constexpr long size_of(const AxisList& l) {
    long n = 1;
    for (int i = 0; i < l.count; ++i) n *= extent(l.axis[i]);
    return n;
  }

  // ---- the array of reduction r
  template <int r> struct Array {
    static constexpr auto& node = plan.node[segment.reduction[r]];
    static constexpr bool selects = node.kind == NodeKind::top_k;
    static constexpr AxisList axes = axes_of(node.axes & ~around);
    static constexpr AxisList rows = axes_of(rows_of_reduction(node) & ~around);
    static constexpr AxisList bound = selects ? ordered(plan, node.bound, node) : axes_of(node.bound);
    static constexpr int lane = bound.axis[bound.count - 1];
    static constexpr long step(int axis) {  // 0 where it lacks the axis
      long n = 1;
      for (int i = axes.count; i-- > 0; n *= extent(axes.axis[i]))
        if (axes.axis[i] == axis) return n;
      return 0;
    }
  };
  static constexpr long begin(int r) {  // where it lies
    long n = 0;
    for (int i = 0; i < r; ++i) n += round_up(size_of(axes_of(plan.node[segment.reduction[i]].axes & ~around)), Packet::lanes);
    return n;
  }

  // what is known when the first `known` arrays are made, with packets along `lane`
  template <int known, int lane> struct Held {
    static constexpr NodeList nodes = [] {
      NodeList l;
      for (int i = 0; i < accumulated(segment).count; ++i) l.add(accumulated(segment).node[i]);
      for (int i = 0; i < known; ++i) l.add(segment.reduction[i]);
      return l;
    }();
    static constexpr int position(int node) {
      for (int i = 0; i < known; ++i)
        if (segment.reduction[i] == node) return i;
      return -1;
    }
    const float *accumulators, *values;
    long runs, padded;
    const Index<P>& index;
    long n = 1;

    template <int node, class V> WEFT_INLINE V get() const {
      if constexpr (position(node) >= 0) {
        using A = Array<position(node)>;
        long at = begin(position(node));
        for (int i = 0; i < A::axes.count; ++i) at += index[A::axes.axis[i]] * A::step(A::axes.axis[i]);
        return read<V>(values + at, A::step(lane));
      } else {
        constexpr int number = accumulated(segment).find(node);
        long at = 0, step = 0;
        for (int i = C::outer; i < C::last; ++i) {
          at = at * extent(C::list.axis[i]) + index[C::list.axis[i]];
          step = C::list.axis[i] == lane ? 1 : step * extent(C::list.axis[i]);
        }
        return read<V>(accumulators + (number * runs + at) * padded + index[C::inner], C::inner == lane ? 1 : step * padded);
      }
    }
    template <class V> WEFT_INLINE V read(const float* p, long step) const {
      if constexpr (std::is_same_v<V, float>)
        return *p;
      else
        return step == 0 ? V(*p) : load_along(p, step, n);
    }
  };

  // f(n) for packets of `lane`, at which index stands
  template <int lane, class F> WEFT_INLINE static void along(Index<P>& index, F f) {
    for (long at = 0; at < extent(lane); at += Packet::lanes) {
      index[lane] = at;
      f(std::min<long>(extent(lane) - at, Packet::lanes));
    }
    index[lane] = 0;
  }
  template <const AxisList& list, int last> WEFT_INLINE static void leave(Index<P>& index) {
    for (int i = 0; i < last; ++i) index[list.axis[i]] = 0;
  }

  template <int r>
  static void make(const Binding<P>& b, Index<P>& index, const float* accumulators, long runs, long padded, float* values) {
    using A = Array<r>;
    constexpr int lane = A::lane;
    using Known = Held<r, lane>;
    Known held{accumulators, values, runs, padded, index};
    const auto value = [&](auto operand, long n) WEFT_FLAT {
      held.n = n;
      const Point<P, lane, Known> p{b, index, held, n};
      return evaluate<A::node.operand[operand], Packet>(p);
    };
    for (long row = 0; row < size_of(A::rows); ++row) {
      decode<P, A::rows>(b, row, index);
      long at = begin(r);
      for (int i = 0; i < A::rows.count; ++i) at += index[A::rows.axis[i]] * A::step(A::rows.axis[i]);
      if constexpr (A::selects) {
        constexpr long count = size_of(A::bound), wanted = extent(A::node.dimension);
        float all[round_up(count, Packet::lanes) + Packet::lanes];
        float best[wanted], best_value[wanted];
        long filled = 0;
        for (long o = 0; o < count / extent(lane); ++o) {
          decode<P, A::bound, 0, A::bound.count - 1>(b, o, index);
          along<lane>(index, [&](long n) WEFT_FLAT {
            store(all + filled, value(std::integral_constant<int, 0>{}, n), n);
            filled += n;
          });
        }
        leave<A::bound, A::bound.count>(index);
        select_largest(all, count, wanted, best_value, best);
        constexpr auto& which = A::node.at[1];  // a place, or all along an axis
        if constexpr (which.summands == 0)
          values[at] = best[which.constant];
        else
          for (long i = 0; i < wanted; ++i) values[at + i * A::step(which.term[0].axis)] = best[i];
      } else {
        constexpr bool is_sum = A::node.monoid == Monoid::sum;
        const Packet neutral(is_sum ? 0.f : -std::numeric_limits<float>::infinity());
        Packet total = neutral;
        for (long o = 0; o < size_of(A::bound) / extent(lane); ++o) {
          decode<P, A::bound, 0, A::bound.count - 1>(b, o, index);
          along<lane>(index, [&](long n) WEFT_FLAT {
            unroll<A::node.operands>([&](auto i) WEFT_FLAT {
              const Packet v = keep(value(i, n), n, neutral);
              if constexpr (is_sum)
                total = total + v;
              else
                total = max(total, v);
            });
          });
        }
        leave<A::bound, A::bound.count>(index);
        if constexpr (is_sum)
          values[at] = sum(total);
        else
          values[at] = max(total);
      }
    }
    leave<A::rows, A::rows.count>(index);
  }

  template <int s> struct Stored {  // store s of the segment
    static constexpr int store = segment.store[s];
    static constexpr AxisList axes = [] {
      Mask m = plan.node[plan.store[store].node].axes;
      for (int d = 0; d < plan.store[store].rank; ++d) m |= plan.store[store].at[d].axes();
      return ordered(plan, m & ~around, plan.store[store]);
    }();
  };
  template <int s>
  static void put(const Binding<P>& b, Index<P>& index, const float* accumulators, long runs, long padded, const float* values) {
    using S = Stored<s>;
    constexpr int root = plan.store[S::store].node;
    if constexpr (S::axes.count == 0) {
      using Known = Held<segment.reductions, -1>;
      const Known held{accumulators, values, runs, padded, index};
      const Point<P, -1, Known> p{b, index, held};
      write<P, S::store>(p, evaluate<root, float>(p));
    } else {
      constexpr int last = S::axes.count - 1, lane = S::axes.axis[last];
      using Known = Held<segment.reductions, lane>;
      Known held{accumulators, values, runs, padded, index};
      for (long o = 0; o < size_of(S::axes) / extent(lane); ++o) {
        decode<P, S::axes, 0, last>(b, o, index);
        along<lane>(index, [&](long n) WEFT_FLAT {
          held.n = n;
          const Point<P, lane, Known> p{b, index, held, n};
          write<P, S::store>(p, evaluate<root, Packet>(p));
        });
      }
      leave<S::axes, S::axes.count>(index);
    }
  }
  // index stands at the row and the outer columns
  static void run(const Binding<P>& b, Index<P>& index, const float* accumulators, long runs, long padded) {
    constexpr long size = begin(segment.reductions);
    alignas(64) float values[size];
    unroll<segment.reductions>([&](auto r) { make<r>(b, index, accumulators, runs, padded, values); });
    unroll<segment.stores>([&](auto s) { put<s>(b, index, accumulators, runs, padded, values); });
  }
};

}  // namespace weft::cpu
