// accumulate: rows that are added to rows of a tensor which an index names (the skeleton map, where its store accumulates). Rows may meet in one
// place: each thread adds up all rows, in ascending order, in columns of its own.
#pragma once
#include <weft/cpu/graph.hpp>
#include <weft/cpu/team.hpp>

#include <string>

namespace weft::cpu {

template <class P, int k> struct AccumulateKernel {
  static constexpr auto& plan = plan_of<P>;
  static constexpr int number = plan.kernel[k].segment[0].store[0];
  static constexpr auto& store = plan.store[number];
  static constexpr Mask indexed = plan.node[store.index].axes;
  static constexpr AxisList rows = ordered(plan, indexed, plan.node[store.index]),
                            columns = ordered(plan, plan.kernel[k].segment[0].columns & ~indexed, store);
  static constexpr int outer = columns.count > 0 ? columns.count - 1 : 0, lane = columns.count > 0 ? columns.axis[outer] : -1;
  using A = StoreAccess<P, number>;
  static_assert(!is_block(A::dtype), "rows in blocks cannot be added to");

  static std::size_t workspace(const Binding<P>&, int) { return 0; }
  // throws Error where an index names no row
  static void run(const Binding<P>& b, Worker& worker, std::byte*) {
    const long count = count_of<P, rows>(b), runs = count_of<P, columns, 0, outer>(b), length = lane < 0 ? 1 : extent_of < P,
               lane < 0 ? 0 : lane > (b), pieces = (length + Packet::lanes - 1) / Packet::lanes, all = runs * pieces;
    const long first = worker.first(all), last = worker.last(all);
    Index<P> index;
    for (long r = 0; r < count && first < last; ++r) {
      decode<P, rows>(b, r, index);
      const long row = place_of(b, index, r);
      for (long piece = first; piece < last; ++piece) {
        decode<P, columns, 0, outer>(b, piece / pieces, index);
        add(b, index, row, piece % pieces * Packet::lanes, length);
      }
      for (int i = 0; i < columns.count; ++i) index[columns.axis[i]] = 0;
    }
  }

 private:
  static long place_of(const Binding<P>& b, const Index<P>& index, long r) {
    static constexpr short axis = Compiled<P>::table.leaf[store.leaf].axis[store.dimension];
    const HoldsNothing nothing;
    const auto row = static_cast<long>(evaluate<store.index, float>(Point<P, -1, HoldsNothing>{b, index, nothing}));
    if (row < 0 || row >= extent_of<P, axis>(b))
      throw Error(std::string("operand ") + Compiled<P>::table.leaf[store.leaf].path.text + ": row " + std::to_string(r) +
                  " is to be added at " + std::to_string(row) + " along axis " + plan.axis[axis].record.name + ", which has " +
                  std::to_string(extent_of<P, axis>(b)));
    return row * b.view[A::leaf].stride[store.dimension];
  }
  WEFT_INLINE static void add(const Binding<P>& b, Index<P>& index, long row, long at, long length) {
    const HoldsNothing nothing;
    if constexpr (lane < 0) {
      auto* to = A::data(b) + A::offset(b, index) + row;
      *to = from_float<typename A::T>(to_float(*to) + evaluate<store.node, float>(Point<P, -1, HoldsNothing>{b, index, nothing}));
    } else {
      index[lane] = at;
      const long n = std::min<long>(length - at, Packet::lanes), step = A::template step<lane>(b);
      const Point<P, lane, HoldsNothing> p{b, index, nothing, n};
      auto* to = A::data(b) + A::offset(b, index) + row;
      store_along(to, step, load_along(to, step, n) + evaluate<store.node, Packet>(p), n);
    }
  }
};

}  // namespace weft::cpu
