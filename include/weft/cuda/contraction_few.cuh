// contraction_few: the skeleton contraction where there are few rows: a product that is bound by the bandwidth with which weights are read.
// Every block evaluates the left rows into its shared memory; a warp then reads some columns side by side, 16 bytes (or a block of
// quantised weights) a lane, from where they lie. Where columns are few, several warps share the depth of a column.
#pragma once
#include <weft/cuda/blocks.cuh>
#include <weft/cuda/device.cuh>
#include <weft/cuda/epilogue.cuh>

namespace weft::cuda {

// How a left row lies in shared memory, such that lanes which read neighbouring pieces hit different banks. Floats: the first halves of all
// groups of 8, then the second halves; for weights in blocks 4 floats of padding after every 32; or groups of digits.
enum class RowForm : std::uint8_t { floats, padded_floats, digits };

template <class P, int k> struct FewFacts {
  using F = ContractionFacts<P, k>;
  static constexpr int warps = 8, threads = 32 * warps;
  static constexpr long most_shared = 96 << 10;  // bytes, that all devices have and that leave room for the cache

  template <int c> static constexpr DType right_format = trimmed_plan<P>.node[trimmed_plan<P>.node[c].operand[1]].dtype;
  // are the weights that meet left operand l in blocks? (All or none may be.)
  static constexpr int blocks_of(int l, bool in_blocks) {
    int n = 0;
    for (int g = 0; g < F::segments; ++g)
      for (int i = 0; i < F::kernel.segment[g].contractions; ++i)
        if (F::kernel.segment[g].left_of[i] == l)
          n += is_block(F::plan.node[F::plan.node[F::kernel.segment[g].contraction[i]].operand[1]].dtype) == in_blocks;
    return n;
  }
  template <int l> struct LeftRow {
    using L = typename F::template Left<l>;
    static constexpr bool quantised = is_quantised<P, L::node>, in_blocks = blocks_of(l, true) > 0;
    static constexpr RowForm form = quantised ? RowForm::digits : in_blocks ? RowForm::padded_floats : RowForm::floats;
    static constexpr int root = quantised ? trimmed_plan<P>.node[L::node].operand[0] : L::node;
    // 32-bit words of a row
    WEFT_BOTH static long words(const Binding<P>& b) {
      const long n = count_of<P, typename L::Depth>(b);
      if constexpr (form == RowForm::digits)
        return round_up(n / 32 * digit_words, 4);
      else if constexpr (form == RowForm::padded_floats)
        return n / 32 * 36;
      else
        return n;
    }
  };
  // the right operands are leaves that can be read in place, of formats that this kernel reads
  static constexpr bool reads_right_operands = [] {
    for (int g = 0; g < F::segments; ++g)
      for (int i = 0; i < F::kernel.segment[g].contractions; ++i) {
        const Node& c = F::plan.node[F::kernel.segment[g].contraction[i]];
        const Node &left = F::plan.node[c.operand[0]], &right = F::plan.node[c.operand[1]];
        const bool quantised = left.kind == NodeKind::cast && is_block(left.dtype);
        if (right.kind != NodeKind::leaf || right.dtype == DType::i32) return false;
        if (is_block(right.dtype) && right.dtype != DType::q8_0 && right.dtype != DType::q4_0) return false;
        if (quantised && !is_block(right.dtype)) return false;
      }
    for (int l = 0; l < F::lefts; ++l)
      if (blocks_of(l, true) > 0 && blocks_of(l, false) > 0) return false;
    return true;
  }();

  // columns of each contraction that a warp reads side by side
  template <int g> static constexpr int side_by_side = [] {
    constexpr int n = F::template Columns<g>::contractions;
    return n == 1 ? 4 : n == 2 ? 2 : 1;
  }();
  // columns of a tile where `split` warps share the depth
  template <int g> WEFT_BOTH static int columns(int split) {
    using C = typename F::template Columns<g>;
    if constexpr (C::reduced != 0)
      return static_cast<int>(C::chunk);
    else
      return warps / split * side_by_side<g>;
  }
  template <int g> WEFT_BOTH static long tiles(const Binding<P>& b, int split) {
    const long n = columns<g>(split);
    return (count_of<P, typename F::template Columns<g>>(b) + n - 1) / n;
  }
  struct Split {
    int of[6];  // of each segment
  };
  static constexpr int padding = 8;
};

// the task of RowBody: a left row on its way into shared memory
template <class P_, int k, int l> struct SharedRow {
  using P = P_;
  using R = typename FewFacts<P, k>::template LeftRow<l>;
  using L = typename R::L;
  static constexpr NodeList statistics = L::statistics;
  static constexpr AxisList rows = ContractionFacts<P, k>::rows_list, columns = L::depth;
  static constexpr NodeList roots = [] {
    NodeList n;
    n.add(R::root);
    return n;
  }();
  float* to;
  long half;  // of the words of a row

  template <class Point, int width> WEFT_DEVICE void put(const Point&, unsigned flat, const float (&v)[1][width]) const {
    if constexpr (R::form == RowForm::floats) {
#pragma unroll
      for (int i = 0; i < width; i += 4) store_neighbours<float, 4>(to + (flat + i) / 4 % 2 * half + (flat + i) / 8 * 4, v[0] + i);
    } else if constexpr (R::form == RowForm::padded_floats) {
      store_neighbours<float, width>(to + flat / 32 * 36 + flat % 32, v[0]);
    } else {
      const float largest = scale_of_group(v[0]);
      int digit[width];
      quantize(v[0], largest, digit);
      float* group = to + flat / 32 * digit_words;
#pragma unroll
      for (int i = 0; i < width; i += 4) {
        const unsigned word =
            (digit[i] & 0xffu) | (digit[i + 1] & 0xffu) << 8 | (digit[i + 2] & 0xffu) << 16 | static_cast<unsigned>(digit[i + 3]) << 24;
        group[(flat % 32 + i) / 4] = __uint_as_float(word);
      }
      if (flat % 32 == 0) group[8] = largest < 0x1p-100f ? 0.f : largest / 127.f;
    }
  }
  template <int lane, int width> static bool is_aligned(const Binding<P>& b) {
    return extent_of<P, lane>(b) % (R::form == RowForm::floats ? width : 32) == 0;
  }
};

// ---- a lane's share of a step: some neighbours of a column, and its product with a left row
template <class W, bool digits> struct Share {  // a plain format: 8 elements
  static constexpr int elements = 8;
  float w[8];
  WEFT_DEVICE static Share load(const W* column, long step) {
    Share s;
    load_neighbours<W, 8>(column + step * elements, s.w);
    return s;
  }
  WEFT_DEVICE float times(const float* row, long half, long step, float sum) const {
    float x[8];
    load_neighbours<float, 4>(row + step * 4, x);
    load_neighbours<float, 4>(row + half + step * 4, x + 4);
#pragma unroll
    for (int i = 0; i < 8; ++i) sum = fmaf(x[i], w[i], sum);
    return sum;
  }
};
template <class W, bool digits>
requires(is_block(dtype_of<W>)) struct Share<W, digits> {
  static constexpr int elements = 32;
  Group<W> group;
  WEFT_DEVICE static Share load(const W* column, long step) { return {Group<W>::load(column + step)}; }
  WEFT_DEVICE float times(const float* row, long, long step, float sum) const {
    if constexpr (digits) {
      const float* left = row + step * digit_words;
      int product = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) product = __dp4a(static_cast<int>(__float_as_uint(left[i])), group.word[i], product);
      return fmaf(left[8] * group.scale, static_cast<float>(product), sum);
    } else {
      const float* left = row + step * 36;
      float product = 0;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        float x[4];
        load_neighbours<float, 4>(left + 4 * i, x);
#pragma unroll
        for (int j = 0; j < 4; ++j) product = fmaf(x[j], static_cast<float>(Group<W>::digit(group.word[i], j)), product);
      }
      return fmaf(group.scale, product, sum);
    }
  }
};

