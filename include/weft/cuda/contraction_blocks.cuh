// contraction_blocks: the skeleton contraction where there are many rows and all weights are in blocks. Left operands are evaluated first,
// in the order of tensor cores (fragments.cuh); then each block of threads multiplies a tile of rows by a tile of columns, whose weights
// pass through shared memory as they lie and are decoded in registers (block_product.cuh), and its sums go through the epilogue.
#pragma once
#include <weft/cuda/block_product.cuh>
#include <weft/cuda/contraction_many_facts.cuh>
#include <weft/cuda/epilogue.cuh>
#include <weft/cuda/strips.cuh>

namespace weft::cuda {

template <class P, int k> struct BlockFacts : TileFacts<P, k> {
  using F = ContractionFacts<P, k>;
  using T = TileFacts<P, k>;
  static constexpr int step_groups = 8;  // of the depth, of a strip: 256 elements are whole blocks of all formats

  // bytes from one strip to the next: an odd number of pieces, so that eight columns which are read together lie in different banks
  template <int g, int i> static constexpr int strip_of_operand =
      (strip_pieces(Format<typename type_of<F::template Operands<g, i>::format>::type>::most_bytes_of_256) | 1) * piece_bytes;
  template <int g> static constexpr int strip_of_segment = []<int... i>(std::integer_sequence<int, i...>) {
    int n = 0;
    for (const int bytes : {strip_of_operand<g, i>...}) n = bytes > n ? bytes : n;
    return n;
  }
  (std::make_integer_sequence<int, F::template Columns<g>::contractions>{});
  template <int g> struct StripOf { static constexpr int value = strip_of_segment<g>; };
  static constexpr int strip = T::template largest<StripOf>;
  static constexpr int stages = strip <= 208 ? 3 : 2;

  struct Run {  // a column of weights
    const unsigned char* begin;
    int bytes, bytes_of_step;
  };
  static constexpr int staged_columns = T::widest_pass;
  static constexpr int staged_bytes = stages * staged_columns * strip + staged_columns * static_cast<int>(sizeof(Run));
  template <int rows> static constexpr int shared_bytes =
      staged_bytes > T::template sum_bytes<rows> ? staged_bytes : T::template sum_bytes<rows>;
  // that one multiprocessor holds; of 128 rows, registers allow two where a single segment multiplies only digits
  static constexpr bool is_small = []<int... l>(std::integer_sequence<int, l...>) {
    return (is_quantised<P, F::template Left<l>::node> && ...) && T::widest <= 128 && F::segments == 1;
  }
  (std::make_integer_sequence<int, F::lefts>{});
  template <int rows> static constexpr int blocks_at_once = rows == 128 && !is_small ? 1 : 2;
  struct Places {
    std::byte* left[4]{};
    float* sums = nullptr;
  };
};

template <class P, int k, int rows> struct BlockRows {
  using M = BlockFacts<P, k>;
  using F = typename M::F;
  static constexpr int threads = 2 * rows;

  // a step of contraction i of segment g, whose columns lie with those from contraction `first` on
  template <int g, int i, int first, int pass_first, class Product>
  WEFT_DEVICE static void add(const Binding<P>& b, const std::byte* left, long step, const unsigned char* stage,
                              const typename M::Run* runs, int row_tiles_left, Product& product) {
    using O = typename F::template Operands<g, i>;
    using Left = Fragments<P, k, O::left>;
    using W = typename type_of<O::format>::type;
    constexpr int columns = M::template columns<g>;
    const Format<W> format(b.view[LeafAccess<P, O::right>::leaf].format);
    const long groups = Left::groups(b), tile_bytes = groups * Left::record_bytes;
    const int left_groups = static_cast<int>(groups - step * M::step_groups),
              here = left_groups < M::step_groups ? left_groups : M::step_groups;
    const unsigned char* column[Product::tiles];
#pragma unroll
    for (int t = 0; t < Product::tiles; ++t) {
      const int place = (i - first) * columns + Product::first_column() + 8 * t + Product::lane() / 4;
      const auto run = runs[place];
      column[t] = stage + place * M::strip + bytes_before(run.begin + step * run.bytes_of_step);
    }
    const std::byte* record = left + step * M::step_groups * Left::record_bytes;
    const int groups_of_block = format.groups(), block_bytes = format.bytes();
#pragma unroll 1
    for (int j = 0; j < here; ++j) {
      const int at = j / groups_of_block * block_bytes;
      product.template add<Left, i - pass_first>(format, record + j * Left::record_bytes, tile_bytes, row_tiles_left, j % groups_of_block,
                                                 [&](int t) { return column[t] + at; });
    }
  }

  // contractions [first, last) of segment g, which have their left operand in common
  template <int g, int first, int last, int pass_first, class Product>
  WEFT_DEVICE static void multiply(const Binding<P>& b, const typename M::Places& places, Index<P>& index, const RowTile& tile,
                                   long first_fragment, long first_column, long column_count, unsigned char* shared, Product& product) {
    using C = typename F::template Columns<g>;
    using Left = Fragments<P, k, F::template Operands<g, first>::left>;
    constexpr int columns = M::template columns<g>, count = (last - first) * columns;
    auto* runs = reinterpret_cast<typename M::Run*>(shared + M::stages * M::staged_columns * M::strip);
    const long groups = Left::groups(b), steps = (groups + M::step_groups - 1) / M::step_groups;
    const long end = first_column + M::template step<g> < column_count ? first_column + M::template step<g> : column_count;
    for (int place = static_cast<int>(threadIdx.x); place < count; place += threads) {
      const long column = first_column + place % columns;  // the last one instead of those that are not there
      decode<P, C>(b, static_cast<unsigned>(column < end ? column : end - 1), index);
      unroll<last - first>([&](auto c) {
        using O = typename F::template Operands<g, first + c>;
        using A = LeafAccess<P, O::right>;
        if (place / columns != c) return;
        const Format<typename type_of<O::format>::type> format(b.view[A::leaf].format);
        const long first_group = (A::offset(b, index) + O::part(b, tile.group)) / 32;
        runs[place] = {reinterpret_cast<const unsigned char*>(A::data(b)) + first_group / format.groups() * format.bytes(),
                       static_cast<int>(groups / format.groups()) * format.bytes(), M::step_groups / format.groups() * format.bytes()};
      });
    }
    __syncthreads();
    const unsigned to = shared_address(shared);
    const auto load = [&](long s) {
      if (s < steps) {
        constexpr int pieces = M::strip / piece_bytes;
        const unsigned stage = to + static_cast<unsigned>(s % M::stages * (M::staged_columns * M::strip));
#pragma unroll 4
        for (int e = static_cast<int>(threadIdx.x); e < count * pieces; e += threads) {
          const int place = e / pieces;
          const auto run = runs[place];
          const long from = s * run.bytes_of_step, until = from + run.bytes_of_step;
          copy_piece(stage + static_cast<unsigned>(place * M::strip), run.begin + from, run.begin + (until < run.bytes ? until : run.bytes),
                     e % pieces);
        }
      }
      commit_copies();
    };
    // rows that this warp has
    const int all_left = (tile.count - Product::first_row() + fragment_rows - 1) / fragment_rows,
              row_tiles_left = all_left < Product::row_tiles ? all_left : Product::row_tiles;
    const std::byte* left = places.left[F::template Operands<g, first>::left] +
                            (first_fragment + Product::first_row() / fragment_rows) * groups * Left::record_bytes;
    for (int s = 0; s < M::stages - 1; ++s) load(s);
    for (long s = 0; s < steps; ++s) {
      wait_for_copies<M::stages - 2>();
      __syncthreads();  // step s has arrived, and all are done with the one before, whose place is filled now
      load(s + M::stages - 1);
      const unsigned char* stage = shared + s % M::stages * (M::staged_columns * M::strip);
      unroll<last - first>([&](auto c) { add<g, first + c, first, pass_first>(b, left, s, stage, runs, row_tiles_left, product); });
    }
    wait_for_copies<0>();
    __syncthreads();
  }

  // The sums of `tile`, whose rows lie from fragment `first_fragment` on, and tile `number` of columns; index stands at the batch. wide: where
  // they lie if tiles are wide.
  template <int g> WEFT_DEVICE static Accumulators products(const Binding<P>& b, const typename M::Places& places, Index<P>& index,
                                                            const RowTile& tile, long first_fragment, long number, float* shared,
                                                            float* wide) {
    constexpr int columns = M::template columns<g>, stride = M::template stride<g>;
    const long first_column = number * M::template step<g>, column_count = count_of<P, typename F::template Columns<g>>(b);
    float* sums = M::is_wide ? wide : shared;
    unroll<M::template passes<g>.count>([&](auto p) {
      constexpr int pass_first = M::template passes<g>.run[p].first, pass_last = M::template passes<g>.run[p].last;
      BlockProduct<rows, pass_last - pass_first, columns> product;
      product.clear();
      unroll<M::template runs<g, p>.count>([&](auto r) {
        constexpr int first = M::template runs<g, p>.run[r].first, last = M::template runs<g, p>.run[r].last;
        multiply<g, first, last, pass_first>(b, places, index, tile, first_fragment, first_column, column_count,
                                             reinterpret_cast<unsigned char*>(shared), product);
      });
      product.write(sums + pass_first * columns, stride);
      __syncthreads();
    });
    return {sums, stride, columns};
  }
};

// vectors: bit g says whether columns of segment g are stored some at a time
template <class P, int k, int rows, int held = BlockFacts<P, k>::template blocks_at_once<rows>>
__global__ void __launch_bounds__(2 * rows, held)
    block_rows_kernel(const Binding<P> b, const typename BlockFacts<P, k>::Places places, unsigned vectors) {
  extern __shared__ __align__(128) float shared[];
  using M = BlockFacts<P, k>;
  M::template with_tile<rows>(b, [&](auto g, const RowTile& tile, long number, Index<P>& index) {
    long first_fragment = tile.first / fragment_rows;
    // without batches a product with a number that is always 0 would take eight registers, which spill
    if constexpr (M::F::Batch::list.count > 0) first_fragment += blockIdx.z * Fragments<P, k, 0>::tiles(b);
    const auto sums = BlockRows<P, k, rows>::template products<g>(b, places, index, tile, first_fragment, number, shared,
                                                                  places.sums + M::place_in_memory());
    Epilogue<P, k, g>::run(b, index, M::template columns_of<g>(b, tile, number), sums, shared + M::template values_at<rows, g>,
                           vectors >> g & 1u);
  });
}

template <class P, int k> struct ContractionOfBlocks {
  using M = BlockFacts<P, k>;
  using F = typename M::F;
  static std::size_t workspace(const Binding<P>& b) { return static_cast<std::size_t>(place(b, nullptr).second); }
  static void run(const Binding<P>& b, std::byte* memory, cudaStream_t stream) {
    unroll<F::segments>([&](auto g) {
      unroll<F::template Columns<g>::contractions>([&](auto i) {
        using O = typename F::template Operands<g, i>;
        expect_blocks_along<P, O::right, typename F::template Left<O::left>::Depth>(b);
      });
    });
    const auto places = place(b, memory).first;
    unroll<F::lefts>([&](auto l) { Fragments<P, k, l>::run(b, places.left[l], stream); });
    TileLaunch<P, k>::run(b, [&](auto tile_rows, const dim3& grid, unsigned vectors) {
      constexpr int rows = tile_rows, bytes = M::template shared_bytes<rows>;
      ask_for_shared_memory<bytes>(block_rows_kernel<P, k, rows>);
      block_rows_kernel<P, k, rows><<<grid, 2 * rows, bytes, stream>>>(b, places, vectors);
    });
  }

 private:
  // and the bytes that they take
  static std::pair<typename M::Places, long> place(const Binding<P>& b, std::byte* memory) {
    typename M::Places p;
    long used = 0;
    const auto next = [&](long bytes) { return memory + std::exchange(used, used + round_up(bytes, 256)); };
    unroll<F::lefts>([&](auto l) { p.left[l] = next(Fragments<P, k, l>::bytes(b)); });
    if constexpr (M::is_wide) p.sums = reinterpret_cast<float*>(next(TileLaunch<P, k>::bytes_in_memory(b)));
    return {p, used};
  }
};

}  // namespace weft::cuda
