// contraction_facts: what the skeleton contraction knows about its operands before it runs: the format in which each left operand is
// multiplied, the loops over rows, and the pieces of work (chunks of columns).
#pragma once
#include <weft/cpu/epilogue.hpp>

#include <algorithm>

namespace weft::cpu {

template <class P, int k> struct ContractionFacts {
  static constexpr auto& plan = plan_of<P>;
  static constexpr auto& kernel = plan.kernel[k];

  // ---- left operands
  static constexpr int first_with_left(int l) {
    for (int g = 0; g < kernel.segments; ++g)
      for (int i = 0; i < kernel.segment[g].contractions; ++i)
        if (kernel.segment[g].left_of[i] == l) return kernel.segment[g].contraction[i];
    return -1;
  }
  template <int l> struct LeftOperand {
    static constexpr int node = kernel.left[l].node, contraction = first_with_left(l);
    static constexpr AxisList depth = ordered_below(plan, kernel.left[l].bound, plan.node[contraction].operand[1]);
    template <class Test> static constexpr bool all(Test test) {  // of the contractions with this operand
      bool passed = true;
      for (int g = 0; g < kernel.segments; ++g)
        for (int i = 0; i < kernel.segment[g].contractions; ++i)
          if (kernel.segment[g].left_of[i] == l) passed = passed && test(kernel.segment[g].contraction[i]);
      return passed;
    }
    static constexpr bool in_digits = all([](int c) { return multiplies_digits(plan, c); }),
                          in_bf16 = all([](int c) { return multiplies_bf16(plan, c); });
    // hardware tiles multiply bf16 at full speed, and whole numbers in blocks at less than half of theirs (micro_amx.hpp)
    using FewFormat = std::conditional_t<in_digits, digits, std::conditional_t<in_bf16, bf16, float>>;
    using Format = std::conditional_t<in_digits && isa == Isa::avx512_amx, bf16, FewFormat>;
    using FewElement = ElementOf<FewFormat>;
    using Element = ElementOf<Format>;
    using Kernel = MicroKernel<Format>;
    static long k_of(const Binding<P>& b) { return count_of<P, depth>(b); }
  };
  template <int g, int i> using LeftOf = LeftOperand<kernel.segment[g].left_of[i]>;
  static long longest_row(const Binding<P>& b) {
    long n = 0;
    unroll<kernel.lefts>([&](auto l) { n = std::max(n, LeftOperand<l>::k_of(b)); });
    return n;
  }
  template <class F> static bool right_operands_are(const Binding<P>& b, F any_of) {
    bool found = false;
    unroll<kernel.segments>([&](auto g) {
      unroll<contractions<g>>([&](auto i) {
        found = found || any_of(right_layout<P, kernel.segment[g].contraction[i], Columns<P, k, g>::inner, LeftOf<g, i>::depth>(b));
      });
    });
    return found;
  }

  // ---- rows
  static constexpr auto& some_store = plan.store[kernel.segment[0].store[0]];
  static constexpr AxisList rows = [] {
    constexpr auto& left = plan.node[kernel.left[0].node];
    return left.kind == NodeKind::leaf ? ordered(plan, kernel.rows & ~kernel.batch, left)
                                       : ordered(plan, kernel.rows & ~kernel.batch, some_store);
  }();
  static constexpr AxisList batch = ordered(plan, kernel.batch, some_store);

  // ---- columns: a piece of work is a chunk of columns; its number counts
  // through the segments. `wanted<g>`: columns of a chunk of segment g
  template <int g> static constexpr int contractions = kernel.segment[g].contractions;
  // where results are stored in blocks, a chunk has whole ones
  template <int g> static constexpr int columns_stored_together = [] {
    return []<int... s>(std::integer_sequence<int, s...>) {
      return std::max({1, block_elements(StoreAccess<P, kernel.segment[g].store[s]>::dtype)...});
    }
    (std::make_integer_sequence<int, kernel.segment[g].stores>{});
  }();

  struct Chunk {
    long first, length, runs, padded;
  };
  template <class Width> static long all_chunks(const Binding<P>& b) {
    long n = 0;
    unroll<kernel.segments>([&](auto g) { n += Columns<P, k, g>::chunks(b, Width::template columns<g>); });
    return n;
  }
  // f(g, number of the chunk in segment g)
  template <class Width, class F> static void with_chunk(const Binding<P>& b, long number, F f) {
    unroll<kernel.segments>([&](auto g) {
      const long n = Columns<P, k, g>::chunks(b, Width::template columns<g>);
      if (number >= 0 && number < n) f(g, number);
      number -= n;
    });
  }
  // sets the outer columns in index
  template <class Width, int g> static Chunk begin_chunk(const Binding<P>& b, long number, Index<P>& index) {
    using C = Columns<P, k, g>;
    const long wanted = C::run_length(b, Width::template columns<g>), n = extent_of<P, C::inner>(b), per_row = (n + wanted - 1) / wanted;
    decode<P, C::list, 0, C::outer>(b, number / per_row, index);
    const long first = number % per_row * wanted;
    return {first, std::min(wanted, n - first), C::runs(b), round_up(wanted, tile_columns)};
  }

  static constexpr int tile_rows = MicroKernel<float>::rows;
  static_assert(!has_bf16_dot || MicroKernel<PackedAs<bf16>>::rows == tile_rows, "all micro-kernels of an instruction set share the tile");
  static constexpr long tile_columns = MicroKernel<float>::cols;
};

}  // namespace weft::cpu
