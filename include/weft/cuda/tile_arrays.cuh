// tile_arrays: reductions in the tile of an epilogue that are more than one number for all columns: selections of the largest, reductions over some of
// several axes, and what is computed from them along axes that no contraction has. A warp makes them for a row, one array after the other, in shared
// memory; all are small.
#pragma once
#include <weft/cuda/contraction_facts.cuh>
#include <weft/cuda/largest.cuh>

namespace weft::cuda {

// contraction i at column j of the tile, in row r: sums[r * stride + i * columns + j]
struct Accumulators {
  const float* sums;
  int stride, columns;
};
// Rows [first_row, first_row + rows) and columns [first_column, first_column + columns), counted along their lists; where rows are listed,
// those of order[first_row] ...
struct Tile {
  long first_row, first_column;
  int rows, columns;
  const std::int32_t* order = nullptr;
  WEFT_DEVICE unsigned number(int row) const { return static_cast<unsigned>(order ? order[first_row + row] : first_row + row); }
};

template <class P, int k, int g> struct TileArrayFacts {
  static constexpr auto& plan = trimmed_plan<P>;  // for facts only: device code cannot name it
  using C = typename ContractionFacts<P, k>::template Columns<g>;
  static constexpr Segment segment = C::segment;
  static constexpr Mask around = [] {  // axes at which an array stands: rows, and columns outside of the tile
    Mask m = plan.kernel[k].rows | plan.kernel[k].batch;
    for (int i = 0; i < C::list.count; ++i) m |= bit(C::list.axis[i]);
    return m & ~C::chunk_axes;
  }();
  // an array over some axes
  struct Shape {
    AxisList list;
    int step[8]{}, count = 1;
  };
  static constexpr Shape shape_of(const AxisList& list) {
    Shape s{list};
    for (int i = list.count; i-- > 0;) {
      s.step[i] = s.count;
      s.count *= static_cast<int>(plan.axis[list.axis[i]].record.extent);
    }
    return s;
  }
  static constexpr Shape shape_of(Mask m) {
    AxisList l;
    for (short a = 0; a < plan.axes; ++a)
      if (m & bit(a)) l.axis[l.count++] = a;
    return shape_of(l);
  }
  template <const Shape& shape_> struct Place {
    static constexpr Shape shape = shape_;
    static constexpr AxisList list = shape.list;
    static constexpr int count = shape.count;
    // where the element at an index lies
    WEFT_DEVICE static int of(const Index<P>& index) {
      int at = 0;
      unroll<list.count>([&](auto i) {
        constexpr int axis = list.axis[i], step = shape.step[i];
        at += index.at[axis] * step;
      });
      return at;
    }
    template <int axis> static constexpr int step = [] {
      for (int i = 0; i < list.count; ++i)
        if (list.axis[i] == axis) return shape.step[i];
      return 0;
    }();
  };

  static constexpr Shape columns = [] {  // of the tile, as contractions lie there
    AxisList l;
    for (int i = 0; i < C::list.count; ++i)
      if (C::chunk_axes & bit(C::list.axis[i])) l.axis[l.count++] = C::list.axis[i];
    return shape_of(l);
  }();
  // of reduction r
  template <int r> struct Array {
    static constexpr Node node = plan.node[segment.reduction[r]];
    static constexpr bool selects = node.kind == NodeKind::top_k;
    static constexpr Shape all = shape_of(node.axes & ~around), rows = shape_of(rows_of_reduction(node) & ~around),
                           bound = selects ? shape_of(ordered(plan, node.bound, node)) : shape_of(node.bound);
  };
  static constexpr int begin(int r) {  // where it lies
    int n = 0;
    for (int i = 0; i < r; ++i) n += shape_of(plan.node[segment.reduction[i]].axes & ~around).count;
    return n;
  }
  template <int r> static constexpr int begin_of = begin(r);
  static constexpr int size = begin(segment.reductions);  // floats of a row
  // of store s of the segment, what it stores of a row
  template <int s> static constexpr Shape stored = [] {
    const Store& store = plan.store[segment.store[s]];
    Mask m = plan.node[store.node].axes;
    for (int d = 0; d < store.rank; ++d) m |= store.at[d].axes();
    return shape_of(ordered(plan, m & ~around, store));
  }();
};

// what is known of a row when its first `known` arrays are made
template <class P, int k, int g, int known> struct TileArrayHolder {
  using Facts = TileArrayFacts<P, k, g>;
  static constexpr NodeList products = accumulated(Facts::segment);
  static constexpr NodeList nodes = [] {
    NodeList l = products;
    for (int i = 0; i < known; ++i) l.add(Facts::segment.reduction[i]);
    return l;
  }();
  static constexpr int position(int node) {
    for (int i = 0; i < known; ++i)
      if (Facts::segment.reduction[i] == node) return i;
    return -1;
  }
  template <int node> static constexpr int array = position(node);
  template <int node> static constexpr int product = products.find(node);
  const float *row, *values;
  int columns;
  const Index<P>& index;
  template <int node> WEFT_DEVICE void get(float* out) const {
    if constexpr (array<node> >= 0) {
      constexpr int r = array<node>, begin = Facts::template begin_of<r>;
      out[0] = values[begin + Facts::template Place<Facts::template Array<r>::all>::of(index)];
    } else {
      constexpr int i = product<node>;
      out[0] = row[i * columns + Facts::template Place<Facts::columns>::of(index)];
    }
  }
};

template <class P, int k, int g> struct TileArrays {
  using F = ContractionFacts<P, k>;
  using Facts = TileArrayFacts<P, k, g>;
  using C = typename Facts::C;
  static constexpr int reductions = Facts::segment.reductions, stores = Facts::segment.stores;

  // By all threads of a block, which have written the accumulators and met since. index stands at the batch; values: Facts::size floats for each row.
  WEFT_DEVICE static void run(const Binding<P>& b, Index<P>& index, const Tile& tile, const Accumulators& sums, float* values) {
    for (int row = static_cast<int>(threadIdx.x / 32); row < tile.rows; row += static_cast<int>(blockDim.x / 32)) {
      go_to(b, index, tile, row);
      unroll<reductions>([&](auto r) {
        make<r>(b, index, sums, row, values + row * Facts::size);
        __syncwarp();
      });
    }
    __syncthreads();
    unroll<stores>([&](auto s) { put<s>(b, index, tile, sums, values); });
  }

 private:
  template <int known> using Holder = TileArrayHolder<P, k, g, known>;
  template <int known>
  WEFT_DEVICE static Holder<known> holder(const Index<P>& index, const Accumulators& sums, int row, const float* values) {
    return {sums.sums + row * sums.stride, values, sums.columns, index};
  }
  WEFT_DEVICE static void go_to(const Binding<P>& b, Index<P>& index, const Tile& tile, int row) {
    decode<P, typename F::OutputRows>(b, tile.number(row), index);
    decode<P, C>(b, static_cast<unsigned>(tile.first_column), index);
  }

  template <int r> WEFT_DEVICE static void make(const Binding<P>& b, Index<P>& index, const Accumulators& sums, int row, float* values) {
    using A = typename Facts::template Array<r>;
    using All = typename Facts::template Place<A::all>;
    using Rows = typename Facts::template Place<A::rows>;
    using Bound = typename Facts::template Place<A::bound>;
    constexpr int begin = Facts::template begin_of<r>, lane_rows = !A::selects && Rows::count >= Bound::count ? 32 : 1;
    const int lane = static_cast<int>(threadIdx.x % 32);
    const auto held = holder<r>(index, sums, row, values);
    float* to = values + begin;
    if constexpr (A::selects) {
      for (int at = 0; at < Rows::count; ++at) {
        decode<P, Rows>(b, static_cast<unsigned>(at), index);
        select<r>(b, index, held, to);
      }
    } else if constexpr (lane_rows == 32) {  // a lane for each row of the array
      for (int at = lane; at < Rows::count; at += 32) {
        decode<P, Rows>(b, static_cast<unsigned>(at), index);
        const float total = reduce<r>(b, index, held, 0, 1);
        to[All::of(index)] = total;
      }
    } else {  // all lanes, one row after the other
      for (int at = 0; at < Rows::count; ++at) {
        decode<P, Rows>(b, static_cast<unsigned>(at), index);
        const float total = reduce_warp<A::node.monoid == Monoid::sum>(reduce<r>(b, index, held, lane, 32));
        if (lane == 0) to[All::of(index)] = total;
      }
    }
  }
  // elements first, first + step, ... along what reduction r binds
  template <int r, class Held>
  WEFT_DEVICE static float reduce(const Binding<P>& b, Index<P>& index, const Held& held, int first, int step) {
    using A = typename Facts::template Array<r>;
    using Bound = typename Facts::template Place<A::bound>;
    constexpr bool is_sum = A::node.monoid == Monoid::sum;
    constexpr int operands = A::node.operands;
    float total = neutral<is_sum>;
    for (int e = first; e < Bound::count; e += step) {
      decode<P, Bound>(b, static_cast<unsigned>(e), index);
      unroll<operands>([&](auto i) {  // an axis that was unrolled has left one operand for each of its values
        constexpr int operand = A::node.operand[i];
        total = combine<is_sum>(total, evaluate_one<operand>(b, index, held));
      });
    }
    return total;
  }
  template <int r, class Held> WEFT_DEVICE static void select(const Binding<P>& b, Index<P>& index, const Held& held, float* to) {
    using A = typename Facts::template Array<r>;
    using All = typename Facts::template Place<A::all>;
    using Bound = typename Facts::template Place<A::bound>;
    constexpr int operand = A::node.operand[0], wanted = static_cast<int>(known_extent<P, A::node.dimension>),
                  summands = A::node.at[1].summands, constant = static_cast<int>(A::node.at[1].constant), axis = A::node.at[1].term[0].axis,
                  steps = (Bound::count + 31) / 32;
    unsigned key[steps];
#pragma unroll
    for (int s = 0; s < steps; ++s) {
      const int e = s * 32 + static_cast<int>(threadIdx.x % 32);
      key[s] = no_key;
      if (e < Bound::count) {
        decode<P, Bound>(b, static_cast<unsigned>(e), index);
        key[s] = ordered_key(evaluate_one<operand>(b, index, held));
      }
    }
    if constexpr (summands == 0) {  // one of those that are selected
      each_of_largest(key, wanted, [&](int i, int position) {
        if (threadIdx.x % 32 == 0 && i == constant) to[All::of(index)] = static_cast<float>(position);
      });
    } else {
      constexpr int step = All::template step<axis>;
      index.at[axis] = 0;
      float* first = to + All::of(index);
      each_of_largest(key, wanted, [&](int i, int position) {
        if (threadIdx.x % 32 == 0) first[i * step] = static_cast<float>(position);
      });
    }
  }
  template <int s>
  WEFT_DEVICE static void put(const Binding<P>& b, Index<P>& index, const Tile& tile, const Accumulators& sums, const float* values) {
    using Elements = typename Facts::template Place<Facts::template stored<s>>;
    constexpr int store = Facts::segment.store[s], root = trimmed_plan<P>.store[store].node;
    const int count = tile.rows * Elements::count;
    for (int e = static_cast<int>(threadIdx.x); e < count; e += static_cast<int>(blockDim.x)) {
      const int row = e / Elements::count;
      go_to(b, index, tile, row);
      decode<P, Elements>(b, static_cast<unsigned>(e % Elements::count), index);
      const auto held = holder<reductions>(index, sums, row, values + row * Facts::size);
      const PointOfOne<P, Holder<reductions>> here{b, index, held, 1};
      float v;
      evaluate<root>(here, &v);
      write<P, store>(here, &v);
    }
  }
};

}  // namespace weft::cuda
