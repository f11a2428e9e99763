// micro_dots: inner products for few rows, read from where the operands lie. Memory bandwidth limits them, so each
// weight is loaded once for all rows.
#pragma once
#include "micro_kernel.hpp"

namespace weft::cpu {
namespace detail {

// one step of a dot product along contiguous k: `width` products per step, in `lanes` chains
template <class L, class W> struct Along {
  static constexpr int width = Packet::lanes;
  using Operand = native::Floats;
  template <class T> WEFT_INLINE static Operand operand(const T* p, long at) { return load(p + at).v; }
  template <class T> WEFT_INLINE static Operand operand(const T* p, long at, long n) { return load(p + at, n).v; }
  WEFT_INLINE static native::Floats add(native::Floats sum, Operand a, Operand b) { return native::fma(a, b, sum); }
};
#if defined(WEFT_AVX512_BF16)
template <> struct Along<bf16, bf16> {
  static constexpr int width = 2 * Packet::lanes;
  using Operand = __m512bh;
  WEFT_INLINE static Operand operand(const bf16* p, long at) { return Product<bf16>::load(p + at); }
  WEFT_INLINE static Operand operand(const bf16* p, long at, long n) { return Product<bf16>::load(p + at, n); }
  WEFT_INLINE static native::Floats add(native::Floats sum, Operand a, Operand b) { return Product<bf16>::add(sum, a, b); }
};
#endif

// Even or odd blocks of `size` lanes of a, then of b.
template <int size, int odd> struct Blocks {
  static constexpr int of(int i) { return (i / size * 2 + odd) * size + i % size; }
};
// v[n] holds the partial sums of `count` results side by side; folds them as cpu::sum does, `lanes / 4` results at a time
template <int at, int size> WEFT_INLINE native::Floats fold_pairs(const native::Floats* v) {
  if constexpr (size == native::lanes)
    return v[at];
  else {
    const native::Floats a = fold_pairs<at, 2 * size>(v), b = fold_pairs<at + native::lanes / (2 * size), 2 * size>(v);
    return shuffle<Blocks<size, 0>>(a, b) + shuffle<Blocks<size, 1>>(a, b);
  }
}
template <int by> struct WithinFour {
  static constexpr int of(int i) { return i / 4 * 4 + (i + by) % 4; }
};
// out[i] = cpu::sum(v[i]), to the bit
template <int n> WEFT_INLINE void sums(const native::Floats (&v)[n], float* out) {
  constexpr int together = native::lanes / 4;
  unroll<n / together>([&](auto g) WEFT_FLAT {
    native::Floats s = fold_pairs<g * together, 4>(v);
    s = s + shuffle<WithinFour<2>>(s, s);
    s = s + shuffle<WithinFour<1>>(s, s);
    unroll<together>([&](auto i) WEFT_FLAT { out[g * together + i] = s[4 * i]; });
  });
  unroll<n % together>([&](auto i) WEFT_FLAT { out[n / together * together + i] = cpu::sum(Packet(v[n / together * together + i])); });
}

// R rows times one column, in two chains to hide the latency of an addition: the first packet of a pair goes to the first chain
template <class L, class W, int R> struct ColumnOfDots {
  using Along = detail::Along<L, W>;
  static constexpr int chains = 2;
  static constexpr long unit = chains * Along::width;
  native::Floats part[chains][R];

  WEFT_INLINE void clear() {
    unroll<chains * R>([&](auto i) WEFT_FLAT { part[i / R][i % R] = native::broadcast(0.f); });
  }
  // the products of elements [first, end), first a multiple of `unit`; what lies as far from `ahead` is on its way to the cache
  template <bool prefetches> WEFT_INLINE void add(const L* const* left, const W* column, long first, long end, const W* ahead) {
    const auto step = [&](auto chain, auto... position) WEFT_FLAT {  // (k), or (k, how many are left)
      if constexpr (prefetches && sizeof...(position) == 1) __builtin_prefetch(ahead + (position, ...), 0, 2);
      const typename Along::Operand w = Along::operand(column, position...);
      unroll<R>([&](auto r) WEFT_FLAT { part[chain][r] = Along::add(part[chain][r], Along::operand(left[r], position...), w); });
    };
    long at = first;
    for (; at + unit <= end; at += unit) unroll<chains>([&](auto i) WEFT_FLAT { step(i, at + i * Along::width); });
    if (at + Along::width <= end) {
      step(std::integral_constant<int, 0>{}, at);
      at += Along::width;
    }
    if (at < end) step(std::integral_constant<int, 1>{}, at, end - at);
  }
  WEFT_INLINE native::Floats total(int r) const { return part[0][r] + part[1][r]; }
};

// Rows that together exceed the first-level cache are taken a block of k at a time, each block for all columns: the sums wait in memory in
// between, and their bits are the same. What the next column needs is fetched meanwhile, for no hardware prefetcher follows such jumps.
// 4 rows and k = 4864 in bf16 on two cores of a Zen 4: 28 GB/s where rows that come from the second-level cache allow 17.
inline constexpr long most_left_bytes = 24 << 10, left_block_bytes = 16 << 10;
template <class L, class W, int R, int C>
[[gnu::noinline]] void dots_in_blocks(const L* const* left, const W* const* weights, long k, float* out) {
  using Column = ColumnOfDots<L, W, R>;
  constexpr long block = left_block_bytes / (R * static_cast<long>(sizeof(L))) / Column::unit * Column::unit;
  Column columns[C];
  for (Column& c : columns) c.clear();
  for (long first = 0; first < k; first += block) {
    const long end = k - first < block ? k : first + block;
    for (int c = 0; c < C; ++c) {
      Column column = columns[c];
      column.template add<true>(left, weights[c], first, end, c + 1 < C ? weights[c + 1] : end < k ? weights[0] + block : weights[c]);
      columns[c] = column;
    }
  }
  native::Floats sum[C * R];
  unroll<C * R>([&](auto i) WEFT_FLAT { sum[i] = columns[i / R].total(i % R); });
  sums(sum, out);
}

}  // namespace detail

// out[c * R + r] = sum over k of left[r][k] * weights[c][k]. bf16 times bf16 uses the dot instruction where there is one (then
// subnormal bf16 count as zero); all other formats are widened to f32.
//
// One column after another: neighbouring columns are mostly neighbours in memory, and one long stream is what prefetchers follow. On one
// core of a Zen 4 with k = 896 in bf16: from memory 26 GB/s for 1 and 4 rows, as fast as a plain read, and 13 for 8 rows; but 11 GB/s for
// one row and 2, 4 or 8 columns in step, with software prefetches or without. From the L2 cache 92 GB/s where a plain read has 100.
//
// R * C sums are kept in registers or close by: take C = 4 or 8 for one row, C = 1 or 2 for 8 rows. From 12 rows on packing the weights for
// one tile is as fast, sooner if several tiles share the packed panel.
template <class L, class W, int R, int C> void dots(const L* const* left, const W* const* weights, long k, float* out) {
  if constexpr (R > 1)
    if (R * k * static_cast<long>(sizeof(L)) > detail::most_left_bytes) return detail::dots_in_blocks<L, W, R, C>(left, weights, k, out);
  native::Floats sum[C * R];
  unroll<C>([&](auto c) WEFT_FLAT {
    detail::ColumnOfDots<L, W, R> column;
    column.clear();
    column.template add<false>(left, weights[c], 0, k, nullptr);
    unroll<R>([&](auto r) WEFT_FLAT { sum[c * R + r] = column.total(r); });
  });
  detail::sums(sum, out);
}

}  // namespace weft::cpu
