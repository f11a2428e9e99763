// contraction: sums of products with any prologue on the left, any number of right operands and any epilogue. Many rows: left rows are
// packed once per block, each piece of work packs its columns and runs the micro-kernel over all rows. Few rows: weights are streamed once.
#pragma once
#include <weft/cpu/epilogue.hpp>
#include <weft/cpu/team.hpp>

#include <algorithm>

namespace weft::cpu {

template <class P, int k> struct ContractionKernel {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& kernel = plan.kernel[k];
  static constexpr int most_few_rows = 8;
  static constexpr long few_columns = 32;       // of a piece of work with few rows
  static constexpr long panel_bytes = 4 << 20;  // of left panels in a block of rows: they stay in the caches while all columns pass

  // ---- facts about the operands
  static constexpr int first_with_left(int l) {
    for (int g = 0; g < kernel.segments; ++g)
      for (int i = 0; i < kernel.segment[g].contractions; ++i)
        if (kernel.segment[g].left_of[i] == l) return kernel.segment[g].contraction[i];
    return -1;
  }
  template <int l> struct LeftOperand {
    static constexpr int node = kernel.left[l].node, contraction = first_with_left(l);
    static constexpr AxisList depth = ordered_below(plan, kernel.left[l].bound, plan.node[contraction].operand[1]);
    static constexpr bool in_bf16 = [] {
      bool all = true;
      for (int g = 0; g < kernel.segments; ++g)
        for (int i = 0; i < kernel.segment[g].contractions; ++i)
          if (kernel.segment[g].left_of[i] == l) all = all && multiplies_bf16(plan, kernel.segment[g].contraction[i]);
      return all;
    }();
    using Element = std::conditional_t<in_bf16, bf16, float>;
    using Kernel = MicroKernel<Element>;
    static long k_of(const Binding<P>& b) { return count_of<P, depth>(b); }
  };
  static constexpr auto& some_store = plan.store[kernel.segment[0].store[0]];
  static constexpr AxisList rows = [] {
    constexpr auto& left = plan.node[kernel.left[0].node];
    return left.kind == NodeKind::leaf ? ordered(plan, kernel.rows & ~kernel.batch, left)
                                       : ordered(plan, kernel.rows & ~kernel.batch, some_store);
  }();
  static constexpr AxisList batch = ordered(plan, kernel.batch, some_store);
  static constexpr int tile_rows = MicroKernel<float>::rows;
  static_assert(!has_bf16_dot || MicroKernel<PackedAs<bf16>>::rows == tile_rows, "all micro-kernels of an instruction set share the tile");
  static constexpr long tile_columns = MicroKernel<float>::cols;

  template <int g> static constexpr int contractions = kernel.segment[g].contractions;
  template <int g> static long many_columns() { return contractions<g> == 1 ? 2 * tile_columns : tile_columns; }

  // ---- workspace: left panels that all threads share, then for each thread a row, a block of accumulators and right panels
  struct Layout {
    void* panel[4]{};
    float* row;
    float* block;
    std::byte* right;
    float* evaluated;
  };
  static long longest_row(const Binding<P>& b) {
    long n = 0;
    unroll<kernel.lefts>([&](auto l) { n = std::max(n, LeftOperand<l>::k_of(b)); });
    return n;
  }
  static long row_block(const Binding<P>& b) {
    long bytes = 0;
    unroll<kernel.lefts>([&](auto l) { bytes += LeftOperand<l>::k_of(b) * static_cast<long>(sizeof(typename LeftOperand<l>::Element)); });
    const long fit = panel_bytes / std::max(bytes, 1L) / tile_rows * tile_rows;
    return std::min(std::max(fit, 8L * tile_rows), round_up(count_of<P, rows>(b), tile_rows));
  }
  static Layout layout(const Binding<P>& b, int threads, int thread, Arena& arena, bool few) {
    Layout w;
    const long longest = longest_row(b), tiles = row_block(b) / tile_rows;
    unroll<kernel.lefts>([&](auto l) {
      using L = LeftOperand<l>;
      w.panel[l] = few ? nullptr : arena.take<typename L::Element>(tiles * L::Kernel::left_size(L::k_of(b)));
    });
    long block = 0, right = 0;
    unroll<kernel.segments>([&](auto g) {
      using C = Columns<P, k, g>;
      const long length = round_up(C::run_length(b, few ? few_columns : many_columns<g>()), tile_columns);
      block = std::max(block, contractions<g> * C::runs(b) * length * (few ? most_few_rows : tile_rows));
      long bytes = 0;
      unroll<contractions<g>>([&](auto i) {
        using L = LeftOperand<kernel.segment[g].left_of[i]>;
        bytes += C::runs(b) * (length / tile_columns) *
                 round_up(L::Kernel::right_size(L::k_of(b)) * static_cast<long>(sizeof(typename L::Element)), 64);
      });
      right = std::max(right, bytes);
    });
    for (int t = 0; t < threads; ++t) {
      float* row = arena.take<float>(few ? kernel.lefts * most_few_rows * round_up(longest, 64) : longest);
      float* acc = arena.take<float>(block);
      std::byte* panels = few ? nullptr : arena.take<std::byte>(right);
      float* evaluated = few || !must_evaluate(b) ? nullptr : arena.take<float>(longest * tile_columns);
      if (t == thread) {
        w.row = row;
        w.block = acc;
        w.right = panels;
        w.evaluated = evaluated;
      }
    }
    return w;
  }
  static bool must_evaluate(const Binding<P>& b) {
    return right_operands_are(b, [](RightLayout l) { return l == RightLayout::any; });
  }
  template <class F> static bool right_operands_are(const Binding<P>& b, F any_of) {
    bool found = false;
    unroll<kernel.segments>([&](auto g) {
      unroll<contractions<g>>([&](auto i) {
        using L = LeftOperand<kernel.segment[g].left_of[i]>;
        found = found || any_of(right_layout<P, kernel.segment[g].contraction[i], Columns<P, k, g>::inner, L::depth>(b));
      });
    });
    return found;
  }
  static bool is_few(const Binding<P>& b) {
    return count_of<P, rows>(b) <= most_few_rows &&
           !right_operands_are(b, [](RightLayout l) { return l != RightLayout::depth_contiguous; });
  }
  // enough for these rows and for any fewer
  static std::size_t workspace(const Binding<P>& b, int threads) {
    Arena many, few;
    layout(b, threads, 0, many, false);
    layout(b, threads, 0, few, true);
    return std::max(many.used(), few.used());
  }

  static void run(const Binding<P>& b, Worker& worker, std::byte* memory) {
    if (count_of<P, rows>(b) == 0) return;
    Arena arena(memory);
    const bool few = is_few(b);
    const Layout w = layout(b, worker.count(), worker.number(), arena, few);
    const long batches = count_of<P, batch>(b);
    for (long n = 0; n < batches; ++n) {
      Index<P> index;
      decode<P, batch>(b, n, index);
      if (n > 0) worker.sync();
      if (few)
        few_rows(b, worker, w, index);
      else
        many_rows(b, worker, w, index);
    }
  }

  // a piece of work is a chunk of columns; `number` counts through the segments
  template <class F> static void with_chunk(const Binding<P>& b, long number, bool few, F f) {
    unroll<kernel.segments>([&](auto g) {
      const long n = Columns<P, k, g>::chunks(b, few ? few_columns : many_columns<g>());
      if (number >= 0 && number < n) f(g, number);
      number -= n;
    });
  }
  static long all_chunks(const Binding<P>& b, bool few) {
    long n = 0;
    unroll<kernel.segments>([&](auto g) { n += Columns<P, k, g>::chunks(b, few ? few_columns : many_columns<g>()); });
    return n;
  }
  struct Chunk {
    long first, length, runs, padded;
  };
  template <int g> static Chunk begin_chunk(const Binding<P>& b, long number, bool few, Index<P>& index) {
    using C = Columns<P, k, g>;
    const long wanted = C::run_length(b, few ? few_columns : many_columns<g>()), n = extent_of<P, C::inner>(b),
               per_row = (n + wanted - 1) / wanted;
    decode<P, C::list, 0, C::outer>(b, number / per_row, index);
    const long first = number % per_row * wanted;
    return {first, std::min(wanted, n - first), C::runs(b), round_up(wanted, tile_columns)};
  }

  // ---- many rows
  static void many_rows(const Binding<P>& b, Worker& worker, const Layout& w, const Index<P>& start) {
    const long count = count_of<P, rows>(b), block = row_block(b), chunks = all_chunks(b, false);
    for (long first = 0; first < count; first += block) {
      if (first > 0) worker.sync();  // all are done with the panels
      const long n = std::min(block, count - first), tiles = (n + tile_rows - 1) / tile_rows;
      for (long t = worker.next(); t < tiles; t = worker.next())
        pack_tile(b, w, start, first, t, std::min<long>(tile_rows, n - t * tile_rows));
      worker.sync();
      for (long c = worker.next(); c < chunks; c = worker.next())
        with_chunk(b, c, false, [&](auto g, long number) { many_chunk<g>(b, w, start, first, n, number); });
    }
  }
  [[gnu::noinline]] static void pack_tile(const Binding<P>& b, const Layout& w, const Index<P>& start, long first, long tile, long n) {
    unroll<kernel.lefts>([&](auto l) {
      using L = LeftOperand<l>;
      using E = typename L::Element;
      const long depth = L::k_of(b);
      E* panel = static_cast<E*>(w.panel[l]) + tile * L::Kernel::left_size(depth);
      Index<P> index = start;
      if constexpr (plan.node[L::node].kind == NodeKind::leaf && rows.count == 1) {
        index[rows.axis[0]] = first + tile * tile_rows;
        if (const auto* p = in_place<P, L::node, L::depth>(b, index)) {
          pack_left<E>(p, LeafAccess<P, L::node>::template step<rows.axis[0]>(b), depth, static_cast<int>(n), panel);
          return;
        }
      }
      for (long r = 0; r < n; ++r) {
        decode<P, rows>(b, first + tile * tile_rows + r, index);
        evaluate_row<P, L::node, L::depth, StatisticsOf<P, k, l>::list>(b, index, w.row);
        pack_left_row<E>(w.row, depth, static_cast<int>(r), panel);
      }
    });
  }
  template <int g> [[gnu::noinline]] static void many_chunk(const Binding<P>& b, const Layout& w, const Index<P>& start, long first_row,
                                                            long count, long number) {
    using C = Columns<P, k, g>;
    Index<P> index = start;
    const Chunk c = begin_chunk<g>(b, number, false, index);
    const long panels = (c.length + tile_columns - 1) / tile_columns;
    std::byte* right = w.right;
    std::byte* right_of[contractions<g>];
    unroll<contractions<g>>([&](auto i) {
      using L = LeftOperand<kernel.segment[g].left_of[i]>;
      using E = typename L::Element;
      right_of[i] = right;
      const long size = round_up(L::Kernel::right_size(L::k_of(b)) * static_cast<long>(sizeof(E)), 64);
      for (long o = 0; o < c.runs; ++o) {
        decode<P, C::list, C::outer, C::last>(b, o, index);
        for (long p = 0; p < panels; ++p, right += size)
          pack_right<P, kernel.segment[g].contraction[i], C::inner, L::depth>(
              b, index, c.first + p * tile_columns, static_cast<int>(std::min(tile_columns, c.length - p * tile_columns)), w.evaluated,
              reinterpret_cast<E*>(right));
      }
      for (int a = C::outer; a <= C::last; ++a) index[C::list.axis[a]] = 0;
    });
    const long row_size = contractions<g> * c.runs * c.padded;
    for (long t = 0; t * tile_rows < count; ++t) {
      const int n = static_cast<int>(std::min<long>(tile_rows, count - t * tile_rows));
      unroll<contractions<g>>([&](auto i) {
        constexpr int l = kernel.segment[g].left_of[i];
        using L = LeftOperand<l>;
        using E = typename L::Element;
        const long depth = L::k_of(b), size = round_up(L::Kernel::right_size(depth) * static_cast<long>(sizeof(E)), 64);
        const E* left = static_cast<const E*>(w.panel[l]) + t * L::Kernel::left_size(depth);
        for (long o = 0; o < c.runs; ++o)
          for (long p = 0; p < panels; ++p)
            L::Kernel::tile(n, left, reinterpret_cast<const E*>(right_of[i] + (o * panels + p) * size), depth,
                            w.block + (i * c.runs + o) * c.padded + p * tile_columns, row_size, false);
      });
      for (int r = 0; r < n; ++r) {
        decode<P, rows>(b, first_row + t * tile_rows + r, index);
        Epilogue<P, k, g>::run(b, index, Block{w.block + r * row_size, c.runs, c.padded}, c.first, c.length);
      }
    }
  }

  // ---- few rows
  static void few_rows(const Binding<P>& b, Worker& worker, const Layout& w, const Index<P>& start) {
    const long count = count_of<P, rows>(b), chunks = all_chunks(b, true), longest = round_up(longest_row(b), 64);
    const void* left[kernel.lefts][most_few_rows];  // every thread stages the rows for itself: no barrier, and they are in its own cache
    unroll<kernel.lefts>([&](auto l) {
      using L = LeftOperand<l>;
      using E = typename L::Element;
      Index<P> index = start;
      const void* last = nullptr;  // rows are computed in groups; the last one fills up its group
      for (long r = 0; r < most_few_rows; ++r) {
        if (r >= count) {
          left[l][r] = last;
          continue;
        }
        decode<P, rows>(b, r, index);
        const void* here = nullptr;
        if constexpr (plan.node[L::node].kind == NodeKind::leaf && plan.node[L::node].dtype == dtype_of<E>)
          here = in_place<P, L::node, L::depth>(b, index);
        if (!here) here = stage_row<l>(b, index, w.row + (l * most_few_rows + r) * longest);
        left[l][r] = last = here;
      }
    });
    for (long c = worker.next(); c < chunks; c = worker.next())
      with_chunk(b, c, true, [&](auto g, long number) { few_chunk<g>(b, w, start, left, count, number); });
  }
  // evaluates the row of left operand l that index stands at into `staged`, in the format of its products
  template <int l> static const void* stage_row(const Binding<P>& b, Index<P>& index, float* staged) {
    using L = LeftOperand<l>;
    using E = typename L::Element;
    evaluate_row<P, L::node, L::depth, StatisticsOf<P, k, l>::list>(b, index, staged);
    if constexpr (!std::is_same_v<E, float>) {  // rounds nothing: the row is made of bf16 numbers
      E* narrow = reinterpret_cast<E*>(staged);
      for (long at = 0, n = L::k_of(b); at < n; at += Packet::lanes) {
        const Packet v = load(staged + at, n - at);
        store(narrow + at, v, n - at);
      }
    }
    return staged;
  }
  template <int g> [[gnu::noinline]] static void few_chunk(const Binding<P>& b, const Layout& w, const Index<P>& start,
                                                           const void* const (&left)[kernel.lefts][most_few_rows], long count,
                                                           long number) {
    using C = Columns<P, k, g>;
    Index<P> index = start;
    const Chunk c = begin_chunk<g>(b, number, true, index);
    const long row_size = contractions<g> * c.runs * c.padded;
    unroll<contractions<g>>([&](auto i) {
      constexpr int l = kernel.segment[g].left_of[i], contraction = kernel.segment[g].contraction[i];
      if constexpr (Operands<P, contraction>::right_is_leaf) {
        using L = LeftOperand<l>;
        using E = typename L::Element;
        using A = LeafAccess<P, Operands<P, contraction>::right>;
        const E* row[most_few_rows];
        for (int r = 0; r < most_few_rows; ++r) row[r] = static_cast<const E*>(left[l][r]);
        const long depth = L::k_of(b), step = A::template step<C::inner>(b);
        const FewRows<E, typename A::T> few(count);
        for (long o = 0; o < c.runs; ++o) {
          decode<P, C::list, C::outer, C::last>(b, o, index);
          index[C::inner] = c.first;
          few.products(row, A::data(b) + A::offset(b, index), step, c.length, depth, w.block + (i * c.runs + o) * c.padded, row_size);
        }
        for (int a = C::outer; a <= C::last; ++a) index[C::list.axis[a]] = 0;
      }
    });
    for (long r = 0; r < count; ++r) {
      decode<P, rows>(b, r, index);
      Epilogue<P, k, g>::run(b, index, Block{w.block + r * row_size, c.runs, c.padded}, c.first, c.length);
    }
  }
};

}  // namespace weft::cpu
