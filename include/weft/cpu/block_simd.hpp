// block_simd: the primitives of products over blocks (block_formats.hpp and its users). A vector `Bytes` is as wide as a packet of floats and
// holds `pieces` pieces of 16 digits; four neighbouring bytes share a lane of 32 bits with the sum of their products.
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
#if defined(WEFT_AVX512) && defined(__AVX512VBMI__)
#define WEFT_VBMI 1
#endif

namespace weft::cpu {

// an instruction that sums four products of bytes without overflow
#if defined(WEFT_VNNI) || defined(WEFT_AVX_VNNI)
inline constexpr bool has_byte_dot = true;
#else
inline constexpr bool has_byte_dot = false;
#endif

namespace detail {

inline constexpr int pieces = native::lanes / 4;
typedef std::uint8_t Bytes __attribute__((vector_size(sizeof(native::Floats))));
typedef std::int8_t SignedBytes __attribute__((vector_size(sizeof(native::Floats))));
typedef std::int16_t Shorts __attribute__((vector_size(sizeof(native::Floats))));
typedef std::uint16_t UnsignedShorts __attribute__((vector_size(sizeof(native::Floats))));
typedef std::uint8_t Piece __attribute__((vector_size(16)));

WEFT_INLINE Bytes every_byte(int value) { return Bytes{} + static_cast<std::uint8_t>(value); }
WEFT_INLINE Bytes load_bytes(const void* p) {
  Bytes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
WEFT_INLINE void store_bytes(void* p, Bytes v) { std::memcpy(p, &v, sizeof v); }
WEFT_INLINE Piece load_piece(const void* p) {
  Piece v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// piece i from p + Offset::of(i)
template <class Offset> WEFT_INLINE Bytes load_pieces(const void* p) {
  const auto at = [&](int i) WEFT_FLAT { return load_piece(static_cast<const std::byte*>(p) + Offset::of(i)); };
#if defined(WEFT_AVX512)
  __m512i v = _mm512_zextsi128_si512((__m128i)at(0));
  v = _mm512_mask_broadcast_i64x2(v, 0x0c, (__m128i)at(1));
  v = _mm512_mask_broadcast_i64x2(v, 0x30, (__m128i)at(2));
  return (Bytes)_mm512_mask_broadcast_i64x2(v, 0xc0, (__m128i)at(3));
#elif defined(WEFT_AVX2)
  return (Bytes)_mm256_inserti128_si256(_mm256_castsi128_si256((__m128i)at(0)), (__m128i)at(1), 1);
#else
  return at(0);
#endif
}
template <int stride> struct Spaced {
  static constexpr int of(int i) { return i * stride; }
};
// piece i is piece Index::of(i) of the 64 bytes at p
template <class Index> WEFT_INLINE Bytes choose_pieces(const void* p) {
#if defined(WEFT_AVX512)
  constexpr int order = Index::of(0) | Index::of(1) << 2 | Index::of(2) << 4 | Index::of(3) << 6;
  const __m512i v = (__m512i)load_bytes(p);
  return (Bytes)_mm512_maskz_shuffle_i32x4(native::all, v, v, order);
#else
  struct Offset {
    static constexpr int of(int i) { return 16 * Index::of(i); }
  };
  return load_pieces<Offset>(p);
#endif
}
// all pieces from p
WEFT_INLINE Bytes every_piece(const void* p) {
#if defined(WEFT_AVX512)
  return (Bytes)_mm512_maskz_broadcast_i32x4(native::all, (__m128i)load_piece(p));
#else
  return load_pieces<Spaced<0>>(p);
#endif
}
// the lanes of piece i turned left by Amount::of(i) bits
template <class Amount> WEFT_INLINE Bytes rotate_lanes(Bytes v) {
  if constexpr (pieces == 1) {
    constexpr int n = Amount::of(0) & 31;
    return n == 0 ? v : (Bytes)((Bits)v << n | (Bits)v >> (32 - n) % 32);
  } else {
    const Bits n = []<int... i>(std::integer_sequence<int, i...>) WEFT_FLAT { return Bits{(Amount::of(i / 4) & 31)...}; }
    (std::make_integer_sequence<int, native::lanes>{});
#if defined(WEFT_AVX512)
    return (Bytes)_mm512_maskz_rolv_epi32(native::all, (__m512i)v, (__m512i)n);
#else
    return (Bytes)((Bits)v << n | (Bits)v >> (32 - n & 31));
#endif
  }
}
// a vector whose byte i is Value::of(i)
template <class Value> WEFT_INLINE Bytes constant_bytes() {
  return []<int... i>(std::integer_sequence<int, i...>) WEFT_FLAT { return Bytes{static_cast<std::uint8_t>(Value::of(i))...}; }
  (std::make_integer_sequence<int, int(sizeof(Bytes))>{});
}
// of each piece: lanes 0 and 1 (or 2 and 3) of a and b in turn
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
// of each piece: the lower (or upper) half of a, then of b
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
// byte i of the result is byte Index::of(i) of v, of the same piece
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

#if defined(WEFT_VBMI)
// `size` bytes in memory, at most 128 and at least 64, to pick bytes from
template <int size> struct Window {
  Bytes first, last;
  WEFT_INLINE explicit Window(const void* p) : first(load_bytes(p)), last(load_bytes(static_cast<const std::byte*>(p) + size - 64)) {}
  // byte i is byte Index::of(i) of the window
  template <class Index> WEFT_INLINE Bytes pick() const {
    struct Register {
      static constexpr int of(int i) { return Index::of(i) < 64 ? Index::of(i) : Index::of(i) + 128 - size; }
    };
    return (Bytes)_mm512_permutex2var_epi8((__m512i)first, (__m512i)constant_bytes<Register>(), (__m512i)last);
  }
};
// numbers in lanes: lane 4 p + q is about the two bytes at window[q], p * stride + at
template <int stride, int at, int size> WEFT_INLINE native::Floats window_lanes(const Window<size> (&window)[4]) {
  struct Index {
    static constexpr int of(int i) { return i / 8 % 4 * stride + at + i % 2; }
  };
  __m512i v;
  if constexpr (3 * stride + at + 2 <= 64) {
    struct OfTwo {  // in the first bytes of two windows
      static constexpr int of(int i) { return i / 2 % 2 * 64 + Index::of(i); }
    };
    const auto both = [&](int q) WEFT_FLAT {
      return _mm512_permutex2var_epi8((__m512i)window[q].first, (__m512i)constant_bytes<OfTwo>(), (__m512i)window[q + 1].first);
    };
    v = _mm512_mask_blend_epi32(0xaaaa, both(0), both(2));
  } else {
    v = (__m512i)window[0].template pick<Index>();
    unroll<3>([&](auto i) WEFT_FLAT { v = _mm512_mask_blend_epi16(0x22222222u << i, v, (__m512i)window[i + 1].template pick<Index>()); });
  }
  return widen((native::Halves)__builtin_shufflevector((__v8di)v, (__v8di)v, 0, 1, 2, 3), f16{});
}
#endif

// ---- four vectors at a time: lane q of piece p of the result is about piece p of v[q]
// its first lane
WEFT_INLINE native::Ints first_lanes(const Bytes (&v)[4]) {
  return unpack_long<0>(unpack<0>((native::Ints)v[0], (native::Ints)v[1]), unpack<0>((native::Ints)v[2], (native::Ints)v[3]));
}
// the sum of its lanes
WEFT_INLINE native::Ints sum_lanes(const native::Ints (&v)[4]) {
  const native::Ints first = unpack<0>(v[0], v[1]) + unpack<1>(v[0], v[1]), second = unpack<0>(v[2], v[3]) + unpack<1>(v[2], v[3]);
  return unpack_long<0>(first, second) + unpack_long<1>(first, second);
}
// v + first * p[0] + second * p[1] in lane 0, and so on
template <int first, int second> WEFT_INLINE native::Ints add_pairs(native::Ints v, const std::int16_t* p) {
  constexpr std::int32_t factors =
      static_cast<std::int32_t>(static_cast<std::uint32_t>(first & 0xffff) | static_cast<std::uint32_t>(second & 0xffff) << 16);
  const native::Ints pairs = native::load(reinterpret_cast<const std::int32_t*>(p));
#if defined(WEFT_VNNI)
  return (native::Ints)_mm512_dpwssd_epi32((__m512i)v, (__m512i)pairs, _mm512_set1_epi32(factors));
#elif defined(WEFT_AVX512)
  return v + (native::Ints)_mm512_madd_epi16((__m512i)pairs, _mm512_set1_epi32(factors));
#elif defined(WEFT_AVX2)
  return v + (native::Ints)_mm256_madd_epi16((__m256i)pairs, _mm256_set1_epi32(factors));
#else
  (void)factors;
  return v + (pairs << 16 >> 16) * first + (pairs >> 16) * second;
#endif
}

WEFT_INLINE float f16_value(f16 h) {
#if defined(WEFT_HARDWARE_F16)
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h.bits)));
#else
  return to_float(h);
#endif
}
// `lanes` digits as floats
WEFT_INLINE native::Floats load_digits(const std::int8_t* p) {
#if defined(WEFT_AVX512)
  return native::convert((native::Ints)_mm512_maskz_cvtepi8_epi32(native::all, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#elif defined(WEFT_AVX2)
  return native::convert((native::Ints)_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  typedef std::int8_t Few __attribute__((vector_size(native::lanes)));
  Few v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, native::Floats);
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
