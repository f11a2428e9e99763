// select: rows of which the positions of the largest elements are wanted (the skeleton row, where what it stores is a top_k).
#pragma once
#include <weft/cpu/largest.hpp>
#include <weft/cpu/staging.hpp>

namespace weft::cpu {

template <class P, int k> struct SelectKernel {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& kernel = plan.kernel[k];
  static constexpr int number = kernel.segment[0].store[0], root = plan.store[number].node;
  static constexpr auto& node = plan.node[root];
  static_assert(node.kind == NodeKind::top_k);
  static constexpr AxisList rows = ordered(plan, kernel.rows, plan.store[number]), bound = ordered(plan, node.bound, node);
  static constexpr AxisList selected = [] {
    Node along;
    along.rank = 1;
    along.at[0] = node.at[1];
    return ordered(plan, node.at[1].axes(), along);
  }();
  static constexpr long only = node.at[1].constant;  // where one of those that are selected is stored
  static constexpr NodeList statistics = [] {        // of the row, before anything is selected
    NodeList l;
    for (int i = 0; i < kernel.statistics; ++i)
      if (kernel.statistic[i] != root) l.add(kernel.statistic[i]);
    return l;
  }();

  struct Layout {
    float *elements, *largest, *positions;
  };
  static Layout layout(const Binding<P>& b, int threads, int thread, Arena& arena) {
    Layout mine{};
    const long n = count_of<P, bound>(b) + Packet::lanes, wanted = extent_of<P, node.dimension>(b);
    for (int t = 0; t < threads; ++t) {
      const Layout w{arena.take<float>(n), arena.take<float>(wanted), arena.take<float>(wanted)};
      if (t == thread) mine = w;
    }
    return mine;
  }
  static std::size_t workspace(const Binding<P>& b, int threads) {
    Arena arena;
    layout(b, threads, 0, arena);
    return arena.used();
  }
  // throws Error where a row has fewer elements than are wanted
  static void run(const Binding<P>& b, Worker& worker, std::byte* memory) {
    Arena arena(memory);
    const Layout w = layout(b, worker.count(), worker.number(), arena);
    const long count = count_of<P, rows>(b), n = count_of<P, bound>(b), wanted = extent_of<P, node.dimension>(b),
               stored = count_of<P, selected>(b);
    if (n < wanted)
      throw Error(std::string("top_k along axis ") + plan.axis[bound.axis[0]].record.name + ": " + std::to_string(wanted) +
                  " elements are to be selected, found " + std::to_string(n));
    Index<P> index;
    const HoldsNothing nothing;
    const Point<P, -1, HoldsNothing> p{b, index, nothing};
    for (long r = worker.first(count), last = worker.last(count); r < last; ++r) {
      decode<P, rows>(b, r, index);
      evaluate_plain_row<P, node.operand[0], bound, statistics>(b, index, w.elements);
      select_largest(w.elements, n, wanted, w.largest, w.positions);
      for (long i = 0; i < stored; ++i) {
        decode<P, selected>(b, i, index);
        write<P, number>(p, w.positions[i + only]);
      }
      for (int i = 0; i < selected.count; ++i) index[selected.axis[i]] = 0;
    }
  }
};

}  // namespace weft::cpu
