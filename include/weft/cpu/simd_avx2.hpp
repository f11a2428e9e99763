// The primitives that simd.hpp builds packets from: AVX2 and FMA, 8 lanes; conversions of f16 by F16C where it is enabled.
#pragma once
#include "simd_isa.hpp"
#if defined(WEFT_AVX2)
#include <immintrin.h>

#include <cstring>

#include "../core/dtype.hpp"

namespace weft::cpu::native {

inline constexpr int lanes = 8;
using Floats = __m256;
typedef std::int32_t Ints __attribute__((vector_size(32)));
using Halves = __m128i;  // 8 values of 16 bits
using Mask = Ints;       // all bits of a lane

WEFT_INLINE Floats broadcast(float a) { return _mm256_set1_ps(a); }
WEFT_INLINE Ints bits(Floats a) { return (Ints)a; }
WEFT_INLINE Floats floats(Ints a) { return (Floats)a; }
WEFT_INLINE Floats convert(Ints a) { return _mm256_cvtepi32_ps((__m256i)a); }
WEFT_INLINE Ints truncate(Floats a) { return (Ints)_mm256_cvttps_epi32(a); }

WEFT_INLINE Floats fma(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
WEFT_INLINE Floats sqrt(Floats a) { return _mm256_sqrt_ps(a); }
WEFT_INLINE Floats floor(Floats a) { return _mm256_floor_ps(a); }
WEFT_INLINE Floats nearest(Floats a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// the second operand if either is NaN
WEFT_INLINE Floats max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
WEFT_INLINE Floats min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
// a * 2^n for integral n in [-252, 254], in two steps because 2^n itself may be out of range
WEFT_INLINE Floats scale(Floats a, Floats n) {
  const Ints whole = truncate(n), half = whole >> 1;
  return a * floats((half + 127) << 23) * floats((whole - half + 127) << 23);
}

WEFT_INLINE Mask less(Floats a, Floats b) { return (Mask)_mm256_cmp_ps(a, b, _CMP_LT_OQ); }
WEFT_INLINE Mask less_equal(Floats a, Floats b) { return (Mask)_mm256_cmp_ps(a, b, _CMP_LE_OQ); }
WEFT_INLINE Mask equal(Floats a, Floats b) { return (Mask)_mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
WEFT_INLINE Mask not_equal(Floats a, Floats b) { return (Mask)_mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
WEFT_INLINE Mask nonzero(Ints a) { return (Mask)(a != 0); }
WEFT_INLINE Mask first(long n) {
  const int count = n >= lanes ? lanes : static_cast<int>(n);
  return (Mask)_mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
WEFT_INLINE bool any(Mask m) { return _mm256_movemask_ps((Floats)m) != 0; }
WEFT_INLINE Floats blend(Mask m, Floats yes, Floats no) { return _mm256_blendv_ps(no, yes, (Floats)m); }

WEFT_INLINE Floats load(const float* p) { return _mm256_loadu_ps(p); }
WEFT_INLINE Floats load(const float* p, long n) { return n >= lanes ? load(p) : _mm256_maskload_ps(p, (__m256i)first(n)); }
WEFT_INLINE void store(float* p, Floats a) { _mm256_storeu_ps(p, a); }
WEFT_INLINE void store(float* p, Floats a, long n) { n >= lanes ? store(p, a) : _mm256_maskstore_ps(p, (__m256i)first(n), a); }
WEFT_INLINE Ints load(const std::int32_t* p) { return (Ints)_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
WEFT_INLINE Ints load(const std::int32_t* p, long n) { return (Ints)_mm256_maskload_epi32(p, (__m256i)first(n)); }
WEFT_INLINE void store(std::int32_t* p, Ints a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)a); }
WEFT_INLINE void store(std::int32_t* p, Ints a, long n) { _mm256_maskstore_epi32(p, (__m256i)first(n), (__m256i)a); }
WEFT_INLINE Halves load(const std::uint16_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
WEFT_INLINE void store(std::uint16_t* p, Halves a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), a); }
WEFT_INLINE Halves load(const std::uint16_t* p, long n) {
  if (n >= lanes) return load(p);
  alignas(16) std::uint16_t t[lanes] = {};
  std::memcpy(t, p, sizeof(*p) * static_cast<std::size_t>(n));
  return load(t);
}
WEFT_INLINE void store(std::uint16_t* p, Halves a, long n) {
  if (n >= lanes) return store(p, a);
  alignas(16) std::uint16_t t[lanes];
  store(t, a);
  std::memcpy(p, t, sizeof(*p) * static_cast<std::size_t>(n));
}

WEFT_INLINE Ints widen(Halves a) { return (Ints)_mm256_cvtepu16_epi32(a); }
WEFT_INLINE Halves narrow(Ints a) {  // the low 16 bits of each lane
  const __m256i low = _mm256_and_si256((__m256i)a, _mm256_set1_epi32(0xffff));
  return _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
}
#if defined(__F16C__)
#define WEFT_HARDWARE_F16 1
WEFT_INLINE Floats from_f16(Halves a) { return _mm256_cvtph_ps(a); }
WEFT_INLINE Halves to_f16(Floats a) { return _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#endif

}  // namespace weft::cpu::native
#endif
