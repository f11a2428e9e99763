// micro_stream: the inner products of the skeleton stream: rows of queries times a block of keys, weights times a block of values.
//
// Many rows: StreamTile multiplies rows where they lie by packed right panels (micro_pack.hpp), so that weights are never packed. Few rows:
// key_products and weighted_rows read keys and values where they lie; each element is loaded once for all rows. The order of a sum depends
// on the formats and on the instruction set, never on other rows; sums of many rows run along their depth in one chain.
#pragma once
#include <weft/cpu/micro_kernel.hpp>

namespace weft::cpu {

// Rows that are needed soon, fetched into the second-level cache while something else is computed: no prefetcher follows pieces of two operands
// that take turns. Without this a Zen 4 reads keys and values at a third of the rate.
struct RowsAhead {
  const void* first = nullptr;
  long step = 0, bytes = 0, count = 0;  // from row to row and of a row, in bytes; rows
  WEFT_INLINE void fetch(long from, long to) const {
    for (long j = from; j < (to < count ? to : count); ++j) {
      const char* row = static_cast<const char*>(first) + j * step;
      for (long at = 0; at < bytes; at += 64) __builtin_prefetch(row + at, 0, 2);
    }
  }
};

// exp for results that are going to be rounded to 16 bits, a <= 0: relative error 2^-18.5; results below 2^-126 are subnormal or zero
WEFT_INLINE Packet exp_to_round(Packet a) {
  using namespace detail;
  const Floats x = native::max(constant(-150.f), a.v) * constant(0x1.715476p+0f);  // keeps NaN
  const Floats n = native::nearest(x);
  return Packet(native::scale(polynomial(x - n, 0.99999928474f, 0.69312179089f, 0.24024744332f, 0.05591785908f, 0.00957010221f), n));
}

// ---- many rows
template <class Element> struct StreamTile {
  using Product = detail::Product<Element>;
  static constexpr int depth = Product::depth, packets = 2, cols = packets * Packet::lanes;
  static constexpr int rows = isa >= Isa::avx512 ? 12 : 6, row_step = rows / 3;
  static_assert(cols == MicroKernel<Element>::cols, "panels are packed for the micro-kernel");
  static constexpr long right_size(long k) { return MicroKernel<Element>::right_size(k); }  // elements of a panel

  // c[r * ldc + j] = sum over i < k of left[r * stride + i] * right, for at least n rows: a multiple of row_step, so that three functions have
  // to be compiled. left and c have room for all rows of the tile; if k is odd and depth is 2, left holds a finite number behind each row.
  static void multiply(int n, const Element* left, long stride, const Element* right, long k, float* c, long ldc) {
    if (n <= row_step)
      multiply_rows<row_step>(left, stride, right, k, c, ldc);
    else if (n <= 2 * row_step)
      multiply_rows<2 * row_step>(left, stride, right, k, c, ldc);
    else
      multiply_rows<rows>(left, stride, right, k, c, ldc);
  }

 private:
  template <int R>
  [[gnu::noinline]] static void multiply_rows(const Element* left, long stride, const Element* right, long k, float* c, long ldc) {
    // A row is reached from one of few pointers by 0, 1 or 2 strides: an address can hold that much.
    constexpr int pointers = (R + 2) / 3;
    const Element* from[pointers];
    unroll<pointers>([&](auto g) WEFT_FLAT { from[g] = left + 3 * g * stride; });
    native::Floats sum[R][packets];
    unroll<R * packets>([&](auto i) WEFT_FLAT { sum[i / packets][i % packets] = native::broadcast(0.f); });
    for (long at = 0; at < k; at += depth, right += cols * depth) {
      typename Product::Operand b[packets];
      unroll<packets>([&](auto j) WEFT_FLAT { b[j] = Product::load(right + j * (Packet::lanes * depth)); });
      unroll<R>([&](auto r) WEFT_FLAT {
        const typename Product::Operand a = Product::broadcast(from[r / 3] + r % 3 * stride + at);
        unroll<packets>([&](auto j) WEFT_FLAT { sum[r][j] = Product::add(sum[r][j], a, b[j]); });
      });
    }
    unroll<R>([&](auto r)
                  WEFT_FLAT { unroll<packets>([&](auto j) WEFT_FLAT { native::store(c + r * ldc + j * Packet::lanes, sum[r][j]); }); });
  }
};

// ---- few rows
namespace detail {

#if defined(WEFT_AVX512)
WEFT_INLINE native::Floats broadcast_four(const void* p) {
  return _mm512_maskz_broadcast_f32x4(native::all, _mm_loadu_ps(static_cast<const float*>(p)));
}
#elif defined(WEFT_AVX2)
WEFT_INLINE native::Floats broadcast_four(const void* p) { return _mm256_broadcast_ps(static_cast<const __m128*>(p)); }
#else
WEFT_INLINE native::Floats broadcast_four(const void* p) { return native::load(static_cast<const float*>(p)); }
#endif

// fours[f] = lanes 4 * f ... 4 * f + 3 of one row after another: a transposition of groups of four lanes
WEFT_INLINE void transpose_fours(native::Floats (&row)[native::lanes / 4]) {
  constexpr int n = native::lanes / 4;
  if constexpr (n == 2) {
    const native::Floats a = row[0], b = row[1];
    row[0] = groups<0>(a, b);
    row[1] = groups<1>(a, b);
  } else if constexpr (n == 4) {
    const native::Floats even01 = groups<0>(row[0], row[1]), odd01 = groups<1>(row[0], row[1]);
    const native::Floats even23 = groups<0>(row[2], row[3]), odd23 = groups<1>(row[2], row[3]);
    row[0] = groups<0>(even01, even23);
    row[1] = groups<0>(odd01, odd23);
    row[2] = groups<1>(even01, even23);
    row[3] = groups<1>(odd01, odd23);
  }
}

}  // namespace detail

// out[r * out_stride + j] = sum over i < depth of left[r * left_stride + i] * keys[j * step + i], for r < R, j < count. Rows of left are padded with
// zeros to a multiple of 64; out has room for a multiple of `lanes` keys.
//
// A packet holds four units (numbers, or pairs of bf16) of each of lanes / 4 keys, so that transposing costs little, and a row of left is read in
// fours. The four sums of a key are added at the end.
template <class Element, class T, int R> [[gnu::noinline]] void key_products(const Element* left, long left_stride, const T* keys,
                                                                             long step, long count, long depth, float* out, long out_stride,
                                                                             const RowsAhead& ahead) {
  using namespace detail;
  using Product = Product<Element>;
  using native::Floats;
  constexpr int lanes = Packet::lanes, fours = lanes / 4, width = lanes * Product::depth, four = 4 * Product::depth;
  for (long j = 0; j < count; j += lanes) {
    Floats half[2][R];  // two of four keys each, their sums folded once
    unroll<2>([&](auto h) WEFT_FLAT {
      ahead.fetch(j + h * (lanes / 2), j + (h + 1) * (lanes / 2));
      const T* key[2][fours];
      unroll<2 * fours>([&](auto i) WEFT_FLAT {
        const long number = j + i % fours * 4 + 2 * h + i / fours;
        key[i / fours][i % fours] = keys + (number < count ? number : count - 1) * step;
      });
      Floats sum[2][R];
      unroll<2 * R>([&](auto i) WEFT_FLAT { sum[i / R][i % R] = native::broadcast(0.f); });
      const auto along = [&](long at, long n) WEFT_FLAT {
        Floats unit[2][fours];
        unroll<2>([&](auto i) WEFT_FLAT {
          unroll<fours>([&](auto f) WEFT_FLAT { unit[i][f] = units<Element>(key[i][f] + at, n); });
          transpose_fours(unit[i]);
        });
        unroll<fours>([&](auto f) WEFT_FLAT {
          unroll<R>([&](auto r) WEFT_FLAT {
            const auto a = (typename Product::Operand)broadcast_four(left + r * left_stride + at + f * four);
            unroll<2>([&](auto i) WEFT_FLAT { sum[i][r] = Product::add(sum[i][r], a, (typename Product::Operand)unit[i][f]); });
          });
        });
      };
      long at = 0;
      for (; at + width <= depth; at += width) along(at, width);
      if (at < depth) along(at, depth - at);
      unroll<R>([&](auto r) WEFT_FLAT {
        half[h][r] = shuffle<Interleave<1, 0>>(sum[0][r], sum[1][r]) + shuffle<Interleave<1, 1>>(sum[0][r], sum[1][r]);
      });
    });
    unroll<R>([&](auto r) WEFT_FLAT {
      native::store(out + r * out_stride + j,
                    shuffle<Interleave<2, 0>>(half[0][r], half[1][r]) + shuffle<Interleave<2, 1>>(half[0][r], half[1][r]));
    });
  }
}

namespace detail {

// two packets of sums with columns 4 at a time in turn
template <int half> struct FoursInTurn {
  static constexpr int of(int i) {
    constexpr int lanes = native::lanes;
    const int column = half * lanes + i, four = column / 4;
    return four / 2 * 4 + four % 2 * lanes + column % 4;
  }
};

// A step of weighted_rows: `depth` rows at a time, `packets` packets of their columns
template <class Element, class T> struct ValueRows {
  static constexpr int depth = 1, packets = 1;
  using Operand = native::Floats;
  WEFT_INLINE static void load(const T* row, long, bool, long n, Operand (&v)[packets]) { v[0] = cpu::load(row, n).v; }
  WEFT_INLINE static Operand broadcast(const float* weights) { return native::broadcast(*weights); }
  WEFT_INLINE static native::Floats add(native::Floats sum, Operand a, Operand b) { return native::fma(a, b, sum); }
  WEFT_INLINE static void order(native::Floats (&)[packets]) {}
};
#if defined(WEFT_AVX512_BF16)
template <> struct ValueRows<bf16, bf16> : Product<bf16> {
  static constexpr int packets = 2;
  // two rows are interleaved within each 128 bits; order puts the sums right
  WEFT_INLINE static void load(const bf16* row, long step, bool both, long n, Operand (&v)[packets]) {
    const __m512i even = (__m512i)Product::load(row, n), odd = both ? (__m512i)Product::load(row + step, n) : _mm512_setzero_si512();
    v[0] = (Operand)_mm512_unpacklo_epi16(even, odd);
    v[1] = (Operand)_mm512_unpackhi_epi16(even, odd);
  }
  WEFT_INLINE static void order(native::Floats (&v)[packets]) {
    const native::Floats low = shuffle<FoursInTurn<0>>(v[0], v[1]), high = shuffle<FoursInTurn<1>>(v[0], v[1]);
    v[0] = low;
    v[1] = high;
  }
};
#endif

}  // namespace detail

// out[r * out_stride + i] = sum over j < count of weights[r * weight_stride + j] * values[j * step + i], for r < R, i < n. If count is odd and weights
// are bf16, a zero follows each row of them.
template <class Element, class T, int R> [[gnu::noinline]] void weighted_rows(const Element* weights, long weight_stride, const T* values,
                                                                              long step, long count, float* out, long out_stride, long n,
                                                                              const RowsAhead& ahead) {
  using Rows = detail::ValueRows<Element, T>;
  constexpr int width = Packet::lanes * Rows::packets, registers = isa >= Isa::avx512 ? 28 : 12;
  constexpr int most = registers / R / Rows::packets, together = most < 1 ? 1 : most > 4 / Rows::packets ? 4 / Rows::packets : most;
  const auto columns = [&](auto groups, long at, long last) WEFT_FLAT {  // the last group has `last` columns
    constexpr int G = groups;
    native::Floats sum[G][R][Rows::packets];
    unroll<G * R * Rows::packets>([&](auto i) WEFT_FLAT { (&sum[0][0][0])[i] = native::broadcast(0.f); });
    const auto add = [&](long j, bool both) WEFT_FLAT {
      typename Rows::Operand v[G][Rows::packets];
      unroll<G>([&](auto g)
                    WEFT_FLAT { Rows::load(values + j * step + at + g * width, step, both, g == G - 1 ? last : long(width), v[g]); });
      unroll<R>([&](auto r) WEFT_FLAT {
        const typename Rows::Operand w = Rows::broadcast(weights + r * weight_stride + j);
        unroll<G>([&](auto g)
                      WEFT_FLAT { unroll<Rows::packets>([&](auto p) WEFT_FLAT { sum[g][r][p] = Rows::add(sum[g][r][p], w, v[g][p]); }); });
      });
    };
    long j = 0;
    for (; j + Rows::depth <= count; j += Rows::depth) {
      if (at == 0) ahead.fetch(j, j + Rows::depth);
      add(j, true);
    }
    if (j < count) add(j, false);
    unroll<G>([&](auto g) WEFT_FLAT {
      unroll<R>([&](auto r) WEFT_FLAT {
        Rows::order(sum[g][r]);
        unroll<Rows::packets>([&](auto p)
                                  WEFT_FLAT { native::store(out + r * out_stride + at + g * width + p * Packet::lanes, sum[g][r][p]); });
      });
    });
  };
  long at = 0;
  for (; at + together * width <= n; at += together * width) columns(std::integral_constant<int, together>{}, at, width);
  for (; at < n; at += width) columns(std::integral_constant<int, 1>{}, at, n - at < width ? n - at : width);
}

}  // namespace weft::cpu
