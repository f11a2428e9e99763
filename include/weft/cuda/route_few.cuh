// route_few: the skeleton route where there are few rows: of each group that has rows the right operands are streamed once, the others are not
// touched. Every block sorts the rows for itself, so that a kernel is one launch. A block has some columns of one group; where rows are added
// up, some columns of all groups one after the other, and keeps the sums.
#pragma once
#include <weft/cuda/contraction_few.cuh>
#include <weft/cuda/route_facts.cuh>

namespace weft::cuda {

inline constexpr int most_few_routed = 64;

struct SortedRows {  // in shared memory: rows by group, then by number
  std::int32_t order[most_few_routed];
  int group[most_few_routed], unsorted[most_few_routed];

  // All threads of a block call it. Returns how many rows there are that name a group.
  template <class Facts, class P> WEFT_DEVICE int sort(const Binding<P>& b, const Complaint& complaint) {
    constexpr int none = INT_MAX;
    const int count = static_cast<int>(Facts::row_count(b)), row = static_cast<int>(threadIdx.x);
    int mine = none;
    if (row < count) {
      const int found = Facts::group_of(b, static_cast<unsigned>(row), complaint);
      mine = unsorted[row] = found < 0 ? none : found;
    }
    const int named = __syncthreads_count(mine != none);
    if (row < count) {
      int place = 0;
      for (int q = 0; q < count; ++q) place += unsorted[q] < mine || (unsorted[q] == mine && q < row);
      order[place] = row;
      group[place] = mine;
    }
    __syncthreads();
    return named;
  }
  // the places of group number `number` of those that have rows: [first, last)
  WEFT_DEVICE void find(int number, int named, int& first, int& last) const {
    int n = -1;
    first = last = named;
    for (int i = 0; i < named; ++i) {
      if (i == 0 || group[i] != group[i - 1]) ++n;
      if (n == number && i < first) first = i;
      if (n > number && i < last) last = i;
    }
  }
};

// together: how many rows of a group share a stream; one, where rows of a group are few among the groups, takes half the registers
template <class P, int k, int together> struct FewRoutes {
  using F = RouteFacts<P, k>;
  using M = FewFacts<P, k>;
  static constexpr int ring_bytes =
      M::template ring_bytes<1> > M::template ring_bytes<together> ? M::template ring_bytes<1> : M::template ring_bytes<together>;

  // Rows of one group that share a stream, n of them: where their right operands are in blocks, these are under way.
  template <int g> WEFT_DEVICE static RingCursor begin(const Binding<P>& b, const typename M::Split& split, long number, int group, int n,
                                                       Index<P>& index, const float* shared) {
    RingCursor cursor;
    if constexpr (M::template InBlocks<g>::any) {
      __syncwarp();  // all lanes are done with what the ring held
      with_rows(n, [&](auto rows) {
        cursor = FewRows<P, k, rows>::template ring_of<g>(b, number, split, shared, ring_bytes, group).begin(index);
      });
    }
    return cursor;
  }
  // multiplies the n left rows in slots from `first` on
  template <int g> WEFT_DEVICE static void multiply(const Binding<P>& b, const typename M::Split& split, long number, int group,
                                                    Index<P>& index, RingCursor& cursor, const float* left, int first, int n, int slots,
                                                    const float* shared, float* products) {
    with_rows(n, [&](auto rows) {
      using Body = FewRows<P, k, rows>;
      const auto ring = Body::template ring_of<g>(b, number, split, shared, ring_bytes, group);
      Body::template multiply<g>(ring, index, cursor, &left, first, n, slots, products);
    });
  }

  // tile `number` of segment g: the rows at places [first, last), at most `slots` at a time
  template <int g> WEFT_DEVICE static void tile(const Binding<P>& b, const typename M::Split& split, long number, const SortedRows& sorted,
                                                int first, int last, int slots, float* shared, bool vectors) {
    constexpr int contractions = F::template Columns<g>::contractions;
    const int columns = M::template columns<g>(split), stride = contractions * columns, parts = split.of[g];
    const long first_column = number * columns, columns_left = count_of<P, typename F::template Columns<g>>(b) - first_column,
               outputs = F::output_count(b);
    const int here = static_cast<int>(columns_left < columns ? columns_left : columns);
    float *scratch = shared + ring_bytes / 4, *left = scratch + slots * (M::warps + 8),
          *products = left + slots * M::template LeftRow<0>::words(b), *values = products + parts * slots * stride,
          *sums = values + (F::combines ? outputs : slots) * RowValues<P, k, g>::count;
    Index<P> index;
    if constexpr (F::combines)
      for (long e = threadIdx.x; e < outputs * columns; e += M::threads) sums[e] = 0.f;
    for (int at = first; at < last; at += slots) {
      const RowTile rows{at, last - at < slots ? last - at : slots, sorted.order};
      const auto alike = [&](int r) {  // how many rows from r on share a stream
        int n = 1;
        while (n < together && r + n < rows.count && sorted.group[at + r + n] == sorted.group[at + r]) ++n;
        return n;
      };
      int n = alike(0);
      RingCursor cursor = begin<g>(b, split, number, sorted.group[at], n, index, shared);
      __syncthreads();  // all are done with the left rows before
      FewRows<P, k, together>::template stage<0>(b, index, rows, slots, left, scratch);
      __syncthreads();
      for (int r = 0;;) {
        multiply<g>(b, split, number, sorted.group[at + r], index, cursor, left, r, n, slots, shared, products);
        r += n;
        if (r == rows.count) break;
        n = alike(r);
        cursor = begin<g>(b, split, number, sorted.group[at + r], n, index, shared);
      }
      FewRows<P, k, together>::join(parts, rows.count * stride, slots * stride, products);
      const Tile tile{at, first_column, rows.count, here, sorted.order};
      if constexpr (F::combines)
        add_up<g>(b, index, tile, products, stride, columns, outputs, sums);
      else
        Epilogue<P, k, g>::run(b, index, tile, Accumulators{products, stride, columns}, values, vectors);
    }
    if constexpr (F::combines) {
      __syncthreads();
      Epilogue<P, k, g>::run(b, index, {0, first_column, static_cast<int>(outputs), here}, Accumulators{sums, columns, columns}, values,
                             vectors);
    }
  }

 private:
  template <class F_> WEFT_DEVICE static void with_rows(int n, F_ f) {
    if constexpr (together > 1) {
      if (n > 1) {
        f(Int<together>{});
        return;
      }
    }
    f(Int<1>{});
  }
  template <int g> WEFT_DEVICE static void add_up(const Binding<P>& b, Index<P>& index, const Tile& tile, float* products, int stride,
                                                  int columns, long outputs, float* sums) {
    // a summand takes the place of its first product, which no other thread reads
    RowSummand<P, k, g>::each(b, index, tile, {products, stride, columns}, [&](int r, int c, float x) { products[r * stride + c] = x; });
    __syncthreads();
    const unsigned each = static_cast<unsigned>(count_of<P, typename F::Combined>(b)), size = static_cast<unsigned>(outputs * columns);
    for (unsigned e = threadIdx.x; e < size; e += M::threads) {
      const unsigned output = e / static_cast<unsigned>(columns);
      const int c = static_cast<int>(e % static_cast<unsigned>(columns));
      float sum = sums[e];
      for (int r = 0; r < tile.rows; ++r)
        if (tile.number(r) / each == output && c < tile.columns) sum += products[r * stride + c];
      sums[e] = sum;
    }
  }
};

template <class P, int k, int together> __global__ void __launch_bounds__(FewFacts<P, k>::threads, 2)
    few_routes_kernel(const Binding<P> b, const typename FewFacts<P, k>::Split split, int slots, unsigned vectors,
                      const Complaint complaint) {
  extern __shared__ __align__(128) float shared[];
  __shared__ SortedRows sorted;
  using F = RouteFacts<P, k>;
  using M = FewFacts<P, k>;
  int first = 0, last = sorted.sort<F>(b, complaint);
  if constexpr (!F::combines) {
    sorted.find(static_cast<int>(blockIdx.y), last, first, last);
    if (first == last) return;
  }
  long number = blockIdx.x;
  unroll<F::segments>([&](auto g) {
    const long tiles = M::template tiles<g>(b, split);
    if (number >= 0 && number < tiles)
      FewRoutes<P, k, together>::template tile<g>(b, split, number, sorted, first, last, slots, shared, vectors >> g & 1u);
    number -= tiles;
  });
}

template <class P, int k> struct RouteOfFewRows {
  using F = RouteFacts<P, k>;
  using M = FewFacts<P, k>;
  using Dense = ContractionOfFewRows<P, k>;

  static bool suits(const Binding<P>& b) {
    if constexpr (!M::reads_right_operands)
      return false;
    else
      return F::row_count(b) <= most_few_routed && Dense::operands_lie(b) && slots_of(b, Dense::split_of(b)) > 0;
  }
  static void run(const Binding<P>& b, cudaStream_t stream, const Complaint& complaint) {
    if (is_sparse(b))
      launch<1>(b, stream, complaint);
    else
      launch<most_together>(b, stream, complaint);
  }

 private:
  // Sums of what is added up take registers, too: with four rows beside them a decoder layer's spilled.
  static constexpr int most_together = F::combines ? 2 : 4;
  // Will hardly two rows have one group? Where they do, they read its right operands one after the other.
  static bool is_sparse(const Binding<P>& b) { return 4 * F::row_count(b) <= F::groups(b); }

  template <int together> static void launch(const Binding<P>& b, cudaStream_t stream, const Complaint& complaint) {
    const typename M::Split split = Dense::split_of(b);
    const int slots = slots_of(b, split);
    const long bytes = shared_bytes(b, split, slots), rows = F::row_count(b), groups = F::groups(b);
    long tiles = 0;
    unsigned vectors = 0;
    unroll<F::segments>([&](auto g) {
      tiles += M::template tiles<g>(b, split);
      if (Epilogue<P, k, g>::is_aligned(b) && M::template columns<g>(split) % Epilogue<P, k, g>::width == 0) vectors |= 1u << g;
    });
    check(cudaFuncSetAttribute(few_routes_kernel<P, k, together>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          "asking for " + std::to_string(bytes) + " bytes of shared memory");
    const dim3 grid(static_cast<unsigned>(tiles), F::combines ? 1u : static_cast<unsigned>(rows < groups ? rows : groups));
    if (grid.x * grid.y > 0)
      few_routes_kernel<P, k, together><<<grid, M::threads, static_cast<std::size_t>(bytes), stream>>>(b, split, slots, vectors, complaint);
  }
  // Left rows that a block holds at once, as many in each turn; 0: not even one fits. Two blocks fit into a multiprocessor.
  static constexpr long wanted_shared = 76 << 10;
  static int slots_of(const Binding<P>& b, const typename M::Split& split) {
    const long count = F::row_count(b), of_a_group = is_sparse(b) ? 1 : 8, most = F::combines || count < of_a_group ? count : of_a_group;
    for (long turns = 1; turns <= most; ++turns)
      if (const long slots = (most + turns - 1) / turns; shared_bytes(b, split, static_cast<int>(slots)) <= wanted_shared)
        return static_cast<int>(slots);
    return most > 0 && shared_bytes(b, split, 1) <= M::most_shared ? 1 : 0;
  }
  static long shared_bytes(const Binding<P>& b, const typename M::Split& split, int slots) {
    const long outputs = F::combines ? F::output_count(b) : 0;
    long words = FewRoutes<P, k, most_together>::ring_bytes / 4 + slots * (M::warps + 8 + M::template LeftRow<0>::words(b)), sums = 0;
    unroll<F::segments>([&](auto g) {
      const long columns = M::template columns<g>(split), products = split.of[g] * F::template Columns<g>::contractions * columns,
                 n = slots * products + (F::combines ? outputs : slots) * RowValues<P, k, g>::count + outputs * columns;
      sums = n > sums ? n : sums;
    });
    return (words + sums) * 4;
  }
};

}  // namespace weft::cuda