template <class P, int k, int rows> struct FewRows {
  using F = ContractionFacts<P, k>;
  using M = FewFacts<P, k>;

  // ---- left rows. The share of each thread in a statistic depends on the extents alone, so a row's bits do not depend on how many there
  // are.
  template <int l> WEFT_DEVICE static void stage(const Binding<P>& b, Index<P> index, int count, float* to, float* scratch) {
    using Task = SharedRow<P, k, l>;
    constexpr int statistics = Task::statistics.count;
    const long words = M::template LeftRow<l>::words(b);
    float *part = scratch, *statistic = scratch + rows * M::warps;
    RowBody<Task, 0, true> body;
    unroll<statistics>([&](auto p) {
      constexpr int node = Task::statistics.node[p];
      constexpr bool is_sum = trimmed_plan<P>.node[node].monoid == Monoid::sum;
      for (int r = 0; r < count; ++r) {
        decode<P, typename F::Rows>(b, static_cast<unsigned>(r), index);
#pragma unroll
        for (int q = 0; q < p; ++q) body.statistics[q] = statistic[r * statistics + q];
        const float share = reduce_warp<is_sum>(body.template share<p>(b, index));
        if (threadIdx.x % 32 == 0) part[r * M::warps + threadIdx.x / 32] = share;
      }
      __syncthreads();
      if (static_cast<int>(threadIdx.x) < count) {
        float v = part[threadIdx.x * M::warps];
        for (int w = 1; w < M::warps; ++w) v = combine<is_sum>(v, part[threadIdx.x * M::warps + w]);
        statistic[threadIdx.x * statistics + p] = v;
      }
      __syncthreads();
    });
    for (int r = 0; r < count; ++r) {
      decode<P, typename F::Rows>(b, static_cast<unsigned>(r), index);
#pragma unroll
      for (int q = 0; q < statistics; ++q) body.statistics[q] = statistic[r * statistics + q];
      body.finish(b, index, Task{to + r * words, words / 2});
    }
    for (long i = count * words + threadIdx.x; i < rows * words; i += M::threads) to[i] = 0.f;  // rows that are not there
  }

  // ---- contractions [first, last) of segment g at columns [column, column + n) of the tile, a share of the depth; all have left operand l
  template <int g, int i> struct Column {
    using O = typename F::template Operands<g, i>;
    static constexpr DType format = trimmed_plan<P>.node[O::right].dtype;
    static constexpr bool in_blocks = is_block(format);
    using W = typename type_of<format>::type;
    using Part = Share<W, M::template LeftRow<O::left>::quantised>;
  };
  template <int g, int i> WEFT_DEVICE static void multiply(const Binding<P>& b, Index<P>& index, long column, long end, int part, int split,
                                                           const float* left, float (&sum)[M::template side_by_side<g>][rows]) {
    using C = typename F::template Columns<g>;
    using K = Column<g, i>;
    using W = typename K::W;
    using A = LeafAccess<P, K::O::right>;
    constexpr int n = M::template side_by_side<g>;
    const W* data[n];
#pragma unroll
    for (int c = 0; c < n; ++c) {
      decode<P, C>(b, static_cast<unsigned>(column + c < end ? column + c : end - 1), index);
      if constexpr (K::in_blocks)
        data[c] = static_cast<const W*>(b.view[A::leaf].data) + A::offset(b, index) / 32;
      else
        data[c] = A::data(b) + A::offset(b, index);
    }
    const long steps = count_of<P, typename F::template Left<K::O::left>::Depth>(b) / K::Part::elements,
               words = M::template LeftRow<K::O::left>::words(b);
#pragma unroll 2
    for (long s = part * 32 + threadIdx.x % 32; s < steps; s += 32 * split) {
      typename K::Part share[n];
#pragma unroll
      for (int c = 0; c < n; ++c) share[c] = K::Part::load(data[c], s);
#pragma unroll
      for (int r = 0; r < rows; ++r)
#pragma unroll
        for (int c = 0; c < n; ++c) sum[c][r] = share[c].times(left + r * words, words / 2, s, sum[c][r]);
    }
  }

  template <int g> WEFT_DEVICE static void tile(const Binding<P>& b, Index<P>& index, long number, int split, int count,
                                                const float* const* left, float* sums, bool vectors) {
    using C = typename F::template Columns<g>;
    constexpr int n = M::template side_by_side<g>, contractions = C::contractions;
    const int columns = M::template columns<g>(split), warp = static_cast<int>(threadIdx.x / 32), part = warp % split;
    const int stride = contractions * columns;
    const long first = number * columns, all = count_of<P, C>(b), end = first + columns < all ? first + columns : all;
    for (int column = warp / split * n; column < columns; column += M::warps / split * n) {
      unroll<contractions>([&](auto i) {
        float sum[n][rows] = {};
        multiply<g, i>(b, index, first + column, end, part, split, left[F::template Operands<g, i>::left], sum);
#pragma unroll
        for (int r = 0; r < rows; ++r)
#pragma unroll
          for (int c = 0; c < n; ++c) {
            const float total = reduce_warp<true>(sum[c][r]);
            if (threadIdx.x % 32 == 0 && column + c < columns) sums[(part * rows + r) * stride + i * columns + column + c] = total;
          }
      });
    }
    __syncthreads();
    if (split > 1) {
      for (int e = static_cast<int>(threadIdx.x); e < rows * stride; e += M::threads)
        for (int s = 1; s < split; ++s) sums[e] += sums[s * rows * stride + e];
      __syncthreads();
    }
    using Last = Epilogue<P, k, g>;
    Last::run(b, index, {0, first, count, static_cast<int>(end - first)}, Accumulators{sums, stride, columns}, sums + split * rows * stride,
              vectors);
  }
};

