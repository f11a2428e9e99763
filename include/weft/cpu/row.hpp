// row: the skeletons map and row. Any number of reductions along a row, then pointwise stores over its columns; a map is a row without
// reductions. A row is read from memory once and stays in the first-level cache.
#pragma once
#include <weft/cpu/graph.hpp>
#include <weft/cpu/team.hpp>

#include <cstring>
#include <string>

namespace weft::cpu {

// ---- row statistics, one pass along the row each; a later one may use the earlier ones
template <class P, int k, int left> struct StatisticsOf {  // of the row of a row kernel (left = -1), or of a left operand
  static constexpr NodeList list = [] {
    constexpr auto& kernel = plan_of<P>.kernel[k];
    NodeList l;
    if constexpr (left < 0)
      for (int i = 0; i < kernel.statistics; ++i) l.add(kernel.statistic[i]);
    else
      for (int i = 0; i < kernel.left[left].statistics; ++i) l.add(kernel.left[left].statistic[i]);
    return l;
  }();
};
template <class P, const NodeList& list, int known> struct Statistics {
  static constexpr NodeList nodes = [] {
    NodeList l;
    for (int i = 0; i < known; ++i) l.add(list.node[i]);
    return l;
  }();
  const float* value;
  template <int node, class V> WEFT_INLINE V get() const { return V(value[nodes.find(node)]); }
};

template <class P, int node> struct ReducedAxes {
  static constexpr AxisList list = ordered_below(plan_of<P>, plan_of<P>.node[node].bound, plan_of<P>.node[node].operand[0]);
};
template <class P, int node> struct ReductionRoot {
  static constexpr NodeList list = [] {
    NodeList l;
    l.add(plan_of<P>.node[node].operand[0]);
    return l;
  }();
};

// one reduction at the row that index stands at; sums run in four chains of packets, in an order that only the extents decide
template <class P, int node, class Holder>
[[gnu::noinline]] float reduce_row(const Binding<P>& b, const Index<P>& start, const Holder& held) {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& list = ReducedAxes<P, node>::list;
  constexpr bool is_sum = plan.node[node].monoid == Monoid::sum;
  constexpr int lane = list.axis[list.count - 1], body = plan.node[node].operand[0];
  constexpr float neutral = is_sum ? 0.f : -std::numeric_limits<float>::infinity();
  const long outer = count_of<P, list, 0, list.count - 1>(b), n = extent_of<P, lane>(b);
  Index<P> index = start;  // a copy that nothing else can reach: what does not change along the row is computed once
  Packet chain[4] = {Packet(neutral), Packet(neutral), Packet(neutral), Packet(neutral)};
  for (long o = 0; o < outer; ++o) {
    decode<P, list, 0, list.count - 1>(b, o, index);
    using Held = WithInvariants<P, lane, Holder, ReductionRoot<P, node>::list>;
    const Held row(b, index, held);
    auto term = [&](long at, long count) WEFT_FLAT {
      index[lane] = at;
      return keep(evaluate<body, Packet>(Point<P, lane, Held>{b, index, row, count}), count, Packet(neutral));
    };
    auto add = [](Packet x, Packet y) WEFT_FLAT {
      if constexpr (is_sum)
        return x + y;
      else
        return max(x, y);
    };
    long at = 0;
    for (; at + 4 * Packet::lanes <= n; at += 4 * Packet::lanes)
      unroll<4>([&](auto c) WEFT_FLAT { chain[c] = add(chain[c], term(at + c * Packet::lanes, Packet::lanes)); });
    for (int c = 0; at < n; at += Packet::lanes, ++c)
      chain[c] = add(chain[c], term(at, n - at < Packet::lanes ? n - at : long(Packet::lanes)));
  }
  if constexpr (is_sum)
    return sum((chain[0] + chain[1]) + (chain[2] + chain[3]));
  else
    return max(max(max(chain[0], chain[1]), max(chain[2], chain[3])));
}

template <class P, const NodeList& list> WEFT_INLINE void row_statistics(const Binding<P>& b, const Index<P>& index, float* value) {
  unroll<list.count>([&](auto i) WEFT_FLAT { value[i] = reduce_row<P, list.node[i]>(b, index, Statistics<P, list, i>{value}); });
}

// ---- stores
template <class P, int store, class Place, class V> WEFT_INLINE void write(const Place& p, V v) {
  using A = StoreAccess<P, store>;
  static constexpr auto& plan = plan_of<P>;
  constexpr int lane = Place::lane, where = plan.store[store].index, dimension = plan.store[store].dimension;
  static_assert(!is_block(A::dtype), "single elements of a block cannot be stored");
  typename A::T* data = A::data(p.binding) + A::offset(p.binding, p.index);
  if constexpr (where >= 0) {
    const long stride = p.binding.view[A::leaf].stride[dimension];
    if constexpr (lane >= 0 && (plan.node[where].axes & bit(lane < 0 ? 0 : lane)) != 0) {
      const Packet rows = evaluate<where, Packet>(p);
      const long step = A::template step<lane>(p.binding);
      for (long i = 0; i < p.n && i < Packet::lanes; ++i)
        data[i * step + static_cast<long>(rows.v[i]) * stride] = from_float<typename A::T>(v.v[i]);
      return;
    } else {
      const Point<P, -1, typename Place::Held> scalar{p.binding, p.index, p.held};
      data += static_cast<long>(evaluate<where, float>(scalar)) * stride;
    }
  }
  if constexpr (std::is_same_v<V, float>)
    *data = from_float<typename A::T>(v);
  else
    store_along(data, A::template step<lane>(p.binding), v, p.n);
}

// ---- stores to tensors in blocks, which come packet by packet along a run: elements are gathered until a block is full

// The writer of one store along one run of the lane axis; of plain formats it keeps nothing.
template <class P, int store, bool in_blocks = is_block(StoreAccess<P, store>::dtype)> struct RunWriter {
  // the first element of a run of `length`
  RunWriter(const Binding<P>&, const Index<P>&, long) {}
  template <class Place> WEFT_INLINE void operator()(const Place& p, Packet v) { write<P, store>(p, v); }
};
// Throws Error where a run is no whole number of blocks, or where neighbours along it are no neighbours in memory.
template <class P, int store> struct RunWriter<P, store, true> {
  using A = StoreAccess<P, store>;
  using Block = typename A::T;
  static constexpr long size = block_elements(A::dtype);
  static_assert(A::dtype == DType::q8_0, "results are stored in blocks of q8_0 only: the other formats are for weights");

  RunWriter(const Binding<P>& b, const Index<P>& index, long length) {
    if (A::offset(b, index) % size != 0 || length % size != 0)
      refuse(std::to_string(length) + " elements from element " + std::to_string(A::offset(b, index)) + " on");
  }
  template <class Place> WEFT_INLINE void operator()(const Place& p, Packet v) {
    cpu::store(gathered_ + count_, v, p.n);
    count_ += p.n < Packet::lanes ? p.n : long(Packet::lanes);
    if (count_ < size) return;
    if (A::template step<Place::lane>(p.binding) != 1) refuse("neighbours that are not neighbours in memory");
    constexpr int where = plan_of<P>.store[store].index, dimension = plan_of<P>.store[store].dimension;
    long at = A::offset(p.binding, p.index);
    if constexpr (where >= 0) {
      static_assert(!(plan_of<P>.node[where].axes & bit(Place::lane)), "the rows that an index names hold whole blocks");
      const Point<P, -1, typename Place::Held> scalar{p.binding, p.index, p.held};
      at += static_cast<long>(evaluate<where, float>(scalar)) * p.binding.view[A::leaf].stride[dimension];
    }
    Block block;
    quantize(gathered_, block);
    std::memcpy(static_cast<std::byte*>(p.binding.view[A::leaf].data) + at / size * static_cast<long>(sizeof(Block)), &block, sizeof block);
    count_ = 0;
  }

 private:
  [[noreturn]] static void refuse(const std::string& what) {
    throw Error(std::string("operand ") + Compiled<P>::table.leaf[A::leaf].path.text + ": a kernel stores " + what + "; " +
                name_of(A::dtype) + " needs whole blocks of " + std::to_string(size));
  }
  float gathered_[size];
  long count_ = 0;
};
// the writers of all stores of segment g of kernel k
template <class P, int k, int g, class Sequence = std::make_integer_sequence<int, plan_of<P>.kernel[k].segment[g].stores>>
struct RunWriters;
template <class P, int k, int g, int... s> struct RunWriters<P, k, g, std::integer_sequence<int, s...>>
    : RunWriter<P, plan_of<P>.kernel[k].segment[g].store[s]>... {
  static constexpr auto& segment = plan_of<P>.kernel[k].segment[g];
  RunWriters(const Binding<P>& b, const Index<P>& index, long length)
      : RunWriter<P, plan_of<P>.kernel[k].segment[g].store[s]>(b, index, length)... {}
  template <int number, class Place> WEFT_INLINE void put(const Place& p, Packet v) {
    static_cast<RunWriter<P, segment.store[number]>&> (*this)(p, v);
  }
};

template <class P, int k> struct RowKernel {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& kernel = plan.kernel[k];
  static constexpr auto& segment = kernel.segment[0];
  static constexpr auto& first_store = plan.store[segment.store[0]];
  static constexpr AxisList columns = ordered(plan, segment.columns, first_store);
  static constexpr bool has_columns = columns.count > 0;
  static constexpr int lane = has_columns ? columns.axis[columns.count - 1] : -1;
  static constexpr AxisList rows = ordered(plan, kernel.rows, first_store);
  // without reductions nothing ties the columns of a row together: all axes but the lanes are rows
  static constexpr AxisList outer =
      kernel.skeleton == Skeleton::map ? ordered(plan, segment.columns & ~(lane >= 0 ? bit(lane) : 0), first_store) : rows;
  static constexpr int inner_columns = kernel.skeleton == Skeleton::map || !has_columns ? 0 : columns.count - 1;
  static constexpr NodeList roots = [] {
    NodeList l;
    for (int s = 0; s < segment.stores; ++s) l.add(plan.store[segment.store[s]].node);
    return l;
  }();
  using Known = Statistics<P, StatisticsOf<P, k, -1>::list, kernel.statistics>;

  static void run(const Binding<P>& binding, Worker& worker, std::byte*) {
    const Binding<P> b = binding;  // a copy that no store can reach
    const long count = count_of<P, outer>(b);
    Index<P> index;
    float value[kernel.statistics + 1];
    const Known known{value};
    for (long r = worker.first(count), last = worker.last(count); r < last; ++r) {
      decode<P, outer>(b, r, index);
      row_statistics<P, StatisticsOf<P, k, -1>::list>(b, index, value);
      const long repeats = count_of<P, columns, 0, inner_columns>(b);
      for (long o = 0; o < repeats; ++o) {
        decode<P, columns, 0, inner_columns>(b, o, index);
        store_row(b, index, known);
      }
    }
  }
  WEFT_INLINE static void store_row(const Binding<P>& b, Index<P>& index, const Known& known) {
    if constexpr (!has_columns) {
      const Point<P, -1, Known> p{b, index, known};
      unroll<segment.stores>([&](auto s) WEFT_FLAT {
        constexpr int store = segment.store[s];
        write<P, store>(p, evaluate<plan.store[store].node, float>(p));
      });
    } else {
      using Held = WithInvariants<P, lane, Known, roots>;
      const Held held(b, index, known);
      const long n = extent_of<P, lane>(b);
      RunWriters<P, k, 0> writers(b, index, n);
      const auto packet = [&](long at, auto count) WEFT_FLAT {
        index[lane] = at;
        const Point<P, lane, Held> p{b, index, held, count};
        Packet v[segment.stores];  // all are computed before any is stored: a store may overwrite what another reads
        unroll<segment.stores>([&](auto s) WEFT_FLAT { v[s] = evaluate<plan.store[segment.store[s]].node, Packet>(p); });
        unroll<segment.stores>([&](auto s) WEFT_FLAT { writers.template put<s>(p, v[s]); });
      };
      long at = 0;
      for (; at + Packet::lanes <= n; at += Packet::lanes) packet(at, std::integral_constant<long, Packet::lanes>{});
      if (at < n) packet(at, n - at);
      index[lane] = 0;
    }
  }
  static std::size_t workspace(const Binding<P>&, int) { return 0; }
};

}  // namespace weft::cpu
