// micro_dots: inner products for few rows, read from where the operands lie. They are limited by memory bandwidth: each weight is loaded once for
// all rows, and the sums of the columns are independent chains.
#pragma once

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

}  // namespace detail

// out[c * R + r] = sum over k of left[r][k] * weights[c][k]. bf16 times bf16 uses the dot instruction where there is one (then
// subnormal bf16 count as zero); all other formats are widened to f32.
template <class L, class W, int R, int C> void dots(const L* const* left, const W* const* weights, long k, float* out) {
  using Along = detail::Along<L, W>;
  native::Floats sum[C][R];
  unroll<C>([&](auto c) WEFT_FLAT { unroll<R>([&](auto r) WEFT_FLAT { sum[c][r] = native::broadcast(0.f); }); });
  const auto step = [&](auto... position) WEFT_FLAT {  // (k), or (k, how many are left)
    typename Along::Operand a[R];
    unroll<R>([&](auto r) WEFT_FLAT { a[r] = Along::operand(left[r], position...); });
    unroll<C>([&](auto c) WEFT_FLAT {
      const typename Along::Operand w = Along::operand(weights[c], position...);
      unroll<R>([&](auto r) WEFT_FLAT { sum[c][r] = Along::add(sum[c][r], a[r], w); });
    });
  };
  long at = 0;
  for (; at + Along::width <= k; at += Along::width) step(at);
  if (at < k) step(at, k - at);
  unroll<C>([&](auto c) WEFT_FLAT { unroll<R>([&](auto r) WEFT_FLAT { out[c * R + r] = cpu::sum(Packet(sum[c][r])); }); });
}

// out[r * out_stride + i] += factors[r * factor_stride + j] * rows[j * row_stride + i] for r < R, i < n, j = 0, 1, ... count - 1 in this order
template <int R, class W>
void accumulate(float* out, long out_stride, long n, const float* factors, long factor_stride, const W* rows, long row_stride, long count) {
  constexpr int lanes = Packet::lanes, registers = isa >= Isa::avx512 ? 24 : 12;
  constexpr int most = registers / R < 1 ? 1 : registers / R > 4 ? 4 : registers / R;
  const auto block = [&](auto packets, long at, long last) WEFT_FLAT {  // the last packet of the block has `last` lanes
    constexpr int P = packets;
    const auto size = [&](int p) WEFT_FLAT { return p == P - 1 ? last : long(lanes); };
    Packet sum[R][P];
    unroll<R>([&](auto r) WEFT_FLAT {
      unroll<P>([&](auto p) WEFT_FLAT { sum[r][p] = load(out + r * out_stride + at + p * lanes, size(p)); });
    });
    for (long j = 0; j < count; ++j) {
      Packet v[P];
      unroll<P>([&](auto p) WEFT_FLAT { v[p] = load(rows + j * row_stride + at + p * lanes, size(p)); });
      unroll<R>([&](auto r) WEFT_FLAT {
        const Packet f(factors[r * factor_stride + j]);
        unroll<P>([&](auto p) WEFT_FLAT { sum[r][p] = fma(f, v[p], sum[r][p]); });
      });
    }
    unroll<R>([&](auto r) WEFT_FLAT {
      unroll<P>([&](auto p) WEFT_FLAT { store(out + r * out_stride + at + p * lanes, sum[r][p], size(p)); });
    });
  };
  long at = 0;
  for (; at + most * lanes <= n; at += most * lanes) block(std::integral_constant<int, most>{}, at, lanes);
  for (; at < n; at += lanes) block(std::integral_constant<int, 1>{}, at, n - at < lanes ? n - at : lanes);
}

}  // namespace weft::cpu
