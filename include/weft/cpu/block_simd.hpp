// block_simd: the primitives of products over blocks (panel_digits.hpp and its users). A vector `Bytes` is as wide as a packet of floats;
// four neighbouring bytes share a lane of 32 bits with the sum of their products.
//
// Digits of weights have no sign, those of activations have one: what the instructions multiply.
#pragma once
#include <cstring>

#include "simd.hpp"

#if defined(WEFT_AVX512) && defined(__AVX512VNNI__)
#define WEFT_VNNI 1
#elif defined(WEFT_AVX2) && defined(__AVXVNNI__)
#define WEFT_AVX_VNNI 1
#endif

namespace weft::cpu {

// an instruction that sums four products of bytes without overflow
#if defined(WEFT_VNNI) || defined(WEFT_AVX_VNNI)
inline constexpr bool has_byte_dot = true;
#else
inline constexpr bool has_byte_dot = false;
#endif

namespace detail {

typedef std::uint8_t Bytes __attribute__((vector_size(sizeof(native::Floats))));
typedef std::int8_t SignedBytes __attribute__((vector_size(sizeof(native::Floats))));
typedef std::int16_t Shorts __attribute__((vector_size(sizeof(native::Floats))));
typedef std::uint16_t UnsignedShorts __attribute__((vector_size(sizeof(native::Floats))));

WEFT_INLINE Bytes every_byte(int value) { return Bytes{} + static_cast<std::uint8_t>(value); }
WEFT_INLINE Bytes load_bytes(const void* p) {
  Bytes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
// a vector whose byte i is Value::of(i)
template <class Value> WEFT_INLINE Bytes constant_bytes() {
  return []<int... i>(std::integer_sequence<int, i...>) WEFT_FLAT { return Bytes{static_cast<std::uint8_t>(Value::of(i))...}; }
  (std::make_integer_sequence<int, int(sizeof(Bytes))>{});
}
// of each 16 bytes: lanes 0 and 1 (or 2 and 3) of a and b in turn
template <int upper> WEFT_INLINE native::Ints unpack(native::Ints a, native::Ints b) {
#if defined(WEFT_AVX512)
  if constexpr (upper) return (native::Ints)_mm512_maskz_unpackhi_epi32(native::all, (__m512i)a, (__m512i)b);
  return (native::Ints)_mm512_maskz_unpacklo_epi32(native::all, (__m512i)a, (__m512i)b);
#elif defined(WEFT_AVX2)
  if constexpr (upper) return (native::Ints)_mm256_unpackhi_epi32((__m256i)a, (__m256i)b);
  return (native::Ints)_mm256_unpacklo_epi32((__m256i)a, (__m256i)b);
#else
  return __builtin_shufflevector(a, b, 2 * upper, 4 + 2 * upper, 2 * upper + 1, 5 + 2 * upper);
#endif
}
// of each 16 bytes: the lower (or upper) half of a, then of b
template <int upper> WEFT_INLINE native::Ints unpack_long(native::Ints a, native::Ints b) {
#if defined(WEFT_AVX512)
  if constexpr (upper) return (native::Ints)_mm512_maskz_unpackhi_epi64(0xff, (__m512i)a, (__m512i)b);
  return (native::Ints)_mm512_maskz_unpacklo_epi64(0xff, (__m512i)a, (__m512i)b);
#elif defined(WEFT_AVX2)
  if constexpr (upper) return (native::Ints)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b);
  return (native::Ints)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b);
#else
  return __builtin_shufflevector(a, b, 2 * upper, 2 * upper + 1, 4 + 2 * upper, 5 + 2 * upper);
#endif
}
// byte i of the result is byte Index::of(i) of v, of the same 16 bytes
template <class Index> WEFT_INLINE Bytes pick_bytes(Bytes v) {
#if defined(WEFT_AVX512)
  return (Bytes)_mm512_shuffle_epi8((__m512i)v, (__m512i)constant_bytes<Index>());
#elif defined(WEFT_AVX2)
  return (Bytes)_mm256_shuffle_epi8((__m256i)v, (__m256i)constant_bytes<Index>());
#else
  return [&]<int... i>(std::integer_sequence<int, i...>) WEFT_FLAT { return __builtin_shufflevector(v, v, Index::of(i)...); }
  (std::make_integer_sequence<int, 16>{});
#endif
}
// `bit` in the bytes in which v and mask share a bit, else 0
WEFT_INLINE Bytes where_any(Bytes v, Bytes mask, int bit) {
#if defined(WEFT_AVX512)
  return (Bytes)_mm512_maskz_mov_epi8(_mm512_test_epi8_mask((__m512i)v, (__m512i)mask), (__m512i)every_byte(bit));
#else
  return (Bytes)((v & mask) == mask) & every_byte(bit);  // masks have one bit
#endif
}

// the lowest byte of each lane
WEFT_INLINE void store_low_bytes(void* p, native::Ints v) {
#if defined(WEFT_AVX512)
  const __m128i low = _mm512_maskz_cvtepi32_epi8(native::all, (__m512i)v);
#else
  typedef std::uint8_t Few __attribute__((vector_size(native::lanes)));
  const Few low = __builtin_convertvector(v, Few);
#endif
  std::memcpy(p, &low, sizeof low);
}

// How many quads of products with digits below `bound` the lanes of 16 bits that the instruction for two products makes can hold; 0 where
// it is not what multiplies them.
#if (defined(WEFT_AVX2) || defined(WEFT_AVX512)) && !defined(WEFT_VNNI) && !defined(WEFT_AVX_VNNI)
template <int bound> inline constexpr int quads_in_16_bits = bound == 0 ? 0 : bound <= 17 ? 8 : bound <= 33 ? 4 : bound <= 65 ? 2 : 1;
// w[2 i] * x[2 i] + w[2 i + 1] * x[2 i + 1] in lane i
WEFT_INLINE Shorts dot_of_pairs(Bytes w, SignedBytes x) {
#if defined(WEFT_AVX512)
  return (Shorts)_mm512_maddubs_epi16((__m512i)w, (__m512i)x);
#else
  return (Shorts)_mm256_maddubs_epi16((__m256i)w, (__m256i)x);
#endif
}
// the sums of neighbours
WEFT_INLINE native::Ints sum_pairs(Shorts v) {
#if defined(WEFT_AVX512)
  return (native::Ints)_mm512_madd_epi16((__m512i)v, _mm512_set1_epi16(1));
#else
  return (native::Ints)_mm256_madd_epi16((__m256i)v, _mm256_set1_epi16(1));
#endif
}
#else
template <int bound> inline constexpr int quads_in_16_bits = 0;
Shorts dot_of_pairs(Bytes, SignedBytes);
native::Ints sum_pairs(Shorts);
#endif

// sum + w[4 i] * x[4 i] + ... + w[4 i + 3] * x[4 i + 3] in lane i, exactly. w < `bound`, |x| <= 127. A bound of 0 says that w has a sign.
template <int bound> WEFT_INLINE native::Ints dot(native::Ints sum, Bytes w, SignedBytes x) {
#if defined(WEFT_VNNI)
  static_assert(bound > 0);
  return (native::Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)x);
#elif defined(WEFT_AVX_VNNI)
  static_assert(bound > 0);
  return (native::Ints)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)w, (__m256i)x);
