// stream_tile: what a block of threads does in the skeleton stream. It takes a tile of rows, into which the rows of a group that shares
// keys are packed, through the keys that the mask's bounds leave it: scores go to shared memory, two threads map each row of them to
// weights, weights multiply values.
#pragma once
#include <weft/cuda/epilogue.cuh>
#include <weft/cuda/stream_facts.cuh>
#include <weft/cuda/value_product.cuh>

namespace weft::cuda {

// the operands as the kernel reads them; a pointer is null where a leaf is read from where it lies
template <class P, int k> struct StreamPlaces {
  typename StreamFacts<P, k>::Element *query = nullptr, *keys = nullptr;
  typename StreamFacts<P, k>::Weight* values = nullptr;
  float* parts = nullptr;  // [batch][part][row]: maximum, sum, columns; where there are several
  int part_count = 1;
};

template <class P, int k> struct StreamTile {
  using S = StreamFacts<P, k>;
  using F = ContractionFacts<P, k>;
  using E = typename S::Element;
  using W = typename S::Weight;
  using C = typename S::C;
  using Places = StreamPlaces<P, k>;
  static constexpr int rows = 64, keys = 64, threads = 2 * rows, at_once = threads / 4, columns = S::columns;
  static constexpr int score_stride = keys + 2;  // so that rows begin in different banks
  static constexpr int weight_stages = keys * static_cast<int>(sizeof(W)) / stage_bytes,
                       value_stages = columns * static_cast<int>(sizeof(W)) / stage_bytes;
  using Scores = TileProduct<E, rows, 1, keys>;
  using Sums = ValueProduct<W, rows, columns, keys>;
  static constexpr int out_stride = columns + 8, row_values = RowValues<P, k, 0>::count;
  static constexpr int part_size = columns + 2;

  // ---- shared memory: queries, keys, values, weights, scores, factors; at the end the sums in their place
  WEFT_BOTH static int depth_stages(const Binding<P>& b) {
    return static_cast<int>((count_of<P, typename S::Depth>(b) * static_cast<long>(sizeof(E)) + stage_bytes - 1) / stage_bytes);
  }
  static long shared_bytes(const Binding<P>& b) {
    const long operands = stage_bytes * (depth_stages(b) * (rows + keys) + value_stages * keys + weight_stages * rows),
               maps = 4L * rows * (score_stride + 1), out = 4L * rows * (out_stride + row_values);
    return operands + maps > out ? operands + maps : out;
  }

  // ---- copies: `count` rows of `length` elements, in stages; those from `end` on become 0
  template <class T>
  WEFT_DEVICE static void copy_row(unsigned to, int row, int stages, int stage_rows, const T* from, const void* somewhere, long length) {
    for (int s = 0; s < stages; ++s) {
      const int piece = static_cast<int>(threadIdx.x % 4);
      const long first = s * (stage_bytes / static_cast<long>(sizeof(T))) + piece * S::template piece<T>,
                 left = from ? (length - first) * static_cast<long>(sizeof(T)) : 0;
      const int bytes = left >= 16 ? 16 : left > 0 ? static_cast<int>(left) : 0;
      copy_async(piece_of(to + s * stage_rows * stage_bytes, row, piece), bytes > 0 ? static_cast<const void*>(from + first) : somewhere,
                 bytes);
    }
  }
  template <class T> struct Rows {  // of keys or values
    const T* first;
    long step, length;
    int stages;
    WEFT_DEVICE void copy(unsigned to, long at, long end) const {
#pragma unroll
      for (int i = 0; i < keys / at_once; ++i) {
        const int row = static_cast<int>(threadIdx.x / 4) + i * at_once;
        copy_row(to, row, stages, keys, at + row < end ? first + (at + row) * step : nullptr, first, length);
      }
    }
  };
  template <int node, class T, class Along>
  WEFT_DEVICE static Rows<T> rows_of(const Binding<P>& b, const Index<P>& index, const T* staged, long batch, int stages) {
    const long length = count_of<P, Along>(b);
    if constexpr (trimmed_plan<P>.node[node].kind == NodeKind::leaf) {
      using A = LeafAccess<P, node>;
      if constexpr (std::is_same_v<typename A::T, T>)
        if (!staged) return {A::data(b) + A::offset(b, index), A::template step<S::key>(b), length, stages};
    }
    const long size = S::template staged_size<T, Along>(b);
    return {staged + batch * extent_of<P, S::key>(b) * size, size, length, stages};
  }

  // ---- a row of the tile: two threads, each with half of the keys of a block (and of the columns at the end)
  struct Row {
    int number, half;
    long low = 0, high = 0;  // the keys it sees
    float maximum = neutral<false>, sum = 0;
  };
  WEFT_DEVICE static void find_bounds(const Binding<P>& b, const Index<P>& index, Row& row) {
    const HoldsNothing nothing;
    row.high = extent_of<P, S::key>(b);
    unroll<S::stream.lows>([&](auto i) {
      const long low = static_cast<long>(evaluate_one<S::stream.low[i].node>(b, index, nothing)) + S::stream.low[i].plus;
      row.low = low > row.low ? low : row.low;
    });
    unroll<S::stream.highs>([&](auto i) {
      const long high = static_cast<long>(evaluate_one<S::stream.high[i].node>(b, index, nothing)) + S::stream.high[i].plus;
      row.high = high < row.high ? high : row.high;
    });
    if (row.high < row.low) row.high = row.low;
  }
  // Maps this thread's half of a row of scores to weights; keys are counted from `at`. Gives the factor by which the row's sums shrink.
  WEFT_DEVICE static float map_scores(const Binding<P>& b, Index<P>& index, Row& row, long at, const float* scores, unsigned weights) {
    constexpr int mine = keys / 2, width = 8;
    float s[mine];
    const float outside = S::online ? neutral<false> : 0.f;
    const long first = at + row.half * mine, extent = extent_of<P, S::key>(b);
#pragma unroll
    for (int j = 0; j < mine; j += width) {
      if (first + j >= row.high || first + j + width <= row.low) {
#pragma unroll
        for (int i = 0; i < width; ++i) s[j + i] = outside;
        continue;
      }
      index.at[S::key] = static_cast<int>(first + j);
      const ScoreHolder<P, k, width> held{scores + row.number * score_stride + row.half * mine + j};
      const int n = static_cast<int>(extent - first - j < width ? extent - first - j : width);
      const Point<P, S::key, width, false, ScoreHolder<P, k, width>> here{b, index, held, n};
      evaluate<S::mapped>(here, s + j);
#pragma unroll
      for (int i = 0; i < width; ++i)
        if (first + j + i < row.low || first + j + i >= row.high) s[j + i] = outside;
    }
    float factor = 1.f;
    if constexpr (S::online) {
      float top = neutral<false>;
#pragma unroll
      for (int j = 0; j < mine; ++j) top = fmaxf(top, s[j]);  // a NaN may get lost here; it makes its weight NaN and with it the sum
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
      const float maximum = fmaxf(top, row.maximum);
      factor = row.maximum == neutral<false> ? 0.f : math::exp(row.maximum - maximum);
      row.maximum = maximum;
      float sum = 0;
#pragma unroll
      for (int j = 0; j < mine; ++j) {
        const float w = maximum == neutral<false> ? 0.f : math::exp(s[j] - maximum);
        s[j] = S::rounds ? number(rounded<typename type_of<S::rounded_to>::type>(w)) : w;
        sum += S::sums_rounded ? s[j] : w;
      }
      row.sum = row.sum * factor + (sum + __shfl_xor_sync(0xffffffffu, sum, 1));
    }
    constexpr int piece = S::template piece<W>, pieces = stage_bytes / 16;
#pragma unroll
    for (int j = 0; j < mine; j += piece) {
      const int place = (row.half * mine + j) / piece;
      const unsigned to = piece_of(weights + place / pieces * rows * stage_bytes, row.number, place % pieces);
      unsigned word[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if constexpr (std::is_same_v<W, float>)
          word[i] = __float_as_uint(s[j + i]);
        else
          word[i] = rounded_pair<W>(s[j + 2 * i], s[j + 2 * i + 1]);
      }
      asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to), "r"(word[0]), "r"(word[1]), "r"(word[2]), "r"(word[3]) : "memory");
    }
    return factor;
  }

  // the tile's rows, from first_row on, through the keys of a part
  WEFT_DEVICE static void run(const Binding<P>& b, const Places& places, bool vectors) {
    extern __shared__ __align__(128) float shared[];
    __shared__ int cover[2];
    const long row_count = count_of<P, typename F::Rows>(b), first_row = static_cast<long>(blockIdx.x) * rows, batch = blockIdx.z;
    const long depth = count_of<P, typename S::Depth>(b);
    const int stages = depth_stages(b);
    const unsigned queries = shared_address(shared), key_block = queries + stages * rows * stage_bytes,
                   value_block = key_block + stages * keys * stage_bytes, weights = value_block + value_stages * keys * stage_bytes;
    float* scores = shared + (stages * (rows + keys) + value_stages * keys + weight_stages * rows) * (stage_bytes / 4);
    float* factors = scores + rows * score_stride;
    Index<P> index;
    decode<P, typename F::Batch>(b, static_cast<unsigned>(batch), index);
    const auto key_rows = rows_of<S::keys, E, typename S::Depth>(b, index, places.keys, batch, stages);
    const auto value_rows = rows_of<S::values, W, C>(b, index, places.values, batch, value_stages);
    copy_queries(b, places, index, first_row, row_count, batch, queries, stages, depth, key_rows.first);

    Row row{static_cast<int>(threadIdx.x / 2), static_cast<int>(threadIdx.x % 2)};
    const bool exists = first_row + row.number < row_count;
    if (threadIdx.x == 0) cover[0] = 0x7fffffff, cover[1] = 0;
    __syncthreads();
    decode<P, typename F::Rows>(b, static_cast<unsigned>(exists ? first_row + row.number : 0), index);
    if (exists) find_bounds(b, index, row);
    if (row.low < row.high) {
      atomicMin(&cover[0], static_cast<int>(row.low));
      atomicMax(&cover[1], static_cast<int>(row.high));
    }
    __syncthreads();
    // Parts share out the keys that the mask leaves, whatever the extent of the axis; keys that no row sees are not read.
    const long seen = cover[1];
    long at = cover[0] / keys * keys, end = seen > at ? seen : at;
    if (places.part_count > 1) {
      const long part = round_up((end - at + places.part_count - 1) / places.part_count, keys);
      at += blockIdx.y * part;
      if (at + part < end) end = at + part;
    }

    Sums sums;
    sums.clear();
    if (at < end) key_rows.copy(key_block, at, seen);
    commit_copies();
    for (; at < end; at += keys) {
      value_rows.copy(value_block, at, seen);
      commit_copies();
      wait_for_copies<1>();
      __syncthreads();  // queries and keys have arrived
      Scores product;
      product.clear();
#pragma unroll 2
      for (int s = 0; s < stages; ++s) product.template add<0, 1>(queries + s * rows * stage_bytes, key_block + s * keys * stage_bytes);
      product.write(scores, score_stride);
      __syncthreads();  // all are done with the keys; the scores are written
      if (at + keys < end) key_rows.copy(key_block, at + keys, seen);
      commit_copies();
      const float factor = map_scores(b, index, row, at, scores, weights);
      if (row.half == 0) factors[row.number] = factor;
      wait_for_copies<1>();
      __syncthreads();  // values have arrived; weights and factors are written
      if constexpr (S::online) sums.scale(factors);
      sums.add_block(weights, value_block);
      __syncthreads();  // all are done with values and weights
    }
    wait_for_copies<0>();
    __syncthreads();
    sums.write(shared, out_stride);
    __syncthreads();
    if (places.part_count > 1)
      keep(places, row, exists, first_row, row_count, batch, shared);
    else
      finish(b, index, row, exists, first_row, row_count, shared, vectors);
  }
  WEFT_DEVICE static void copy_queries(const Binding<P>& b, const Places& places, Index<P>& index, long first_row, long row_count,
                                       long batch, unsigned to, int stages, long depth, const void* somewhere) {
#pragma unroll
    for (int i = 0; i < rows / at_once; ++i) {
      const int place = static_cast<int>(threadIdx.x / 4) + i * at_once;
      const long row = first_row + place;
      const E* from = nullptr;
      if (row < row_count) {
        if (places.query) {
          from = places.query + (batch * row_count + row) * S::template staged_size<E, typename S::Depth>(b);
        } else if constexpr (trimmed_plan<P>.node[S::query].kind == NodeKind::leaf) {
          using A = LeafAccess<P, S::query>;
          if constexpr (std::is_same_v<typename A::T, E>) {
            decode<P, typename F::Rows>(b, static_cast<unsigned>(row), index);
            from = A::data(b) + A::offset(b, index);
          }
        }
      }
      copy_row(to, place, stages, rows, from, somewhere, depth);
    }
  }

  // ---- the end: corrected sums go through the epilogue
  WEFT_DEVICE static void finish(const Binding<P>& b, Index<P>& index, Row& row, bool exists, long first_row, long row_count, float* out,
                                 bool vectors) {
    float* values = out + rows * out_stride;
    if (exists && row.half == 0) {
      values[row.number * row_values + RowValues<P, k, 0>::sum] = row.sum;
      values[row.number * row_values + RowValues<P, k, 0>::maximum] = row.maximum;
    }
    __syncwarp();
    if constexpr (S::online && S::subtracted != S::stream.maximum) {
      if (exists) {
        float correction = math::exp(row.maximum);
        if constexpr (S::subtracted >= 0) {
          using Held = TileHolder<P, k, 0, 0, 1>;
          const Held held{out + row.number * out_stride, values + row.number * row_values, columns};
          correction = math::exp(row.maximum - evaluate_one<S::subtracted>(b, index, held));
        }
        for (int c = row.half * columns / 2; c < (row.half + 1) * columns / 2; ++c) out[row.number * out_stride + c] *= correction;
        if (row.half == 0) values[row.number * row_values + RowValues<P, k, 0>::sum] = row.sum * correction;
      }
    }
    __syncthreads();
    using Last = Epilogue<P, k, 0>;
    const long left = row_count - first_row;
    Last::run(b, index, {first_row, 0, static_cast<int>(left < rows ? left : rows), static_cast<int>(S::column_count)},
              Accumulators{out, out_stride, columns}, values, vectors);
  }
  // ---- parts
  WEFT_DEVICE static float* part_of(const Places& places, long batch, long part, long row_count, long row) {
    return places.parts + ((batch * places.part_count + part) * row_count + row) * part_size;
  }
  WEFT_DEVICE static void keep(const Places& places, const Row& row, bool exists, long first_row, long row_count, long batch,
                               const float* out) {
    if (exists && row.half == 0) {
      float* to = part_of(places, batch, blockIdx.y, row_count, first_row + row.number);
      to[0] = row.maximum;
      to[1] = row.sum;
    }
    const long left = row_count - first_row;
    const int count = static_cast<int>(left < rows ? left : rows) * columns;
    for (int e = static_cast<int>(threadIdx.x); e < count; e += threads)
      part_of(places, batch, blockIdx.y, row_count, first_row + e / columns)[2 + e % columns] = out[e / columns * out_stride + e % columns];
  }
  WEFT_DEVICE static void combine_parts(const Binding<P>& b, const Places& places, bool vectors) {
    extern __shared__ __align__(128) float shared[];
    const long row_count = count_of<P, typename F::Rows>(b), first_row = static_cast<long>(blockIdx.x) * rows, batch = blockIdx.z;
    Index<P> index;
    decode<P, typename F::Batch>(b, static_cast<unsigned>(batch), index);
    Row row{static_cast<int>(threadIdx.x / 2), static_cast<int>(threadIdx.x % 2)};
    const bool exists = first_row + row.number < row_count;
    decode<P, typename F::Rows>(b, static_cast<unsigned>(exists ? first_row + row.number : 0), index);
    float* maxima = shared + rows * (out_stride + row_values);
    if (exists) {
      for (int p = 0; p < places.part_count; ++p)
        row.maximum = fmaxf(row.maximum, part_of(places, batch, p, row_count, first_row + row.number)[0]);
      for (int p = 0; p < places.part_count; ++p) {
        const float* part = part_of(places, batch, p, row_count, first_row + row.number);
        row.sum += part[1] * factor_of(part[0], row.maximum);
      }
      if (row.half == 0) maxima[row.number] = row.maximum;
    }
    __syncthreads();
    const long left = row_count - first_row;
    const int count = static_cast<int>(left < rows ? left : rows) * columns;
    for (int e = static_cast<int>(threadIdx.x); e < count; e += threads) {
      float sum = 0;
      for (int p = 0; p < places.part_count; ++p) {
        const float* part = part_of(places, batch, p, row_count, first_row + e / columns);
        sum = fmaf(part[2 + e % columns], factor_of(part[0], maxima[e / columns]), sum);
      }
      shared[e / columns * out_stride + e % columns] = sum;
    }
    __syncthreads();
    finish(b, index, row, exists, first_row, row_count, shared, vectors);
  }
  WEFT_DEVICE static float factor_of(float maximum, float all) {
    if constexpr (S::online)
      return maximum == neutral<false> ? 0.f : math::exp(maximum - all);
    else
      return 1.f;
  }
};

}  // namespace weft::cuda
