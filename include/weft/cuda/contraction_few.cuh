// contraction_few: the skeleton contraction where there are few rows: a product that is bound by the bandwidth with which weights are read.
// Every block evaluates the left rows into its shared memory; a warp then reads some columns side by side: 16 bytes a lane of plain
// formats, from where they lie; blocks through a ring of strips of its own, which is begun before the left rows are evaluated. Where
// columns are few, several warps share the depth of a column.
#pragma once
#include <weft/cuda/contraction_few_ring.cuh>
#include <weft/cuda/device.cuh>
#include <weft/cuda/epilogue.cuh>

namespace weft::cuda {

// ---- a lane's share of a step: some neighbours of a column, and its product with a left row
template <class W> struct Share {  // a plain format: 8 elements
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
// group number `at` of a left row times a group of weights
template <bool digits, class W> WEFT_DEVICE float times_group(const Group<W>& group, const float* row, long at, float sum) {
  constexpr bool halves = Format<W>::may_have_halves, minimum = Format<W>::may_have_minimum;
  if constexpr (digits) {
    const float* left = row + at * digit_words;
    int product[2] = {}, all = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int word = static_cast<int>(__float_as_uint(left[i]));
      int& p = product[halves ? i / 4 : 0];
      p = __dp4a(word, group.word[i], p);
      if constexpr (minimum) all = __dp4a(word, 0x01010101, all);
    }
    const float scale = left[8];
#pragma unroll
    for (int h = 0; h < (halves ? 2 : 1); ++h) sum = fmaf(scale * group.scales.scale[h], static_cast<float>(product[h]), sum);
    if constexpr (minimum) sum = fmaf(scale * group.scales.minimum, static_cast<float>(all), sum);
  } else {
    const float* left = row + at * 36;
    float product[2] = {}, all = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float x[4];
      load_neighbours<float, 4>(left + 4 * i, x);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float& p = product[halves ? i / 4 : 0];
        p = fmaf(x[j], static_cast<float>(digit_of(group.word[i], j)), p);
        if constexpr (minimum) all += x[j];
      }
    }
#pragma unroll
    for (int h = 0; h < (halves ? 2 : 1); ++h) sum = fmaf(group.scales.scale[h], product[h], sum);
    if constexpr (minimum) sum = fmaf(group.scales.minimum, all, sum);
  }
  return sum;
}

