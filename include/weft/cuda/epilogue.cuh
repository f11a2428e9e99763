// epilogue: what happens to a tile of accumulators in shared memory: reductions over the columns of the tile, then pointwise stores. Shared
// by all ways to compute a contraction; it does not know what is computed.
#pragma once
#include <weft/cuda/tile_arrays.cuh>

namespace weft::cuda {

// values of each row that the columns share: reductions over the tile; of a stream also its sum and its maximum
template <class P, int k, int g> struct RowValues {
  static constexpr int reductions = trimmed_plan<P>.kernel[k].segment[g].reductions, sum = reductions, maximum = reductions + 1;
  static constexpr int count = [] {
    if constexpr (ContractionFacts<P, k>::template Columns<g>::in_arrays)
      return TileArrayFacts<P, k, g>::size;
    else
      return reductions + (trimmed_plan<P>.kernel[k].skeleton == Skeleton::stream ? 2 : reductions ? 0 : 1);
  }();
};

template <class P, int k, int g, int known, int width> struct TileHolder {
  static constexpr Segment segment = trimmed_plan<P>.kernel[k].segment[g];
  static constexpr Stream stream = trimmed_plan<P>.kernel[k].stream;
  using Values = RowValues<P, k, g>;
  static constexpr NodeList sums = accumulated(segment);
  static constexpr int row_value_number(int node) {
    for (int i = 0; i < known; ++i)
      if (segment.reduction[i] == node) return i;
    for (int i = 0; i < stream.sums; ++i)
      if (stream.sum[i] == node) return Values::sum;
    return node == stream.maximum ? Values::maximum : -1;
  }
  static constexpr NodeList nodes = [] {
    NodeList l = sums;
    for (int i = 0; i < known; ++i) l.add(segment.reduction[i]);
    for (int i = 0; i < stream.sums; ++i) l.add(stream.sum[i]);
    l.add(stream.maximum);
    return l;
  }();
  template <int node> static constexpr int contraction = sums.find(node);
  template <int node> static constexpr int row_value = row_value_number(node);
  const float* row;     // at the column
  const float* values;  // of the row
  int columns;
  template <int node> WEFT_DEVICE void get(float* out) const {
    if constexpr (row_value<node> >= 0) {
      constexpr int r = row_value<node>;
      out[0] = values[r];
    } else {
      const float* p = row + contraction<node> * columns;
#pragma unroll
      for (int i = 0; i < width; ++i) out[i] = p[i];
    }
  }
};

template <class P, int k, int g> struct Epilogue {
  using F = ContractionFacts<P, k>;
  using C = typename F::template Columns<g>;
  static constexpr Segment segment = C::segment;
  static constexpr int reductions = segment.reductions, stores = segment.stores, lane = C::lane;
  template <int s> static constexpr bool whole_chunk = C::whole_chunk(segment.store[s]);

  // how many columns a thread takes: 16 bytes of the narrowest format, where the innermost axis allows it
  static constexpr int width = [] {
    int bytes = 4;
    for (int s = 0; s < segment.stores; ++s) {
      const Store& store = F::plan.store[segment.store[s]];
      if (!C::whole_chunk(segment.store[s]) && bytes_of(store.dtype) < bytes) bytes = bytes_of(store.dtype);
    }
    return 16 / bytes;
  }();
  template <int s> static bool is_aligned_for(const Binding<P>& b) {
    if constexpr (whole_chunk<s>) {
      return true;
    } else {
      constexpr int store = segment.store[s], root = trimmed_plan<P>.store[store].node;
      return is_aligned_store<P, store, lane, width>(b) &&
             is_aligned_graph<P, root, lane, width, TileHolder<P, k, g, reductions, width>>(b);
    }
  }
  // may columns be taken `width` at a time?
  static bool is_aligned(const Binding<P>& b) {
    if constexpr (C::in_arrays) {
      return false;
    } else {
      bool aligned = true;
      unroll<stores>([&](auto s) { aligned = is_aligned_for<s>(b) && aligned; });
      return aligned;
    }
  }

  // By all threads of a block, which have written the accumulators and met since. index stands at the batch; values: RowValues of all rows.
  using Tile = cuda::Tile;
  WEFT_DEVICE static void run(const Binding<P>& b, Index<P>& index, const Tile& tile, const Accumulators& sums, float* values,
                              bool vectors) {
    if constexpr (C::in_arrays) {
      TileArrays<P, k, g>::run(b, index, tile, sums, values);
    } else {
      unroll<reductions>([&](auto r) { reduce<r>(b, index, tile, sums, values); });
      unroll<stores>([&](auto s) {
        if constexpr (whole_chunk<s>) store_once<s>(b, index, tile, sums, values);
      });
      if (vectors)
        store_elements<width, true>(b, index, tile, sums, values);
      else
        store_elements<1, false>(b, index, tile, sums, values);
    }
  }

 private:
  template <int known, int w> WEFT_DEVICE static auto holder(const Accumulators& sums, const float* values, int r, int c) {
    return TileHolder<P, k, g, known, w>{sums.sums + r * sums.stride + c, values + r * RowValues<P, k, g>::count, sums.columns};
  }
  template <int r>
  WEFT_DEVICE static void reduce(const Binding<P>& b, Index<P>& index, const Tile& tile, const Accumulators& sums, float* values) {
    constexpr int node = segment.reduction[r], operands = trimmed_plan<P>.node[node].operands;
    constexpr bool is_sum = trimmed_plan<P>.node[node].monoid == Monoid::sum;
    for (int row = static_cast<int>(threadIdx.x / 32); row < tile.rows; row += static_cast<int>(blockDim.x / 32)) {
      decode<P, typename F::OutputRows>(b, tile.number(row), index);
      float total = neutral<is_sum>;
      for (int c = static_cast<int>(threadIdx.x % 32); c < tile.columns; c += 32) {
        decode<P, C>(b, static_cast<unsigned>(tile.first_column + c), index);
        const auto held = holder<r, 1>(sums, values, row, c);
        unroll<operands>([&](auto i) {  // an axis that was unrolled has left one operand for each of its values
          constexpr int operand = trimmed_plan<P>.node[node].operand[i];
          total = combine<is_sum>(total, evaluate_one<operand>(b, index, held));
        });
      }
      total = reduce_warp<is_sum>(total);
      if (threadIdx.x % 32 == 0) values[row * RowValues<P, k, g>::count + r] = total;
    }
    __syncthreads();
  }
  template <int s>
  WEFT_DEVICE static void store_once(const Binding<P>& b, Index<P>& index, const Tile& tile, const Accumulators& sums, float* values) {
    constexpr int store = segment.store[s], root = trimmed_plan<P>.store[store].node;
    for (int row = static_cast<int>(threadIdx.x); row < tile.rows; row += static_cast<int>(blockDim.x)) {
      decode<P, typename F::OutputRows>(b, tile.number(row), index);
      decode<P, C>(b, static_cast<unsigned>(tile.first_column), index);
      const auto held = holder<reductions, 1>(sums, values, row, 0);
      const PointOfOne<P, TileHolder<P, k, g, reductions, 1>> here{b, index, held, 1};
      float v;
      evaluate<root>(here, &v);
      write<P, store>(here, &v);
    }
  }
  template <int w, bool vectors>
  WEFT_DEVICE static void store_elements(const Binding<P>& b, Index<P>& index, const Tile& tile, const Accumulators& sums, float* values) {
    const unsigned per_row = static_cast<unsigned>(tile.columns + w - 1) / w, count = static_cast<unsigned>(tile.rows) * per_row;
    for (unsigned e = threadIdx.x; e < count; e += blockDim.x) {
      const int row = static_cast<int>(e / per_row), c = static_cast<int>(e % per_row * w);
      decode<P, typename F::OutputRows>(b, tile.number(row), index);
      decode<P, C>(b, static_cast<unsigned>(tile.first_column + c), index);
      using Held = TileHolder<P, k, g, reductions, w>;
      const Held held = holder<reductions, w>(sums, values, row, c);
      const Point<P, lane, w, vectors, Held> here{b, index, held, w};
      float v[stores][w];  // all are computed before any is stored: a store may overwrite what another reads
      unroll<stores>([&](auto s) {
        constexpr int store = segment.store[s], root = trimmed_plan<P>.store[store].node;
        if constexpr (!whole_chunk<s>) evaluate<root>(here, v[s]);
      });
      unroll<stores>([&](auto s) {
        constexpr int store = segment.store[s];
        if constexpr (!whole_chunk<s>) write<P, store>(here, v[s]);
      });
    }
  }
};

}  // namespace weft::cuda