template <class P, int k, int rows> __global__ void __launch_bounds__(FewFacts<P, k>::threads, rows == 1 ? 2 : 1)
    few_rows_kernel(const Binding<P> b, const typename FewFacts<P, k>::Split split, int count, unsigned vectors) {
  extern __shared__ __align__(128) float shared[];
  using F = ContractionFacts<P, k>;
  using M = FewFacts<P, k>;
  using Body = FewRows<P, k, rows>;
  Index<P> index;
  decode<P, typename F::Batch>(b, blockIdx.y, index);
  float* scratch = shared;
  float* to = shared + rows * (M::warps + 8);
  const float* left[F::lefts];
  unroll<F::lefts>([&](auto l) {
    left[l] = to;
    Body::template stage<l>(b, index, count, to, scratch);
    to += rows * M::template LeftRow<l>::words(b);
  });
  __syncthreads();
  long number = blockIdx.x;
  unroll<F::segments>([&](auto g) {
    const long tiles = M::template tiles<g>(b, split.of[g]);
    if (number >= 0 && number < tiles) Body::template tile<g>(b, index, number, split.of[g], count, left, to, vectors >> g & 1u);
    number -= tiles;
  });
}

template <class P, int k> struct ContractionOfFewRows {
  using F = ContractionFacts<P, k>;
  using M = FewFacts<P, k>;
  static constexpr int most_rows = 8;

  static bool suits(const Binding<P>& b) {
    if constexpr (!M::reads_right_operands) {
      return false;
    } else {
      const long count = count_of<P, typename F::Rows>(b);
      bool in_place = count > 0 && count <= most_rows && shared_bytes(b, split_of(b), count == 1 ? 1 : most_rows) <= M::most_shared;
      unroll<F::segments>(
          [&](auto g) { unroll<F::template Columns<g>::contractions>([&](auto i) { in_place = in_place && right_lies<g, i>(b); }); });
      unroll<F::lefts>([&](auto l) { in_place = in_place && RowLaunch<SharedRow<P, k, l>>::is_aligned(b); });
      return in_place;
    }
  }
  static void run(const Binding<P>& b, cudaStream_t stream) {
    if (count_of<P, typename F::Rows>(b) == 1)
      launch<1>(b, 1, stream);
    else
      launch<most_rows>(b, static_cast<int>(count_of<P, typename F::Rows>(b)), stream);
  }

 private:
  template <int g, int i> static bool right_lies(const Binding<P>& b) {
    using O = typename F::template Operands<g, i>;
    using Depth = typename F::template Left<O::left>::Depth;
    using A = LeafAccess<P, O::right>;
    if constexpr (is_block(A::dtype)) {
      return blocks_lie_along<P, O::right, Depth>(b);
    } else {
      return lies_along<P, O::right, Depth, 8>(b);
    }
  }
  // More warps share a column as long as that makes blocks for an idle device and leaves each half of its lanes work.
  static typename M::Split split_of(const Binding<P>& b) {
    typename M::Split s{};
    unroll<F::segments>([&](auto g) {
      using C = typename F::template Columns<g>;
      s.of[g] = 1;
      long steps = 1L << 40;
      unroll<C::contractions>([&](auto i) {
        using K = typename FewRows<P, k, 1>::template Column<g, i>;
        const long n = count_of<P, typename F::template Left<K::O::left>::Depth>(b) / K::Part::elements;
        steps = n < steps ? n : steps;
      });
      if constexpr (C::reduced == 0)
        while (s.of[g] < M::warps && steps >= 32 * s.of[g] && M::template tiles<g>(b, s.of[g]) < 256) s.of[g] *= 2;
    });
    return s;
  }
  static long shared_bytes(const Binding<P>& b, const typename M::Split& split, int rows) {
    long words = rows * (M::warps + 8), sums = 0;
    unroll<F::lefts>([&](auto l) { words += rows * M::template LeftRow<l>::words(b); });
    unroll<F::segments>([&](auto g) {
      using C = typename F::template Columns<g>;
      const long n =
          rows * (static_cast<long>(split.of[g]) * C::contractions * M::template columns<g>(split.of[g]) + C::segment.reductions + 1);
      sums = n > sums ? n : sums;
    });
    return (words + sums) * 4;
  }
  template <int rows> static void launch(const Binding<P>& b, int count, cudaStream_t stream) {
    const typename M::Split split = split_of(b);
    const long bytes = shared_bytes(b, split, rows);
    long tiles = 0;
    unsigned vectors = 0;
    unroll<F::segments>([&](auto g) {
      tiles += M::template tiles<g>(b, split.of[g]);
      if (Epilogue<P, k, g>::is_aligned(b) && M::template columns<g>(split.of[g]) % Epilogue<P, k, g>::width == 0) vectors |= 1u << g;
    });
    check(cudaFuncSetAttribute(few_rows_kernel<P, k, rows>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          "asking for " + std::to_string(bytes) + " bytes of shared memory");
    const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(count_of<P, typename F::Batch>(b)));
    few_rows_kernel<P, k, rows><<<grid, M::threads, static_cast<std::size_t>(bytes), stream>>>(b, split, count, vectors);
  }
};

}  // namespace weft::cuda
