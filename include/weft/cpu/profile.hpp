// profile: what an executor tells of a program that it ran: facts of the plan, and when each kernel began. It tells a Recorder while one is set
// (Executor::record); otherwise it only asks whether one is. The Recorder that makes tables of this is Profile in profile_report.hpp.
#pragma once
#include <weft/cpu/graph.hpp>

#include <algorithm>
#include <ctime>

namespace weft::cpu {

inline long nanoseconds_now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000L + t.tv_nsec;
}

// A plan without the room for more that PlanValue has: some kilobytes of a program's data.
struct PlanView {
  const Node* node;
  int nodes;
  const Store* store;
  const Kernel* kernel;
  int kernels;
  const PlanAxis* axis;
  int axes;
  const Temporary* temporary;
  int temporaries, leaves;
};
// a program as values; their address is its identity
struct ProgramFacts {
  const char* type;  // in the compiler's words
  PlanView plan;
  const LeafRecord* leaf;
  const CallRecord* call;
  const short* call_of;  // the use of a module in whose formula each node stands; 0: the program itself
};
template <class P> class FactsOf {
  static constexpr auto& plan = Compiled<P>::plan;
  static constexpr auto& table = Compiled<P>::table;
  template <class T, int n> struct First { T at[n > 0 ? n : 1]; };
  template <int n, class T> static constexpr First<T, n> first(const T* from) {
    First<T, n> f{};
    for (int i = 0; i < n; ++i) f.at[i] = from[i];
    return f;
  }
  static constexpr auto nodes = first<plan.nodes>(plan.node);
  static constexpr auto stores = first<plan.stores>(plan.store);
  static constexpr auto kernels = first<plan.kernels>(plan.kernel);
  static constexpr auto axes = first<plan.axes>(plan.axis);
  static constexpr auto temporaries = first<plan.temporaries>(plan.temporary);
  static constexpr auto leaves = first<table.leaves>(table.leaf);
  static constexpr auto calls = first<table.calls>(table.call);
  static constexpr auto call_of = [] {
    First<short, plan.nodes> f{};
    for (int n = 0; n < plan.nodes; ++n) f.at[n] = plan.node[n].origin < 0 ? short{0} : table.record[plan.node[n].origin].call;
    return f;
  }();
  static constexpr const char* type() { return __PRETTY_FUNCTION__; }

 public:
  static constexpr ProgramFacts value = {
      type(),
      {nodes.at, plan.nodes, stores.at, kernels.at, plan.kernels, axes.at, plan.axes, temporaries.at, plan.temporaries, plan.leaves},
      leaves.at,
      calls.at,
      call_of.at};
};

// What the bounds of a stream's loop leave of it: the part of all (row, element) pairs, and the part of the streamed axis that some row sees.
struct Visible {
  double pairs = 1, elements = 1;
};
template <class P, int k> Visible visible_part(const Binding<P>& b) {
  static constexpr auto& kernel = plan_of<P>.kernel[k];
  static constexpr auto& stream = kernel.stream;
  if constexpr (kernel.skeleton == Skeleton::stream && stream.lows + stream.highs > 0) {
    static constexpr int along = std::countr_zero(kernel.bound);
    static constexpr AxisList rows = [] {  // those that the bounds depend on
      Mask axes = 0;
      for (int i = 0; i < stream.lows; ++i) axes |= plan_of<P>.node[stream.low[i].node].axes;
      for (int i = 0; i < stream.highs; ++i) axes |= plan_of<P>.node[stream.high[i].node].axes;
      AxisList l;
      for (short a = 0; a < plan_of<P>.axes; ++a)
        if (axes & bit(a)) l.axis[l.count++] = a;
      return l;
    }();
    const long count = count_of<P, rows>(b), elements = extent_of<P, along>(b);
    if (count == 0 || elements == 0) return {};
    long pairs = 0, first = elements, last = 0;
    for (long r = 0; r < count; ++r) {
      Index<P> index;
      decode<P, rows>(b, r, index);
      const HoldsNothing nothing;
      const Point<P, -1, HoldsNothing> p{b, index, nothing};
      long low = 0, high = elements;
      unroll<stream.lows>(
          [&](auto i) { low = std::max(low, static_cast<long>(evaluate<stream.low[i].node, float>(p)) + stream.low[i].plus); });
      unroll<stream.highs>(
          [&](auto i) { high = std::min(high, static_cast<long>(evaluate<stream.high[i].node, float>(p)) + stream.high[i].plus); });
      if (low >= high) continue;
      pairs += high - low;
      first = std::min(first, low);
      last = std::max(last, high);
    }
    const auto n = static_cast<double>(elements);
    return {static_cast<double>(pairs) / (static_cast<double>(count) * n), static_cast<double>(std::max(last - first, 0L)) / n};
  } else {
    return {};
  }
}

class Recorder {
 public:
  virtual ~Recorder() = default;
  // One run. By number: the extents of axes, the formats in which leaves and temporaries are bound, what is visible to each kernel; clock: when
  // each kernel began and when the last one ended, in nanoseconds.
  virtual void add(const ProgramFacts& program, const long* extent, const DType* format, const Visible* visible, const long* clock) = 0;
};

template <class P> void tell(Recorder& recorder, const Binding<P>& b, const long* clock) {
  constexpr int kernels = plan_of<P>.kernels, views = Binding<P>::views;
  DType format[views > 0 ? views : 1];
  for (int v = 0; v < views; ++v) format[v] = b.view[v].format;
  Visible visible[kernels > 0 ? kernels : 1];
  unroll<kernels>([&](auto k) { visible[k] = visible_part<P, k>(b); });
  recorder.add(FactsOf<P>::value, b.extent, format, visible, clock);
}

}  // namespace weft::cpu
