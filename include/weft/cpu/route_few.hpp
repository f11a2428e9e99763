// route_few: the skeleton route where there are few rows: of each group that has rows the right operands are streamed once, from where they
// lie; the others are not touched.
#pragma once
#include <weft/cpu/contraction_few.hpp>
#include <weft/cpu/route_groups.hpp>

namespace weft::cpu {

template <class P, int k> struct RouteOfFewRows {
  using Facts = RouteFacts<P, k>;
  using L = typename Facts::Left;
  using E = typename L::FewElement;
  using Chunk = typename Facts::Chunk;
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& kernel = plan.kernel[k];
  static constexpr int most_rows = 256, together = 8;
  // Few rows are also those that are few for each group: then packing costs more than reading a right operand once for every eight rows of a group.
  // 60 groups of 2048 x 1408 on a Zen 4: 68 to 256 rows take 45 to 80 % of the time of panels in bf16, 68 to
  // 128 rows in q4_0 73 to 94 %, 190 rows as long.
  static constexpr long certainly_few = 64, rows_of_each_group = L::in_digits ? 2 : 4;
  template <int g> static constexpr int contractions = Facts::template contractions<g>;
  // as where nothing is routed; pieces that are added up group by group are longer, because a change of group ends a stream
  struct Width {
    template <int g> static constexpr long columns = contractions<g> > 1 ? 128 : kernel.combined ? 64 : 32;
  };

  static bool suits(const Binding<P>& b) {
    const long rows = count_of<P, Facts::rows>(b);
    return rows <= most_rows && (rows <= certainly_few || rows <= rows_of_each_group * Facts::group_count(b)) &&
           !Facts::right_operands_are(b, [](RightLayout l) { return l != RightLayout::depth_contiguous; });
  }

  // ---- workspace: each thread has its own
  struct Layout {
    Groups groups;
    float* rows;          // left rows, one after the other
    float* scratch;       // one in floats, on its way to digits; then rows of digits side by side
    float* accumulators;  // [row][contraction][run][column]
    float* sums;          // [output row][run][column]
  };
  static long row_size(const Binding<P>& b) { return round_up(L::k_of(b), 64); }
  static Layout layout(const Binding<P>& b, int threads, int thread, Arena& arena) {
    Layout mine{};
    const long rows = std::min<long>(count_of<P, Facts::rows>(b), most_rows),
               outputs = std::min<long>(count_of<P, Facts::outputs>(b), rows);
    long block = 0, sums = 0;
    unroll<kernel.segments>([&](auto g) {
      using C = Columns<P, k, g>;
      const long size = C::runs(b) * round_up(C::run_length(b, Width::template columns<g>), Facts::tile_columns);
      block = std::max(block, contractions<g> * size * together);
      if (kernel.combined) sums = std::max(sums, outputs * size);
    });
    for (int t = 0; t < threads; ++t) {
      Layout w;
      w.groups = Facts::take(b, rows, arena);
      w.rows = arena.take<float>(rows * row_size(b));
      w.scratch = arena.take<float>(L::in_digits ? together * row_size(b) : 0);
      w.accumulators = arena.take<float>(block);
      w.sums = arena.take<float>(sums);
      if (t == thread) mine = w;
    }
    return mine;
  }

  static void run(const Binding<P>& b, Worker& worker, Layout& w, const Index<P>&) {  // what an index groups has no batches
    const long count = count_of<P, Facts::rows>(b), chunks = Facts::template all_chunks<Width>(b);
    Facts::sort(b, 0, count, w.groups);  // every thread for itself, as the rows: no barrier, and they are in its own cache
    const void* left[most_rows];
    stage(b, w, left);
    Binding<P> here = b;
    if constexpr (kernel.combined) {
      for (long c = worker.next_of(chunks); c < chunks; c = worker.next_of(chunks))
        Facts::template with_chunk<Width>(b, c, [&](auto g, long number) { add_up<g>(b, here, w, left, number); });
    } else {
      const long pieces = w.groups.count * chunks;
      long inside = -1;
      for (long n = worker.next_of(pieces); n < pieces; n = worker.next_of(pieces)) {
        const long e = w.groups.used[n / chunks];
        if (e != inside) Facts::enter(b, inside = e, here);
        Facts::template with_chunk<Width>(b, n % chunks, [&](auto g, long number) { store_chunk<g>(here, w, left, e, number); });
      }
    }
  }

 private:
  static void stage(const Binding<P>& b, const Layout& w, const void* (&left)[most_rows]) {
    using Statistics = StatisticsOf<P, k, 0>;
    const long count = count_of<P, Facts::left_rows>(b);
    for (long r = 0; r < count; ++r) {
      Index<P> index;
      decode<P, Facts::left_rows>(b, r, index);
      float* row = w.rows + r * row_size(b);
      left[r] = nullptr;
      if constexpr (L::in_digits) {
        evaluate_digits<P, L::node, L::depth, Statistics::list>(b, index, w.scratch, reinterpret_cast<DigitGroup*>(row), 1);
      } else {
        if constexpr (plan.node[L::node].kind == NodeKind::leaf && std::is_same_v<E, typename type_of<plan.node[L::node].dtype>::type>)
          left[r] = in_place<P, L::node, L::depth>(b, index);
        if (!left[r]) evaluate_row<P, L::node, L::depth, Statistics::list>(b, index, reinterpret_cast<E*>(row));
      }
      if (!left[r]) left[r] = row;
    }
  }
  // the left rows of rows [first, first + n) of a group, as the products want them
  static void gather_rows(const Binding<P>& b, const Layout& w, const void* const (&left)[most_rows], const std::int32_t* order, long n,
                          const E* (&row)[together]) {
    for (int r = 0; r < together; ++r) {
      Index<P> index;
      decode<P, Facts::rows>(b, order[r < n ? r : n - 1], index);  // the last one fills up its group
      row[r] = static_cast<const E*>(left[Facts::left_row(b, index)]);
    }
    if constexpr (L::in_digits) {
      const long step = FewRows<E, any_block>::stride(n), groups = L::k_of(b) / DigitGroup::elements;
      if (step == 1) return;
      auto* side_by_side = reinterpret_cast<DigitGroup*>(w.scratch);
      for (long i = 0; i < groups; ++i)
        for (long r = 0; r < step; ++r) side_by_side[i * step + r] = reinterpret_cast<const DigitGroup*>(row[r])[i];
      row[0] = static_cast<const E*>(static_cast<void*>(side_by_side));
    }
  }
  template <int g>
  static void multiply(const Binding<P>& here, const Layout& w, const E* const (&row)[together], long n, const Chunk& c, Index<P>& index) {
    using C = Columns<P, k, g>;
    const long row_size = contractions<g> * c.runs * c.padded;
    unroll<contractions<g>>([&](auto i) {
      using A = LeafAccess<P, Operands<P, kernel.segment[g].contraction[i]>::right>;
      const FewRows<E, typename A::T> few(n);
      for (long o = 0; o < c.runs; ++o) {
        decode<P, C::list, C::outer, C::last>(here, o, index);
        index[C::inner] = c.first;
        few.products(row, A::data(here) + A::offset(here, index), A::template step<C::inner>(here), c.length, L::k_of(here),
                     w.accumulators + (i * c.runs + o) * c.padded, row_size);
      }
      for (int a = C::outer; a <= C::last; ++a) index[C::list.axis[a]] = 0;
    });
  }
  template <int g> [[gnu::noinline]] static void store_chunk(const Binding<P>& here, const Layout& w, const void* const (&left)[most_rows],
                                                             long e, long number) {
    Index<P> index;
    const Chunk c = Facts::template begin_chunk<Width, g>(here, number, index);
    const long row_size = contractions<g> * c.runs * c.padded;
    for (long first = w.groups.start[e]; first < w.groups.start[e + 1]; first += together) {
      const long n = std::min<long>(w.groups.start[e + 1] - first, together);
      const E* row[together];
      gather_rows(here, w, left, w.groups.order + first, n, row);
      multiply<g>(here, w, row, n, c, index);
      Epilogue<P, k, g>::template run_listed_rows<Facts::rows>(here, index, w.groups.order + first, n,
                                                               Block{w.accumulators, c.runs, c.padded}, row_size, c.first, c.length);
    }
  }
  template <int g> [[gnu::noinline]] static void add_up(const Binding<P>& b, Binding<P>& here, const Layout& w,
                                                        const void* const (&left)[most_rows], long number) {
    Index<P> index;
    const Chunk c = Facts::template begin_chunk<Width, g>(b, number, index);
    const long row_size = contractions<g> * c.runs * c.padded, size = c.runs * c.padded, outputs = count_of<P, Facts::outputs>(b);
    std::fill(w.sums, w.sums + outputs * size, 0.f);
    for (long u = 0; u < w.groups.count; ++u) {
      const long e = w.groups.used[u];
      Facts::enter(b, e, here);
      for (long first = w.groups.start[e]; first < w.groups.start[e + 1]; first += together) {
        const long n = std::min<long>(w.groups.start[e + 1] - first, together);
        const E* row[together];
        gather_rows(here, w, left, w.groups.order + first, n, row);
        multiply<g>(here, w, row, n, c, index);
        RowSums<P, k, g>::add(b, index, w.groups.order + first, n, w.accumulators, row_size, c, 0, w.sums);
      }
    }
    Epilogue<P, k, g>::template run_rows<Facts::outputs>(b, index, 0, outputs, Block{w.sums, c.runs, c.padded}, size, c.first, c.length);
  }
};

}  // namespace weft::cpu