template <class P, int k, int rows> struct FewRows {
  using F = ContractionFacts<P, k>;
  using M = FewFacts<P, k>;

  // ---- left rows, at most `slots` of them. The share of each thread in a statistic depends on the extents alone, so a row's bits do not depend
  // on how many there are.
  template <int l>
  WEFT_DEVICE static void stage(const Binding<P>& b, Index<P> index, const RowTile& tile, int slots, float* to, float* scratch) {
    using Task = SharedRow<P, k, l>;
    constexpr int statistics = Task::statistics.count;
    const long words = M::template LeftRow<l>::words(b);
    float *part = scratch, *statistic = scratch + slots * M::warps;
    const int count = tile.count;
    RowBody<Task, 0, true> body;
    unroll<statistics>([&](auto p) {
      constexpr int node = Task::statistics.node[p];
      constexpr bool is_sum = trimmed_plan<P>.node[node].monoid == Monoid::sum;
      for (int r = 0; r < count; ++r) {
        decode<P, typename F::Rows>(b, tile.number(r), index);
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
      decode<P, typename F::Rows>(b, tile.number(r), index);
#pragma unroll
      for (int q = 0; q < statistics; ++q) body.statistics[q] = statistic[r * statistics + q];
      body.finish(b, index, Task{to + r * words, words / 2});
    }
    if constexpr (!F::routes)
      for (long i = count * words + threadIdx.x; i < slots * words; i += M::threads) to[i] = 0.f;  // rows that are not there
  }

  // ---- contraction i of segment g at columns [column, column + n) of a tile, a share of the depth. Of the left rows `exist` are there; where rows
  // are routed, the last one stands for the others, else these are zeros.
  template <int g> using RingOf = Ring<P, k, g, rows>;
  template <int g, int i> using Left = typename M::template LeftRow<F::template Operands<g, i>::left>;
  template <int g, int i> WEFT_DEVICE static void multiply(const RingOf<g>& ring, Index<P>& index, RingCursor& cursor, int& slot,
                                                           int column, const float* left, int exist, float (&sum)[RingOf<g>::n][rows]) {
    using R = RingOf<g>;
    using O = typename F::template Operands<g, i>;
    using W = typename type_of<O::format>::type;
    using A = LeafAccess<P, O::right>;
    constexpr int n = R::n;
    const Binding<P>& b = ring.b;
    const int lane = static_cast<int>(threadIdx.x % 32);
    const long words = Left<g, i>::words(b);
    const auto row = [&](int r) { return left + (F::routes && r >= exist ? exist - 1 : r) * words; };
    if constexpr (O::in_blocks) {
      const auto format = R::template format<i>(b);
      const long groups = R::template groups<i>(b), steps = R::template steps<i>(b),
                 per_step = static_cast<long>(M::step_groups / format.groups()) * format.bytes();
      const unsigned char* run[n];
#pragma unroll
      for (int c = 0; c < n; ++c) run[c] = ring.template run<i>(index, column + c);
      for (long s = ring.part; s < steps; s += ring.split) {
        wait_for_copies<R::slots - 2>();
        __syncwarp();  // the strip has arrived, and all lanes are done with the one before, whose place is filled now
        ring.fetch(index, cursor);
        const auto* strip = static_cast<const unsigned char*>(__cvta_shared_to_generic(ring.slot(slot)));
        slot = slot + 1 == R::slots ? 0 : slot + 1;
        const long at = s * M::step_groups + lane;
        if (at >= groups) continue;
        Group<W> group[n];
#pragma unroll
        for (int c = 0; c < n; ++c)
          group[c] =
              Group<W>::load(format, strip + c * R::strip + bytes_before(run[c] + s * per_step) + lane / format.groups() * format.bytes(),
                             lane % format.groups());
#pragma unroll
        for (int r = 0; r < rows; ++r)
#pragma unroll
          for (int c = 0; c < n; ++c) sum[c][r] = times_group<Left<g, i>::form == RowForm::digits>(group[c], row(r), at, sum[c][r]);
      }
    } else {
      const W* data[n];
#pragma unroll
      for (int c = 0; c < n; ++c) {
        decode<P, typename R::C>(b, static_cast<unsigned>(ring.first + column + c < ring.end ? ring.first + column + c : ring.end - 1),
                                 index);
        data[c] = A::data(b) + A::offset(b, index) + O::part(b, ring.group);
      }
      const long steps = count_of<P, typename F::template Left<O::left>::Depth>(b) / Share<W>::elements;
#pragma unroll 2
      for (long s = ring.part * 32 + lane; s < steps; s += 32 * ring.split) {
        Share<W> share[n];
#pragma unroll
        for (int c = 0; c < n; ++c) share[c] = Share<W>::load(data[c], s);
#pragma unroll
        for (int r = 0; r < rows; ++r)
#pragma unroll
          for (int c = 0; c < n; ++c) sum[c][r] = share[c].times(row(r), words / 2, s, sum[c][r]);
      }
    }
  }

  // memory: of the rings of all warps, ring_bytes long
  template <int g> WEFT_DEVICE static RingOf<g> ring_of(const Binding<P>& b, long number, const typename M::Split& split,
                                                        const float* memory, int ring_bytes, long group = 0) {
    const int columns = M::template columns<g>(split), warp = static_cast<int>(threadIdx.x / 32), of = split.of[g];
    const long first = number * columns, all = count_of<P, typename F::template Columns<g>>(b);
    return {b,         shared_address(memory) + static_cast<unsigned>(warp * (ring_bytes / M::warps)),
            first,     first + columns < all ? first + columns : all,
            columns,   M::warps / of * RingOf<g>::n,
            warp % of, of,
            group};
  }
  // Multiplies the left rows in slots [first, first + exist) of `slots`: what the warps that share a column have of it,
  // sums[(part * slots + slot) * stride + contraction * columns + column]
  template <int g> WEFT_DEVICE static void multiply(const RingOf<g>& ring, Index<P>& index, RingCursor& cursor, const float* const* left,
                                                    int first, int exist, int slots, float* sums) {
    constexpr int n = RingOf<g>::n, contractions = F::template Columns<g>::contractions;
    const int columns = ring.columns, split = ring.split, stride = contractions * columns;
    int slot = 0;
    for (int column = static_cast<int>(threadIdx.x / 32) / split * n; column < columns; column += ring.stride) {
      unroll<contractions>([&](auto i) {
        float sum[n][rows] = {};
        multiply<g, i>(ring, index, cursor, slot, column, left[F::template Operands<g, i>::left] + first * Left<g, i>::words(ring.b), exist,
                       sum);
#pragma unroll
        for (int r = 0; r < rows; ++r)
#pragma unroll
          for (int c = 0; c < n; ++c) {
            const float total = reduce_warp<true>(sum[c][r]);
            if (threadIdx.x % 32 == 0 && (!F::routes || r < exist) && column + c < columns)
              sums[(ring.part * slots + first + r) * stride + i * columns + column + c] = total;
          }
      });
    }
  }
  // adds up what the warps that share a column have: `count` sums each, `step` apart
  WEFT_DEVICE static void join(int split, int count, int step, float* sums) {
    __syncthreads();
    if (split == 1) return;
    for (int e = static_cast<int>(threadIdx.x); e < count; e += M::threads)
      for (int s = 1; s < split; ++s) sums[e] += sums[s * step + e];
    __syncthreads();
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
  constexpr int ring_bytes = M::template ring_bytes<rows>;
  RingCursor cursor;
  long number = blockIdx.x;
  unroll<F::segments>([&](auto g) {
    const long tiles = M::template tiles<g>(b, split);
    if constexpr (M::template InBlocks<g>::any)
      if (number >= 0 && number < tiles) cursor = Body::template ring_of<g>(b, number, split, shared, ring_bytes).begin(index);
    number -= tiles;
  });
  float* scratch = shared + ring_bytes / 4;
  float* to = scratch + rows * (M::warps + 8);
  const float* left[F::lefts];
  unroll<F::lefts>([&](auto l) {
    left[l] = to;
    Body::template stage<l>(b, index, {0, count}, rows, to, scratch);
    to += rows * M::template LeftRow<l>::words(b);
  });
  __syncthreads();
  number = blockIdx.x;
  unroll<F::segments>([&](auto g) {
    const long tiles = M::template tiles<g>(b, split);
    if (number >= 0 && number < tiles) {
      const auto ring = Body::template ring_of<g>(b, number, split, shared, ring_bytes);
      const int stride = F::template Columns<g>::contractions * ring.columns;
      Body::template multiply<g>(ring, index, cursor, left, 0, count, rows, to);
      Body::join(ring.split, count * stride, rows * stride, to);
      Epilogue<P, k, g>::run(b, index, {0, ring.first, count, static_cast<int>(ring.end - ring.first)},
                             Accumulators{to, stride, ring.columns}, to + ring.split * rows * stride, vectors >> g & 1u);
    }
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
      return operands_lie(b) && count > 0 && count <= most_rows &&
             shared_bytes(b, split_of(b), count == 1 ? 1 : most_rows) <= M::most_shared;
    }
  }
  static void run(const Binding<P>& b, cudaStream_t stream) {
    if (count_of<P, typename F::Rows>(b) == 1)
      launch<1>(b, 1, stream);
    else
      launch<most_rows>(b, static_cast<int>(count_of<P, typename F::Rows>(b)), stream);
  }

  // Can all operands be read as these kernels read them? Throws Error where blocks do not lie along the depth.
  static bool operands_lie(const Binding<P>& b) {
    bool lie = true;
    unroll<F::segments>([&](auto g) { unroll<F::template Columns<g>::contractions>([&](auto i) { lie = right_lies<g, i>(b) && lie; }); });
    unroll<F::lefts>([&](auto l) { lie = lie && RowLaunch<SharedRow<P, k, l>>::is_aligned(b); });
    return lie;
  }
  // More warps share a column as long as that makes blocks for an idle device and leaves each half of its lanes work. They take several
  // turns where even then there are more tiles than a device has room for.
  static typename M::Split split_of(const Binding<P>& b) {
    typename M::Split s{};
    unroll<F::segments>([&](auto g) {
      using C = typename F::template Columns<g>;
      s.of[g] = s.turns[g] = 1;
      long steps = 1L << 40;
      unroll<C::contractions>([&](auto i) {
        using O = typename F::template Operands<g, i>;
        const long n = count_of<P, typename F::template Left<O::left>::Depth>(b) / (O::in_blocks ? 32 : 8);
        steps = n < steps ? n : steps;
      });
      if constexpr (C::reduced == 0) {
        while (s.of[g] < M::warps && steps >= 32 * s.of[g] && M::template tiles<g>(b, s) < 256) s.of[g] *= 2;
        while (s.turns[g] < 8 && M::template tiles<g>(b, s) >= 2048) s.turns[g] *= 2;
      }
    });
    return s;
  }

 private:
  template <int g, int i> static bool right_lies(const Binding<P>& b) {
    using O = typename F::template Operands<g, i>;
    using Depth = typename F::template Left<O::left>::Depth;
    if constexpr (O::in_blocks) {
      expect_blocks_along<P, O::right, Depth>(b);
      return true;
    } else {
      return lies_along<P, O::right, Depth, 8>(b);
    }
  }
  static long shared_bytes(const Binding<P>& b, const typename M::Split& split, int rows) {
    long words = (rows == 1 ? M::template ring_bytes<1> : M::template ring_bytes<most_rows>) / 4 + rows * (M::warps + 8), sums = 0;
    unroll<F::lefts>([&](auto l) { words += rows * M::template LeftRow<l>::words(b); });
    unroll<F::segments>([&](auto g) {
      using C = typename F::template Columns<g>;
      const long n = rows * (static_cast<long>(split.of[g]) * C::contractions * M::template columns<g>(split) + RowValues<P, k, g>::count);
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
      tiles += M::template tiles<g>(b, split);
      if (Epilogue<P, k, g>::is_aligned(b) && M::template columns<g>(split) % Epilogue<P, k, g>::width == 0) vectors |= 1u << g;
    });
    check(cudaFuncSetAttribute(few_rows_kernel<P, k, rows>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          "asking for " + std::to_string(bytes) + " bytes of shared memory");
    const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(count_of<P, typename F::Batch>(b)));
    few_rows_kernel<P, k, rows><<<grid, M::threads, static_cast<std::size_t>(bytes), stream>>>(b, split, count, vectors);
  }
};

}  // namespace weft::cuda
