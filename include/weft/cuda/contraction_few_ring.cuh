// contraction_few_ring: how weights in blocks come to a warp of contraction_few: through strips in shared memory, some of them under way
// while one is multiplied.
#pragma once
#include <weft/cuda/contraction_few_facts.cuh>

namespace weft::cuda {

// The columns of weights in blocks that a warp reads in a tile of segment g, in the order in which it multiplies them: by columns side by
// side, by contractions, by its steps of the depth, of 32 groups each.
struct RingCursor {                  // what is copied next
  const unsigned char* run[2] = {};  // the columns side by side
  int column = 0, contraction = 0, slot = 0;
  long step = 0;
};
template <class P, int k, int g, int rows> struct Ring {
  using F = ContractionFacts<P, k>;
  using M = FewFacts<P, k>;
  using C = typename F::template Columns<g>;
  template <int i> using O = typename F::template Operands<g, i>;
  template <int i> using W = typename type_of<O<i>::format>::type;
  template <int i> static constexpr bool in_blocks = O<i>::in_blocks;
  static constexpr int n = M::template side_by_side<g>, strip = M::template InBlocks<g>::strip, slots = M::template strips_ahead<rows>;

  const Binding<P>& b;
  unsigned memory;      // this warp's
  long first, end;      // columns
  int columns, stride;  // of the tile; from one group side by side to the next
  int part, split;
  long group = 0;  // whose right operands it reads, of a routed contraction

  template <int i> WEFT_DEVICE static Format<W<i>> format(const Binding<P>& b) {
    return Format<W<i>>(b.view[LeafAccess<P, O<i>::right>::leaf].format);
  }
  template <int i> WEFT_DEVICE static long groups(const Binding<P>& b) {
    return count_of<P, typename F::template Left<O<i>::left>::Depth>(b) / 32;
  }
  template <int i> WEFT_DEVICE static long steps(const Binding<P>& b) { return (groups<i>(b) + M::step_groups - 1) / M::step_groups; }
  // column `column` of the tile; the last one instead of those that are not there
  template <int i> WEFT_DEVICE const unsigned char* run(Index<P>& index, long column) const {
    using A = LeafAccess<P, O<i>::right>;
    decode<P, C>(b, static_cast<unsigned>(first + column < end ? first + column : end - 1), index);
    const auto f = format<i>(b);
    return reinterpret_cast<const unsigned char*>(A::data(b)) + (A::offset(b, index) + O<i>::part(b, group)) / 32 / f.groups() * f.bytes();
  }
  // sets the cursor to the first run, from its contraction on, of which this warp has a part
  WEFT_DEVICE void find(Index<P>& index, RingCursor& c) const {
    for (; c.column < columns; c.column += stride, c.contraction = 0) {
      bool found = false;
      unroll<C::contractions>([&](auto i) {
        if constexpr (in_blocks<i>) {
          if (found || c.contraction > i || part >= steps<i>(b)) return;
          found = true;
          c.contraction = i;
          c.step = part;
#pragma unroll
          for (int q = 0; q < n; ++q) c.run[q] = run<i>(index, c.column + q);
        }
      });
      if (found) return;
    }
  }
  WEFT_DEVICE unsigned slot(int number) const { return memory + static_cast<unsigned>(number * n * strip); }
  // starts to copy the next step, if there is one
  WEFT_DEVICE void fetch(Index<P>& index, RingCursor& c) const {
    if (c.column < columns) {
      const unsigned to = slot(c.slot);
      bool last = false;
      unroll<C::contractions>([&](auto i) {
        if constexpr (in_blocks<i>) {
          if (c.contraction != i) return;
          const auto f = format<i>(b);
          const long per_step = static_cast<long>(M::step_groups / f.groups()) * f.bytes(), all = groups<i>(b) / f.groups() * f.bytes(),
                     from = c.step * per_step, to_end = from + per_step < all ? from + per_step : all;
          last = c.step + split >= steps<i>(b);
#pragma unroll
          for (int q = 0; q < n; ++q)
#pragma unroll
            for (int p = 0; p < (strip / piece_bytes + 31) / 32; ++p)
              copy_piece(to + static_cast<unsigned>(q * strip), c.run[q] + from, c.run[q] + to_end,
                         p * 32 + static_cast<int>(threadIdx.x % 32));
        }
      });
      c.slot = c.slot + 1 == slots ? 0 : c.slot + 1;
      c.step += split;
      if (last) {
        ++c.contraction;
        find(index, c);
      }
    }
    commit_copies();
  }
  WEFT_DEVICE RingCursor begin(Index<P>& index) const {
    RingCursor c;
    c.column = static_cast<int>(threadIdx.x / 32) / split * n;
    find(index, c);
    for (int i = 0; i < slots - 1; ++i) fetch(index, c);
    return c;
  }
};

}  // namespace weft::cuda
