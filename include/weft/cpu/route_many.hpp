// route_many: the skeleton route where there are many rows. All threads pack the left rows into panels, group by group; then each strip of
// columns of a group is packed by one thread, and the micro-kernel runs over the rows of the group. Where rows are added up, a thread takes a strip
// of columns through all groups, in ascending order, and keeps the sums of all output rows in its caches.
#pragma once
#include <weft/cpu/contraction_many.hpp>
#include <weft/cpu/route_groups.hpp>

namespace weft::cpu {

template <class P, int k> struct RouteOfManyRows {
  using Facts = RouteFacts<P, k>;
  using Dense = ContractionOfManyRows<P, k>;  // how strips are packed and tiles multiplied
  using L = typename Facts::Left;
  using E = typename L::Element;
  using Chunk = typename Facts::Chunk;
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& kernel = plan.kernel[k];
  // Where rows are added up, the left panels of all groups pass for each strip: wider ones.
  struct Width {
    template <int g> static constexpr long columns = Dense::Width::template columns<g>*(kernel.combined ? 2 : 1);
  };
  static constexpr int tile_rows = Facts::tile_rows;
  static constexpr long part_tiles = Dense::part_tiles;
  static constexpr long most_panel_bytes = 64 << 20;  // of left panels: more rows are done in several blocks, which pack the columns again
  template <int g> static constexpr int contractions = Facts::template contractions<g>;

  struct Tile {  // rows order[first] ... of one group
    std::int32_t first, count;
  };
  struct Layout {
    typename Dense::Layout dense;  // panel[0]: left panels of all threads; right, staged, accumulators: of this thread
    Groups groups;                 // of all threads, as are tiles
    Tile* tiles;
    std::int32_t* first_tile;  // of each group
    long* tile_count;
    float* sums;  // this thread's: [output row][run][column]
  };
  static long panel_bytes(const Binding<P>& b) { return L::Kernel::left_size(L::k_of(b)) * static_cast<long>(sizeof(E)); }
  // output rows that are done together
  static long block_of_outputs(const Binding<P>& b) {
    const long each = std::max(count_of<P, Facts::combined>(b), 1L);
    return std::min(count_of<P, Facts::outputs>(b), std::max(most_panel_bytes / std::max(panel_bytes(b), 1L) * tile_rows / each, 1L));
  }
  static Layout layout(const Binding<P>& b, int threads, int thread, Arena& arena) {
    Layout w{};
    const long outputs = block_of_outputs(b), rows = outputs * count_of<P, Facts::combined>(b), depth = L::k_of(b),
               tiles = rows / tile_rows + std::min(Facts::group_count(b), rows);
    w.groups = Facts::take(b, rows, arena);
    w.tiles = arena.take<Tile>(tiles);
    w.first_tile = arena.take<std::int32_t>(Facts::group_count(b));
    w.tile_count = arena.take<long>(1);
    w.dense.panel[0] = arena.take<E>(tiles * L::Kernel::left_size(depth));
    long accumulators = 0, right = 0, sums = 0;
    unroll<kernel.segments>([&](auto g) {
      using C = Columns<P, k, g>;
      const long length = round_up(C::run_length(b, Width::template columns<g>), Facts::tile_columns), size = C::runs(b) * length;
      accumulators = std::max(accumulators, contractions<g> * size * part_tiles * tile_rows);
      if (kernel.combined) sums = std::max(sums, outputs * size);
      long bytes = 0;
      unroll<contractions<g>>([&](auto i) { bytes += size / Facts::tile_columns * Dense::template panel_bytes<g, i>(b); });
      right = std::max(right, bytes);
    });
    const bool evaluates = Facts::right_operands_are(b, [](RightLayout l) { return l == RightLayout::any; });
    for (int t = 0; t < threads; ++t) {
      typename Dense::Layout own = w.dense;
      own.right = arena.take<std::byte>(right);
      own.staged = arena.take<float>(tile_rows * depth);
      own.accumulators = arena.take<float>(accumulators);
      own.evaluated = evaluates ? arena.take<float>(depth * Facts::tile_columns) : nullptr;
      float* own_sums = arena.take<float>(sums);
      if (t == thread) {
        w.dense = own;
        w.sums = own_sums;
      }
    }
    return w;
  }

  static void run(const Binding<P>& b, Worker& worker, Layout& w, const Index<P>&) {  // what an index groups has no batches
    const long outputs = count_of<P, Facts::outputs>(b), added = count_of<P, Facts::combined>(b), block = block_of_outputs(b);
    for (long first = 0; first < outputs; first += block) {
      const long count = std::min(block, outputs - first);
      if (first > 0) worker.sync();
      if (worker.number() == 0) group(b, first * added, count * added, w);
      worker.sync();
      learn(b, w);
      for (long t = worker.next(); t < *w.tile_count; t = worker.next()) pack_tile(b, w, t);
      worker.sync();
      if constexpr (kernel.combined)
        add_up(b, worker, w, first, count);
      else
        store_all(b, worker, w);
    }
  }

 private:
  static void group(const Binding<P>& b, long first, long count, Layout& w) {
    Facts::sort(b, first, count, w.groups);
    long tiles = 0;
    for (long u = 0; u < w.groups.count; ++u) {
      const long e = w.groups.used[u];
      w.first_tile[e] = static_cast<std::int32_t>(tiles);
      for (std::int32_t at = w.groups.start[e], end = w.groups.start[e + 1]; at < end; at += tile_rows)
        w.tiles[tiles++] = {at, std::min<std::int32_t>(end - at, tile_rows)};
    }
    *w.tile_count = tiles;
  }
  // what another thread has sorted
  static void learn(const Binding<P>& b, Layout& w) {
    w.groups.count = 0;
    for (long e = 0; e < Facts::group_count(b); ++e) w.groups.count += w.groups.rows_of(e) > 0;
  }
  [[gnu::noinline]] static void pack_tile(const Binding<P>& b, const Layout& w, long number) {
    using Statistics = StatisticsOf<P, k, 0>;
    const Tile tile = w.tiles[number];
    const long depth = L::k_of(b);
    E* panel = static_cast<E*>(w.dense.panel[0]) + number * L::Kernel::left_size(depth);
    Index<P> index;
    const auto each_row = [&](auto f) {
      for (int r = 0; r < tile.count; ++r) {
        decode<P, Facts::rows>(b, w.groups.order[tile.first + r], index);
        f(r);
      }
    };
    if constexpr (L::in_digits && std::is_same_v<E, std::byte>) {
      check_groups<P, L::depth>(b);
      auto* staged = static_cast<float*>(w.dense.staged);
      if (tile.count < tile_rows) std::memset(panel, 0, static_cast<std::size_t>(L::Kernel::left_size(depth)));  // rows that are not there
      each_row([&](int r) {
        evaluate_plain_row<P, plan.node[L::node].operand[0], L::depth, Statistics::list>(b, index, staged);
        L::Kernel::pack_left_row(staged, depth, r, panel);
      });
    } else {
      E* staged = static_cast<E*>(w.dense.staged);
      each_row([&](int r) { evaluate_row<P, L::node, L::depth, Statistics::list>(b, index, staged + r * depth); });
      pack_left<E>(static_cast<const E*>(staged), depth, depth, tile.count, panel);
    }
  }

  // ---- strips: the columns of a chunk, of one group. What is packed next is fetched from memory while one is multiplied.
  using Pieces = typename Dense::ColumnsAhead;
  template <int g> static Pieces pieces_of(const Binding<P>& here, long number) {
    using C = Columns<P, k, g>;
    Index<P> index;
    const Chunk c = Facts::template begin_chunk<Width, g>(here, number, index);
    index[C::inner] = c.first;
    Pieces found;
    unroll<contractions<g>>([&](auto i) {
      constexpr int contraction = kernel.segment[g].contraction[i];
      using A = LeafAccess<P, Operands<P, contraction>::right>;
      const long depth = LeftOf<g, i>::k_of(here);
      if (right_layout<P, contraction, C::inner, L::depth>(here) != RightLayout::depth_contiguous ||
          A::template step<C::inner>(here) != depth)
        return;
      for (long o = 0; o < c.runs && found.count < Pieces::most; ++o) {
        decode<P, C::list, C::outer, C::last>(here, o, index);
        found.piece[found.count++] = {first_byte(A::data(here) + A::offset(here, index)),
                                      bytes_for(here.view[A::leaf].format, c.length * depth)};
      }
    });
    return found;
  }
  template <int g, int i> using LeftOf = typename Facts::template LeftOf<g, i>;
  template <class T> static const void* first_byte(const T* p) { return p; }
  template <class Block> static const void* first_byte(BlockElements<Block> p) { return p.panel_row > 0 ? p.record() : p.block(); }
  static const void* first_byte(AnyBlockElements p) {
    return with_block(p.format, [&](auto block) { return first_byte(p.in<decltype(block)>()); });
  }
  // strip `number` of group e, the binding of that group
  static Pieces pieces_of(const Binding<P>& b, long e, long number, Binding<P>& there) {
    Pieces found;
    Facts::enter(b, e, there);
    Facts::template with_chunk<Width>(b, number, [&](auto g, long n) { found = pieces_of<g>(there, n); });
    return found;
  }

  template <int g> [[gnu::noinline]] static void pack_strip(const Binding<P>& here, const Layout& w, long number) {
    using C = Columns<P, k, g>;
    Index<P> index;
    const Chunk c = Facts::template begin_chunk<Width, g>(here, number, index);
    std::byte* right = w.dense.right;
    unroll<contractions<g>>([&](auto i) {
      for (long o = 0; o < c.runs; ++o) {
        decode<P, C::list, C::outer, C::last>(here, o, index);
        for (long at = 0; at < c.length; at += Facts::tile_columns, right += Dense::template panel_bytes<g, i>(here))
          pack_right<P, kernel.segment[g].contraction[i], C::inner, L::depth>(
              here, index, c.first + at, static_cast<int>(std::min<long>(Facts::tile_columns, c.length - at)), w.dense.evaluated,
              reinterpret_cast<E*>(right));
      }
      for (int a = C::outer; a <= C::last; ++a) index[C::list.axis[a]] = 0;
    });
  }
  // packs a strip of a group and multiplies; f(rows in `order`, how many) when the accumulators of some of its rows are made
  template <int g, class F>
  static void multiply_strip(const Binding<P>& here, const Layout& w, long e, long number, const Chunk& c, const Pieces& soon, F f) {
    pack_strip<g>(here, w, number);
    const long rows = w.groups.rows_of(e), panels = c.runs * ((c.length + Facts::tile_columns - 1) / Facts::tile_columns),
               calls = (rows + tile_rows - 1) / tile_rows * panels * contractions<g>;
    long call = 0;
    for (long first = 0; first < rows; first += part_tiles * tile_rows) {
      const long count = std::min<long>(rows - first, part_tiles * tile_rows);
      multiply_part<g>(here, w, w.first_tile[e] + first / tile_rows, count, c, [&] { return soon.share(call++, calls); });
      f(w.groups.order + w.groups.start[e] + first, count);
    }
  }
  // the accumulators of `count` rows from the first of `tile` on; soon(): what the next tile fetches
  template <int g, class Soon>
  static void multiply_part(const Binding<P>& here, const Layout& w, long tile, long count, const Chunk& c, Soon soon) {
    const long panels = (c.length + Facts::tile_columns - 1) / Facts::tile_columns, row_size = contractions<g> * c.runs * c.padded,
               depth = L::k_of(here), left_size = L::Kernel::left_size(depth);
    const E* left = static_cast<const E*>(w.dense.panel[0]) + tile * left_size;
    const std::byte* right = w.dense.right;
    unroll<contractions<g>>([&](auto i) {
      const long size = Dense::template panel_bytes<g, i>(here);
      for (long o = 0; o < c.runs; ++o)
        for (long p = 0; p < panels; ++p, right += size)
          for (long r = 0; r < count; r += tile_rows)
            L::Kernel::tile(static_cast<int>(std::min<long>(tile_rows, count - r)), left + r / tile_rows * left_size,
                            reinterpret_cast<const E*>(right), depth,
                            w.dense.accumulators + r * row_size + (i * c.runs + o) * c.padded + p * Facts::tile_columns, row_size, false,
                            soon());
    });
  }

  static void store_all(const Binding<P>& b, Worker& worker, const Layout& w) {
    Binding<P> here = b, there = b;
    const long strips = Facts::template all_chunks<Width>(b), pieces = w.groups.count * strips;
    for (long n = worker.next(); n < pieces; n = worker.next()) {
      const long e = w.groups.used[n / strips], next = n + worker.count();  // probably this thread's next
      Pieces soon;
      if (next < pieces) soon = pieces_of(b, w.groups.used[next / strips], next % strips, there);
      Facts::enter(b, e, here);
      Facts::template with_chunk<Width>(b, n % strips, [&](auto g, long number) { store_strip<g>(here, w, e, number, soon); });
    }
  }
  template <int g>
  [[gnu::noinline]] static void store_strip(const Binding<P>& here, const Layout& w, long e, long number, const Pieces& soon) {
    Index<P> index;
    const Chunk c = Facts::template begin_chunk<Width, g>(here, number, index);
    const long row_size = contractions<g> * c.runs * c.padded;
    multiply_strip<g>(here, w, e, number, c, soon, [&](const std::int32_t* order, long count) {
      Epilogue<P, k, g>::template run_listed_rows<Facts::rows>(here, index, order, count, Block{w.dense.accumulators, c.runs, c.padded},
                                                               row_size, c.first, c.length);
    });
  }
  static void add_up(const Binding<P>& b, Worker& worker, const Layout& w, long first_output, long outputs) {
    Binding<P> here = b, there = b;
    const long strips = Facts::template all_chunks<Width>(b);
    for (long s = worker.next(); s < strips; s = worker.next()) {
      Facts::template with_chunk<Width>(b, s, [&](auto g, long number) {
        const auto ahead = [&](long u) {
          if (u < w.groups.count) return pieces_of(b, w.groups.used[u], s, there);
          return s + worker.count() < strips ? pieces_of(b, w.groups.used[0], s + worker.count(), there) : Pieces{};
        };
        add_up_strip<g>(b, here, w, first_output, outputs, number, ahead);
      });
    }
  }
  template <int g, class Next> [[gnu::noinline]] static void add_up_strip(const Binding<P>& b, Binding<P>& here, const Layout& w,
                                                                          long first_output, long outputs, long number, Next ahead) {
    Index<P> index;
    const Chunk c = Facts::template begin_chunk<Width, g>(b, number, index);
    const long row_size = contractions<g> * c.runs * c.padded, size = c.runs * c.padded;
    std::fill(w.sums, w.sums + outputs * size, 0.f);
    for (long u = 0; u < w.groups.count; ++u) {
      const long e = w.groups.used[u];
      Facts::enter(b, e, here);
      multiply_strip<g>(here, w, e, number, c, ahead(u + 1), [&](const std::int32_t* order, long count) {
        RowSums<P, k, g>::add(b, index, order, count, w.dense.accumulators, row_size, c, first_output, w.sums);
      });
    }
    Epilogue<P, k, g>::template run_rows<Facts::outputs>(b, index, first_output, outputs, Block{w.sums, c.runs, c.padded}, size, c.first,
                                                         c.length);
  }
};

}  // namespace weft::cpu
