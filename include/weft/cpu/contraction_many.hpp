// contraction_many: the skeleton contraction where there are many rows. All threads pack the left rows into panels; then each strip of
// columns is packed by one thread, and the micro-kernel runs over all rows, in parts that other threads take when they have no strip of
// their own left.
//
// What lies where: a block of right panels (strip_block_bytes) stays in the second-level cache while the rows of a part pass; left panels
// and the rest of the strip stream from the caches beyond. Where k is cut into blocks, the accumulators wait in memory in f32, so the
// blocks do not show in the sums: every sum runs over k from the first to the last, whatever the blocks. The columns of a thread's next strip
// are fetched from memory while it multiplies.
#pragma once
#include <weft/cpu/contraction_facts.hpp>
#include <weft/cpu/strips.hpp>
#include <weft/cpu/team.hpp>

#include <cstring>

namespace weft::cpu {

template <class P, int k> struct ContractionOfManyRows {
  using Facts = ContractionFacts<P, k>;
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& kernel = plan.kernel[k];
  static constexpr int tile_rows = Facts::tile_rows;
  static constexpr long tile_columns = Facts::tile_columns;
  static constexpr long most_panel_bytes = 16 << 20;  // of left panels: more rows are done in several blocks, which pack the columns again
  static constexpr long fewest_rows = 256;            // of such a block
  // Vector registers: narrow strips, so that few of them balance well. Tile registers multiply so fast that left panels have to be used for
  // more columns each time they come from beyond the second-level cache.
  static constexpr bool has_tile_registers = tile_rows > register_rows;
  static constexpr long strip_panels = has_tile_registers ? 8 : 2;
  static constexpr long strip_block_bytes = strip_panels << 16;  // of right panels
  static constexpr long part_tiles = 4;

  template <int g> static constexpr int contractions = Facts::template contractions<g>;
  template <int g, int i> using LeftOf = typename Facts::template LeftOf<g, i>;
  using Chunk = typename Facts::Chunk;
  using Invariants = ColumnInvariants<P, k>;
  struct Width {
    template <int g> static constexpr long columns = std::max<long>(strip_panels / (contractions<g> == 1 ? 1 : 2) * tile_columns,
                                                                    Facts::template columns_stored_together<g>);
  };

  // ---- workspace
  struct Layout {
    void* panel[4]{};         // of all threads: left panels, by left operand
    Strip* strips = nullptr;  // of all threads
    float* invariants;        // of all threads: of each row
    std::byte* right;         // right panels: of each thread right_bytes
    long right_bytes;
    void* staged = nullptr;      // the rest is this thread's own: rows on their way into a left panel
    float* accumulators;         // [row of a part][contraction][run][column]
    float* evaluated = nullptr;  // columns that are not plain leaves
  };
  static long block_of_rows(const Binding<P>& b) {
    long bytes = 0;
    unroll<kernel.lefts>([&](auto l) {
      using L = typename Facts::template LeftOperand<l>;
      bytes += L::k_of(b) * static_cast<long>(sizeof(typename L::Element));
    });
    const long count = count_of<P, Facts::rows>(b), most = std::max(most_panel_bytes / std::max(bytes, 1L), fewest_rows);
    const long blocks = (count + most - 1) / most;
    return round_up((count + blocks - 1) / std::max(blocks, 1L), tile_rows);
  }
  template <int g, int i> static long panel_bytes(const Binding<P>& b) {
    using L = LeftOf<g, i>;
    return round_up(L::Kernel::right_size(L::k_of(b)) * static_cast<long>(sizeof(typename L::Element)), 64);
  }
  static Layout layout(const Binding<P>& b, int threads, int thread, Arena& arena) {
    Layout w;
    const long longest = Facts::longest_row(b), tiles = block_of_rows(b) / tile_rows;
    unroll<kernel.lefts>([&](auto l) {
      using L = typename Facts::template LeftOperand<l>;
      w.panel[l] = arena.take<typename L::Element>(tiles * L::Kernel::left_size(L::k_of(b)));
    });
    w.strips = arena.take<Strip>(Facts::template all_chunks<Width>(b));
    w.invariants = arena.take<float>(tiles * tile_rows * Invariants::row_size(b));
    long accumulators = 0, right = 0;
    unroll<kernel.segments>([&](auto g) {
      using C = Columns<P, k, g>;
      const long length = round_up(C::run_length(b, Width::template columns<g>), tile_columns);
      accumulators = std::max(accumulators, contractions<g> * C::runs(b) * length * part_tiles * tile_rows);
      long bytes = 0;
      unroll<contractions<g>>([&](auto i) { bytes += C::runs(b) * (length / tile_columns) * panel_bytes<g, i>(b); });
      right = std::max(right, bytes);
    });
    w.right = arena.take<std::byte>(threads * right);
    w.right_bytes = right;
    const bool evaluates = Facts::right_operands_are(b, [](RightLayout l) { return l == RightLayout::any; });
    for (int t = 0; t < threads; ++t) {
      void* staged = arena.take<float>(tile_rows * longest);
      float* block = arena.take<float>(accumulators);
      float* evaluated = evaluates ? arena.take<float>(longest * tile_columns) : nullptr;
      if (t == thread) {
        w.staged = staged;
        w.accumulators = block;
        w.evaluated = evaluated;
      }
    }
    return w;
  }

  // ---- the order of work
  static void run(const Binding<P>& b, Worker& worker, const Layout& w, const Index<P>& start) {
    const long count = count_of<P, Facts::rows>(b), block = block_of_rows(b);
    for (long first = 0; first < count; first += block) {
      if (first > 0) worker.sync();  // all are done with the panels
      const RowBlock rows{first, std::min(block, count - first)};
      if (worker.number() == 0) Strip::reset(w.strips, Facts::template all_chunks<Width>(b));
      for (long t = worker.next(); t < rows.tiles(); t = worker.next()) pack_tile(b, w, start, rows, t);
      worker.sync();
      all_strips(b, worker, w, start, rows);
    }
  }
  struct RowBlock {
    long first, count;
    long tiles() const { return (count + tile_rows - 1) / tile_rows; }
    long parts() const { return (tiles() + part_tiles - 1) / part_tiles; }
  };
  static void all_strips(const Binding<P>& b, Worker& worker, const Layout& w, const Index<P>& start, RowBlock rows) {
    const long strips = Facts::template all_chunks<Width>(b), parts = rows.parts();
    const auto take_parts = [&](long s, int owner, const ColumnsAhead& soon) {
      Facts::template with_chunk<Width>(b, s, [&](auto g, long number) {
        for (long part = w.strips[s].take(parts); part < parts; part = w.strips[s].take(parts))
          multiply_part<g>(b, w, start, rows, part, number, w.right + owner * w.right_bytes, soon);
      });
    };
    for (long s = worker.next(); s < strips; s = worker.next()) {
      Facts::template with_chunk<Width>(
          b, s, [&](auto g, long number) { pack_strip<g>(b, w, start, number, w.right + worker.number() * w.right_bytes); });
      w.strips[s].open(worker.number());
      ColumnsAhead soon;  // of the strip that will probably be this thread's next
      Facts::template with_chunk<Width>(b, s + worker.count(), [&](auto g, long number) { soon = columns_ahead<g>(b, start, number); });
      take_parts(s, worker.number(), soon);
    }
    // nobody packs over panels from here on: a thread takes a new strip only as long as there are some
    for (long s = strips; s-- > 0;)
      if (const int owner = w.strips[s].owner(); w.strips[s].has(parts)) take_parts(s, owner, {});
  }

  // ---- packing
  [[gnu::noinline]] static void pack_tile(const Binding<P>& b, const Layout& w, const Index<P>& start, RowBlock block, long tile) {
    const long first = block.first + tile * tile_rows;
    const int n = static_cast<int>(std::min<long>(tile_rows, block.count - tile * tile_rows));
    unroll<kernel.lefts>([&](auto l) {
      using L = typename Facts::template LeftOperand<l>;
      using E = typename L::Element;
      const long depth = L::k_of(b);
      E* panel = static_cast<E*>(w.panel[l]) + tile * L::Kernel::left_size(depth);
      Index<P> index = start;
      if constexpr (plan.node[L::node].kind == NodeKind::leaf && Facts::rows.count == 1) {
        index[Facts::rows.axis[0]] = first;
        if (const auto* p = in_place<P, L::node, L::depth>(b, index)) {
          pack_left<E>(p, LeafAccess<P, L::node>::template step<Facts::rows.axis[0]>(b), depth, n, panel);
          return;
        }
      }
      if constexpr (L::in_digits && std::is_same_v<E, std::byte>) {
        check_groups<P, L::depth>(b);
        float* staged = static_cast<float*>(w.staged);
        if (n < tile_rows) std::memset(panel, 0, static_cast<std::size_t>(L::Kernel::left_size(depth)));  // rows that are not there
        for (int r = 0; r < n; ++r) {
          decode<P, Facts::rows>(b, first + r, index);
          evaluate_plain_row<P, plan.node[L::node].operand[0], L::depth, StatisticsOf<P, k, l>::list>(b, index, staged);
          L::Kernel::pack_left_row(staged, depth, r, panel);
        }
      } else {
        E* staged = static_cast<E*>(w.staged);  // rounds nothing: a row that is multiplied in bf16 is made of bf16 numbers
        for (long r = 0; r < n; ++r) {
          decode<P, Facts::rows>(b, first + r, index);
          evaluate_row<P, L::node, L::depth, StatisticsOf<P, k, l>::list>(b, index, staged + r * depth);
        }
        pack_left<E>(static_cast<const E*>(staged), depth, depth, n, panel);
      }
    });
    if constexpr (Invariants::all.count > 0) {
      Index<P> index = start;
      for (long r = 0; r < n; ++r) {
        decode<P, Facts::rows>(b, first + r, index);
        Invariants::evaluate(b, index, w.invariants + (tile * tile_rows + r) * Invariants::row_size(b));
      }
    }
  }
  template <int g>
  [[gnu::noinline]] static void pack_strip(const Binding<P>& b, const Layout& w, const Index<P>& start, long number, std::byte* right) {
    using C = Columns<P, k, g>;
    Index<P> index = start;
    const Chunk c = Facts::template begin_chunk<Width, g>(b, number, index);
    unroll<contractions<g>>([&](auto i) {
      using L = LeftOf<g, i>;
      for (long o = 0; o < c.runs; ++o) {
        decode<P, C::list, C::outer, C::last>(b, o, index);
        for (long at = 0; at < c.length; at += tile_columns, right += panel_bytes<g, i>(b))
          pack_right<P, kernel.segment[g].contraction[i], C::inner, L::depth>(b, index, c.first + at,
                                                                              static_cast<int>(std::min(tile_columns, c.length - at)),
                                                                              w.evaluated, reinterpret_cast<typename L::Element*>(right));
      }
      for (int a = C::outer; a <= C::last; ++a) index[C::list.axis[a]] = 0;
    });
  }

  // ---- columns that are packed soon, where they lie in memory: pieces, of which each tile of rows fetches a share
  struct ColumnsAhead {
    static constexpr int most = 4;
    Ahead piece[most];
    int count = 0;
    Ahead share(long number, long shares) const {
      if (count == 0) return {};
      constexpr long line = 64;
      const long turn = number * count;
      const Ahead& p = piece[turn / shares];
      const long lines = (p.bytes + line - 1) / line, from = turn % shares * lines / shares,
                 to = std::min((turn % shares + count) * lines / shares, lines);
      return {static_cast<const std::byte*>(p.first) + from * line, (to - from) * line};
    }
  };
  // of plain leaves whose columns follow each other
  template <int g> static ColumnsAhead columns_ahead(const Binding<P>& b, const Index<P>& start, long number) {
    using C = Columns<P, k, g>;
    Index<P> index = start;
    const Chunk c = Facts::template begin_chunk<Width, g>(b, number, index);
    index[C::inner] = c.first;
    ColumnsAhead ahead;
    unroll<contractions<g>>([&](auto i) { add_columns<g, i>(b, index, c, ahead); });
    return ahead;
  }
  template <int g, int i> static void add_columns(const Binding<P>& b, Index<P> index, const Chunk& c, ColumnsAhead& ahead) {
    constexpr int contraction = kernel.segment[g].contraction[i], right = Operands<P, contraction>::right;
    if constexpr (plan.node[right].kind == NodeKind::leaf && !is_block(plan.node[right].dtype)) {
      using C = Columns<P, k, g>;
      using A = LeafAccess<P, right>;
      const long depth = LeftOf<g, i>::k_of(b);
      if (right_layout<P, contraction, C::inner, LeftOf<g, i>::depth>(b) != RightLayout::depth_contiguous ||
          A::template step<C::inner>(b) != depth)
        return;
      for (long o = 0; o < c.runs && ahead.count < ColumnsAhead::most; ++o) {
        decode<P, C::list, C::outer, C::last>(b, o, index);
        ahead.piece[ahead.count++] = {A::data(b) + A::offset(b, index), c.length * depth * static_cast<long>(sizeof(typename A::T))};
      }
    }
  }

  // ---- multiplying
  // k values of a block, such that `panels` right panels of that depth take strip_block_bytes at most
  template <class L> static long depth_of_block(long depth, long panels) {
    if constexpr (std::is_same_v<typename L::Element, std::byte>) return depth;  // panels of digits are half as large, and stay whole
    constexpr long unit = 256;                                                   // blocks of whole steps of any micro-kernel
    const long bytes = panels * L::Kernel::right_size(unit) * static_cast<long>(sizeof(typename L::Element));
    const long most = std::max(strip_block_bytes / bytes, 1L) * unit, blocks = (depth + most - 1) / most;
    return blocks > 1 ? round_up((depth + blocks - 1) / blocks, unit) : depth;
  }
  template <int g> [[gnu::noinline]] static void multiply_part(const Binding<P>& b, const Layout& w, const Index<P>& start, RowBlock block,
                                                               long part, long number, const std::byte* right, const ColumnsAhead& soon) {
    Index<P> index = start;
    const Chunk c = Facts::template begin_chunk<Width, g>(b, number, index);
    const long panels = c.runs * ((c.length + tile_columns - 1) / tile_columns), row_size = contractions<g> * c.runs * c.padded;
    long together = 1;  // tiles whose accumulators wait in memory until all blocks of k are through
    unroll<contractions<g>>([&](auto i) {
      const long depth = LeftOf<g, i>::k_of(b);
      if (depth_of_block<LeftOf<g, i>>(depth, panels) < depth) together = part_tiles;
    });
    const long end = std::min(block.tiles(), (part + 1) * part_tiles);
    for (long tile = part * part_tiles; tile < end; tile += together) {
      const long count = std::min(std::min(end, tile + together) * tile_rows, block.count) - tile * tile_rows;
      using Last = Epilogue<P, k, g>;
      const long first = block.first + tile * tile_rows;
      Last::template prefetch<Facts::rows>(b, index, first, count, c.first, c.length);
      multiply_tiles<g>(b, w, tile, count, c, right, [&](long r) { return soon.share(tile + r / tile_rows, block.tiles()); });
      const float* invariants = w.invariants + tile * tile_rows * Invariants::row_size(b);
      Last::template run_rows<Facts::rows>(b, index, first, count, Block{w.accumulators, c.runs, c.padded, 0, 0, invariants}, row_size,
                                           c.first, c.length);
    }
  }
  // contraction i is the first of a tile that reads its left panel
  template <int g> static constexpr bool reads_left_first(int i) {
    for (int j = 0; j < i; ++j)
      if (kernel.segment[g].left_of[j] == kernel.segment[g].left_of[i]) return false;
    return true;
  }
  // the accumulators of `count` rows from the first of `tile` on; soon(r): what else the tile at row r fetches
  template <int g, class Soon> static void multiply_tiles(const Binding<P>& b, const Layout& w, long tile, long count, const Chunk& c,
                                                          const std::byte* right, Soon soon) {
    const long panels = (c.length + tile_columns - 1) / tile_columns, row_size = contractions<g> * c.runs * c.padded;
    unroll<contractions<g>>([&](auto i) {
      constexpr int l = kernel.segment[g].left_of[i];
      using L = LeftOf<g, i>;
      using E = typename L::Element;
      const long depth = L::k_of(b), size = panel_bytes<g, i>(b), block = depth_of_block<L>(depth, c.runs * panels);
      const E* left = static_cast<const E*>(w.panel[l]) + tile * L::Kernel::left_size(depth);
      for (long at = 0; at < depth; at += block) {
        const long length = std::min(block, depth - at), left_at = L::Kernel::left_size(at),
                   right_at = at == 0 ? 0 : L::Kernel::right_size(at);
        for (long r = 0; r < count; r += tile_rows) {
          const E* panel = left + r / tile_rows * L::Kernel::left_size(depth) + left_at;
          const E* next = r + tile_rows < count ? panel + L::Kernel::left_size(depth)
                          : at + block < depth  ? left + L::Kernel::left_size(at + block)
                                                : panel - left_at + L::Kernel::left_size(depth);
          for (long o = 0; o < c.runs; ++o)
            for (long p = 0; p < panels; ++p) {
              Ahead ahead;  // the next left panel, beginning with the first use of this one; then a share of what is packed soon
              if (o == 0 && p == 0 && (reads_left_first<g>(i) || block < depth))
                ahead = {next, L::Kernel::left_size(length) * static_cast<long>(sizeof(E))};
              else if (at == 0)
                ahead = soon(r);
              L::Kernel::tile(static_cast<int>(std::min<long>(tile_rows, count - r)), panel,
                              reinterpret_cast<const E*>(right + (o * panels + p) * size) + right_at, length,
                              w.accumulators + r * row_size + (i * c.runs + o) * c.padded + p * tile_columns, row_size, at > 0, ahead);
            }
        }
      }
      right += c.runs * panels * size;
    });
  }
};

}  // namespace weft::cpu
