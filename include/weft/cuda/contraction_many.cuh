// contraction_many: the skeleton contraction where there are many rows. Operands that do not lie as they are multiplied are staged first;
// then each block multiplies a tile of rows by a tile of the columns of all contractions of a segment, and its sums go through the
// epilogue.
#pragma once
#include <weft/cuda/contraction_many_facts.cuh>
#include <weft/cuda/staging.cuh>
#include <weft/cuda/tile_product.cuh>

namespace weft::cuda {

template <class P, int k> struct ManyFacts : TileFacts<P, k> {
  using F = ContractionFacts<P, k>;
  using T = TileFacts<P, k>;
  using E = typename F::Element;
  static constexpr int stages = 4, stage_elements = stage_bytes / static_cast<int>(sizeof(E)), piece = 16 / static_cast<int>(sizeof(E));
  template <int rows> static constexpr int staged_bytes = stages*(rows + T::widest_pass) * stage_bytes;
  template <int rows> static constexpr int shared_bytes =
      staged_bytes<rows> > T::template sum_bytes<rows> ? staged_bytes<rows> : T::template sum_bytes<rows>;
  template <int rows> static constexpr int blocks_at_once = rows == 128 ? 2 : 3;  // that one multiprocessor holds
};

template <class P, int k, int rows> struct ManyRows {
  using M = ManyFacts<P, k>;
  using F = ContractionFacts<P, k>;
  using E = typename F::Element;
  using Places = typename Staging<P, k>::Places;
  static constexpr int threads = 2 * rows, at_once = threads / 4;  // rows of a stage that all threads copy at once, a piece each

  // the beginnings of the rows (or columns) of a stage that this thread copies; nullptr: there is no such row
  template <int count> struct Sources { const E* row[(count + at_once - 1) / at_once]; };
  template <int count>
  WEFT_DEVICE static void copy(unsigned stage, const Sources<count>& from, const void* somewhere, long at, long depth) {
    const int piece = static_cast<int>(threadIdx.x % 4);
    const long first = at + piece * M::piece, left = (depth - first) * static_cast<long>(sizeof(E));
    const int bytes = left >= 16 ? 16 : left > 0 ? static_cast<int>(left) : 0;
#pragma unroll
    for (int i = 0; i < (count + at_once - 1) / at_once; ++i) {
      const int row = static_cast<int>(threadIdx.x / 4) + i * at_once;
      if (count % at_once == 0 || row < count) {
        const bool exists = from.row[i] && bytes > 0;
        copy_async(piece_of(stage, row, piece), exists ? from.row[i] + first : somewhere, exists ? bytes : 0);
      }
    }
  }
  template <int l> WEFT_DEVICE static Sources<rows> left_sources(const Binding<P>& b, const Places& places, Index<P>& index,
                                                                 const RowTile& tile, long batch) {
    using L = typename F::template Left<l>;
    Sources<rows> s;
    const long size = round_up(count_of<P, typename L::Depth>(b), M::piece);
#pragma unroll
    for (int i = 0; i < (rows + at_once - 1) / at_once; ++i) {
      const int row = static_cast<int>(threadIdx.x / 4) + i * at_once;
      s.row[i] = nullptr;
      if (row >= tile.count) continue;
      if (places.left[l]) {
        long number = tile.number(row);
        if constexpr (F::routes) {
          decode<P, typename F::Rows>(b, tile.number(row), index);
          number = F::left_row(b, index);
        }
        s.row[i] = places.left[l] + (batch * count_of<P, typename F::Rows>(b) + number) * size;
      } else if constexpr (L::is_leaf && LeafAccess<P, L::node>::dtype == F::element) {
        decode<P, typename F::Rows>(b, tile.number(row), index);
        s.row[i] = LeafAccess<P, L::node>::data(b) + LeafAccess<P, L::node>::offset(b, index);
      }
    }
    return s;
  }
  // of contractions [first, last) of segment g; part: the batch, or the group, where operands were staged
  template <int g, int first, int last> WEFT_DEVICE static auto right_sources(const Binding<P>& b, const Places& places, Index<P>& index,
                                                                              const RowTile& tile, long first_column, long column_count,
                                                                              long batch) {
    const long part = F::routes ? tile.group : batch;
    using C = typename F::template Columns<g>;
    constexpr int columns = M::template columns<g>, count = (last - first) * columns;
    const long end = first_column + M::template step<g> < column_count ? first_column + M::template step<g> : column_count;
    Sources<count> s;
#pragma unroll
    for (int i = 0; i < (count + at_once - 1) / at_once; ++i) {
      const int place = static_cast<int>(threadIdx.x / 4) + i * at_once, contraction = first + place / columns;
      const long column = first_column + place % columns;
      s.row[i] = nullptr;
      if (place >= count || column >= end) continue;
      decode<P, C>(b, static_cast<unsigned>(column), index);
      unroll<last - first>([&](auto c) {
        constexpr int number = first + c;
        if (contraction != number) return;
        using O = typename F::template Operands<g, number>;
        using L = typename F::template Left<O::left>;
        if (places.right[g][number]) {
          s.row[i] = places.right[g][number] + (part * column_count + column) * round_up(count_of<P, typename L::Depth>(b), M::piece);
        } else if constexpr (O::right_is_stored && trimmed_plan<P>.node[O::right].dtype == F::element) {
          s.row[i] = LeafAccess<P, O::right>::data(b) + LeafAccess<P, O::right>::offset(b, index) + O::part(b, tile.group);
        }
      });
    }
    return s;
  }

  // contractions [first, last) of segment g, in the pass from contraction `pass_first` on
  template <int g, int first, int last, int pass_first, class Product>
  WEFT_DEVICE static void multiply(const Binding<P>& b, const Places& places, Index<P>& index, const RowTile& tile, long first_column,
                                   long column_count, long batch, unsigned shared, Product& product) {
    constexpr int left = F::template Operands<g, first>::left;
    constexpr int columns = M::template columns<g>, right_rows = (last - first) * columns;
    const auto left_rows = left_sources<left>(b, places, index, tile, batch);
    const auto right = right_sources<g, first, last>(b, places, index, tile, first_column, column_count, batch);
    const long depth = count_of<P, typename F::template Left<left>::Depth>(b);
    const int count = static_cast<int>((depth + M::stage_elements - 1) / M::stage_elements);
    constexpr unsigned slot = (rows + right_rows) * stage_bytes;
    const void* somewhere = b.view[0].data;
    const auto load = [&](int s) {
      if (s < count) {
        const unsigned stage = shared + s % M::stages * slot;
        copy<rows>(stage, left_rows, somewhere, static_cast<long>(s) * M::stage_elements, depth);
        copy<right_rows>(stage + rows * stage_bytes, right, somewhere, static_cast<long>(s) * M::stage_elements, depth);
      }
      commit_copies();
    };
    for (int s = 0; s < M::stages - 1; ++s) load(s);
    for (int s = 0; s < count; ++s) {
      wait_for_copies<M::stages - 2>();
      __syncthreads();  // stage s has arrived, and all are done with the one before, whose place is filled now
      load(s + M::stages - 1);
      const unsigned stage = shared + s % M::stages * slot;
      product.template add<first - pass_first, last - pass_first>(stage, stage + (rows - (first - pass_first) * columns) * stage_bytes);
    }
    wait_for_copies<0>();
    __syncthreads();
  }

  // The sums of `tile` and tile `number` of columns; index stands at the batch. wide: where they lie if tiles are wide.
  template <int g> WEFT_DEVICE static Accumulators products(const Binding<P>& b, const Places& places, Index<P>& index, const RowTile& tile,
                                                            long number, long batch, float* shared, float* wide) {
    constexpr int columns = M::template columns<g>, stride = M::template stride<g>;
    const long first_column = number * M::template step<g>, column_count = count_of<P, typename F::template Columns<g>>(b);
    float* sums = M::is_wide ? wide : shared;
    unroll<M::template passes<g>.count>([&](auto p) {
      constexpr int pass_first = M::template passes<g>.run[p].first, pass_last = M::template passes<g>.run[p].last;
      TileProduct<E, rows, pass_last - pass_first, columns> product;
      product.clear();
      unroll<M::template runs<g, p>.count>([&](auto r) {
        constexpr int first = M::template runs<g, p>.run[r].first, last = M::template runs<g, p>.run[r].last;
        multiply<g, first, last, pass_first>(b, places, index, tile, first_column, column_count, batch, shared_address(shared), product);
      });
      product.write(sums + pass_first * columns, stride);
      __syncthreads();
    });
    return {sums, stride, columns};
  }
};

// sums_in_memory: where they are, if tiles are wide; vectors: bit g says whether columns of segment g are stored some at a time
template <class P, int k, int rows, int held = ManyFacts<P, k>::template blocks_at_once<rows>>
__global__ void __launch_bounds__(2 * rows, held)
    many_rows_kernel(const Binding<P> b, const typename Staging<P, k>::Places places, float* sums_in_memory, unsigned vectors) {
  extern __shared__ __align__(128) float shared[];
  using M = ManyFacts<P, k>;
  M::template with_tile<rows>(b, [&](auto g, const RowTile& tile, long number, Index<P>& index) {
    const auto sums = ManyRows<P, k, rows>::template products<g>(b, places, index, tile, number, blockIdx.z, shared,
                                                                 sums_in_memory + M::place_in_memory());
    Epilogue<P, k, g>::run(b, index, M::template columns_of<g>(b, tile, number), sums, shared + M::template values_at<rows, g>,
                           vectors >> g & 1u);
  });
}

template <class P, int k> struct ContractionOfManyRows {
  using M = ManyFacts<P, k>;

  static std::size_t workspace(const Binding<P>& b) {
    return Staging<P, k>::bytes(b) + static_cast<std::size_t>(TileLaunch<P, k>::bytes_in_memory(b));
  }
  static void run(const Binding<P>& b, std::byte* memory, cudaStream_t stream) {
    const auto places = Staging<P, k>::places_in(b, memory);
    auto* sums = reinterpret_cast<float*>(memory + Staging<P, k>::bytes(b));
    Staging<P, k>::run(b, places, stream);
    TileLaunch<P, k>::run(b, [&](auto tile_rows, const dim3& grid, unsigned vectors) {
      constexpr int rows = tile_rows, bytes = M::template shared_bytes<rows>;
      ask_for_shared_memory<bytes>(many_rows_kernel<P, k, rows>);
      many_rows_kernel<P, k, rows><<<grid, 2 * rows, bytes, stream>>>(b, places, sums, vectors);
    });
  }
};

}  // namespace weft::cuda