#elif defined(WEFT_AVX2)
  static_assert(bound <= 129, "sums of two products fit 16 bits");
  if constexpr (bound == 0) {
    x = (SignedBytes)_mm256_sign_epi8((__m256i)x, (__m256i)w);
    w = (Bytes)_mm256_abs_epi8((__m256i)w);
  }
  return sum + (native::Ints)_mm256_madd_epi16(_mm256_maddubs_epi16((__m256i)w, (__m256i)x), _mm256_set1_epi16(1));
#else
#if defined(WEFT_AVX512)
  if constexpr (bound > 0) {
    static_assert(bound <= 129, "sums of two products fit 16 bits");
    return sum + (native::Ints)_mm512_madd_epi16(_mm512_maddubs_epi16((__m512i)w, (__m512i)x), _mm512_set1_epi16(1));
  }
#endif
  const Shorts x_even = (Shorts)x << 8 >> 8, x_odd = (Shorts)x >> 8;
  const Shorts even = bound > 0 ? (Shorts)w & 255 : (Shorts)w << 8 >> 8,
               odd = bound > 0 ? (Shorts)((UnsignedShorts)w >> 8) : (Shorts)w >> 8;
#if defined(WEFT_AVX512)
  return sum +
         ((native::Ints)_mm512_madd_epi16((__m512i)x_even, (__m512i)even) + (native::Ints)_mm512_madd_epi16((__m512i)x_odd, (__m512i)odd));
#elif defined(__SSE2__)
  typedef short Eight __attribute__((vector_size(16)));
  return sum + ((native::Ints)__builtin_ia32_pmaddwd128((Eight)x_even, (Eight)even) +
                (native::Ints)__builtin_ia32_pmaddwd128((Eight)x_odd, (Eight)odd));
#else
  const auto low = [](Shorts v) WEFT_FLAT { return (native::Ints)v << 16 >> 16; };
  const auto high = [](Shorts v) WEFT_FLAT { return (native::Ints)v >> 16; };
  return sum + (low(x_even) * low(even) + high(x_even) * high(even)) + (low(x_odd) * low(odd) + high(x_odd) * high(odd));
#endif
#endif
}

}  // namespace detail
}  // namespace weft::cpu
