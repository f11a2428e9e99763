// contraction_few: the skeleton contraction where there are few rows: weights are streamed once from where they lie.
#pragma once
#include <weft/cpu/contraction_facts.hpp>
#include <weft/cpu/team.hpp>

namespace weft::cpu {

template <class P, int k> struct ContractionOfFewRows {
  using Facts = ContractionFacts<P, k>;
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& kernel = plan.kernel[k];
  static constexpr int most_rows = 8;

  template <int g> static constexpr int contractions = Facts::template contractions<g>;
  template <int l> using LeftOperand = typename Facts::template LeftOperand<l>;
  using Chunk = typename Facts::Chunk;
  using Invariants = ColumnInvariants<P, k>;
  // Several weights are read by turns: the longer a chunk's piece of each, the less the changes cost. Smaller chunks balance better.
  struct Width {
    template <int g> static constexpr long columns = contractions<g> > 1 ? 128 : 32;
  };

  static bool suits(const Binding<P>& b) {
    return count_of<P, Facts::rows>(b) <= most_rows &&
           !Facts::right_operands_are(b, [](RightLayout l) { return l != RightLayout::depth_contiguous; });
  }

  // ---- workspace: each thread has its own
  struct Layout {
    float* rows;          // [left operand][row][longest row], and a row of floats on its way to digits
    float* accumulators;  // [row][contraction][run][column]
    float* invariants;    // of each row
  };
  // digits take less than the floats that they stand for
  static long row_size(long n) { return round_up(n, 64); }
  static_assert(sizeof(DigitGroup) <= DigitGroup::elements * sizeof(float));
  static Layout layout(const Binding<P>& b, int threads, int thread, Arena& arena) {
    Layout w{};
    const long longest = Facts::longest_row(b);
    long block = 0;
    unroll<kernel.segments>([&](auto g) {
      using C = Columns<P, k, g>;
      const long length = round_up(C::run_length(b, Width::template columns<g>), Facts::tile_columns);
      block = std::max(block, contractions<g> * C::runs(b) * length * most_rows);
    });
    for (int t = 0; t < threads; ++t) {
      float* rows = arena.take<float>((kernel.lefts * most_rows + 1) * row_size(longest));
      float* accumulators = arena.take<float>(block);
      float* invariants = arena.take<float>(most_rows * Invariants::row_size(b));
      if (t == thread) w = {rows, accumulators, invariants};
    }
    return w;
  }

  static void run(const Binding<P>& b, Worker& worker, const Layout& w, const Index<P>& start) {
    const long count = count_of<P, Facts::rows>(b), chunks = Facts::template all_chunks<Width>(b),
               longest = row_size(Facts::longest_row(b));
    const void* left[kernel.lefts][most_rows];  // every thread stages the rows for itself: no barrier, and they are in its own cache
    unroll<kernel.lefts>([&](auto l) {
      using L = LeftOperand<l>;
      using E = typename L::FewElement;
      Index<P> index = start;
      float* rows = w.rows + l * most_rows * longest;
      if constexpr (L::in_digits) {
        auto* groups = reinterpret_cast<DigitGroup*>(rows);
        const long side_by_side = FewRows<E, any_block>::stride(count);
        if (side_by_side > count) std::memset(static_cast<void*>(groups), 0, static_cast<std::size_t>(most_rows * longest) * sizeof(float));
        for (long r = 0; r < count; ++r) {
          decode<P, Facts::rows>(b, r, index);
          evaluate_digits<P, L::node, L::depth, StatisticsOf<P, k, l>::list>(b, index, w.rows + kernel.lefts * most_rows * longest,
                                                                             groups + r, side_by_side);
        }
        for (const void*& row : left[l]) row = groups;
      } else {
        const void* last = nullptr;  // rows are computed in groups; the last one fills up its group
        for (long r = 0; r < most_rows; ++r) {
          if (r >= count) {
            left[l][r] = last;
            continue;
          }
          decode<P, Facts::rows>(b, r, index);
          const void* here = nullptr;
          if constexpr (plan.node[L::node].kind == NodeKind::leaf && std::is_same_v<E, typename type_of<plan.node[L::node].dtype>::type>)
            here = in_place<P, L::node, L::depth>(b, index);
          if (!here) {
            E* staged = reinterpret_cast<E*>(rows + r * longest);
            // rounds nothing: a row that is multiplied in bf16 is made of bf16 numbers
            evaluate_row<P, L::node, L::depth, StatisticsOf<P, k, l>::list>(b, index, staged);
            here = staged;
          }
          left[l][r] = last = here;
        }
      }
    });
    if constexpr (Invariants::all.count > 0) {
      Index<P> index = start;
      for (long r = 0; r < count; ++r) {
        decode<P, Facts::rows>(b, r, index);
        Invariants::evaluate(b, index, w.invariants + r * Invariants::row_size(b));
      }
    }
    for (long c = worker.next_of(chunks); c < chunks; c = worker.next_of(chunks))
      Facts::template with_chunk<Width>(b, c, [&](auto g, long number) { chunk<g>(b, w, start, left, count, number); });
  }
  template <int g> [[gnu::noinline]] static void chunk(const Binding<P>& b, const Layout& w, const Index<P>& start,
                                                       const void* const (&left)[kernel.lefts][most_rows], long count, long number) {
    using C = Columns<P, k, g>;
    Index<P> index = start;
    const Chunk c = Facts::template begin_chunk<Width, g>(b, number, index);
    const long row_size = contractions<g> * c.runs * c.padded;
    unroll<contractions<g>>([&](auto i) {
      constexpr int l = kernel.segment[g].left_of[i], contraction = kernel.segment[g].contraction[i];
      if constexpr (Operands<P, contraction>::right_is_leaf) {
        using L = LeftOperand<l>;
        using E = typename L::FewElement;
        using A = LeafAccess<P, Operands<P, contraction>::right>;
        const E* row[most_rows];
        for (int r = 0; r < most_rows; ++r) row[r] = static_cast<const E*>(left[l][r]);
        const long depth = L::k_of(b), step = A::template step<C::inner>(b);
        const FewRows<E, typename A::T> few(count);
        for (long o = 0; o < c.runs; ++o) {
          decode<P, C::list, C::outer, C::last>(b, o, index);
          index[C::inner] = c.first;
          few.products(row, A::data(b) + A::offset(b, index), step, c.length, depth, w.accumulators + (i * c.runs + o) * c.padded,
                       row_size);
        }
        for (int a = C::outer; a <= C::last; ++a) index[C::list.axis[a]] = 0;
      }
    });
    Epilogue<P, k, g>::template run_rows<Facts::rows>(b, index, 0, count, Block{w.accumulators, c.runs, c.padded, 0, 0, w.invariants},
                                                      row_size, c.first, c.length);
  }
};

}  // namespace weft::cpu
