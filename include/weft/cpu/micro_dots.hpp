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
  using Along = detail::Along<L, W>;
  constexpr int chains = 2;  // hide the latency of an addition
  native::Floats sum[C * R];
  unroll<C>([&](auto c) WEFT_FLAT {
    native::Floats part[chains][R];
    unroll<chains * R>([&](auto i) WEFT_FLAT { part[i / R][i % R] = native::broadcast(0.f); });
    const auto step = [&](auto chain, auto... position) WEFT_FLAT {  // (k), or (k, how many are left)
      const typename Along::Operand w = Along::operand(weights[c], position...);
      unroll<R>([&](auto r) WEFT_FLAT { part[chain][r] = Along::add(part[chain][r], Along::operand(left[r], position...), w); });
    };
    long at = 0;
    for (; at + chains * Along::width <= k; at += chains * Along::width)
      unroll<chains>([&](auto i) WEFT_FLAT { step(i, at + i * Along::width); });
    if (at + Along::width <= k) {
      step(std::integral_constant<int, 0>{}, at);
      at += Along::width;
    }
    if (at < k) step(std::integral_constant<int, 1>{}, at, k - at);
    unroll<R>([&](auto r) WEFT_FLAT { sum[c * R + r] = part[0][r] + part[1][r]; });
  });
  detail::sums(sum, out);
}

}  // namespace weft::cpu
