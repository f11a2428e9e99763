// The primitives that simd.hpp builds packets from: AVX-512 (F, BW, DQ, VL), 16 lanes, tails by mask registers.
#pragma once
#include "simd_isa.hpp"
#if defined(WEFT_AVX512)
#include <immintrin.h>

#include "../core/dtype.hpp"

namespace weft::cpu::native {

inline constexpr int lanes = 16;
using Floats = __m512;
typedef std::int32_t Ints __attribute__((vector_size(64)));
using Halves = __m256i;  // 16 values of 16 bits
using Mask = __mmask16;
// With a (full) mask throughout: without one g++ 12 warns of an uninitialised operand in its own header. The code is the same.
inline constexpr Mask all = 0xffff;

WEFT_INLINE Floats broadcast(float a) { return _mm512_set1_ps(a); }
WEFT_INLINE Ints bits(Floats a) { return (Ints)a; }
WEFT_INLINE Floats floats(Ints a) { return (Floats)a; }
WEFT_INLINE Floats convert(Ints a) { return _mm512_maskz_cvtepi32_ps(all, (__m512i)a); }
WEFT_INLINE Ints truncate(Floats a) { return (Ints)_mm512_maskz_cvttps_epi32(all, a); }

WEFT_INLINE Floats fma(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
WEFT_INLINE Floats sqrt(Floats a) { return _mm512_maskz_sqrt_ps(all, a); }
WEFT_INLINE Floats floor(Floats a) { return _mm512_maskz_roundscale_ps(all, a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
WEFT_INLINE Floats nearest(Floats a) { return _mm512_maskz_roundscale_ps(all, a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// the second operand if either is NaN
WEFT_INLINE Floats max(Floats a, Floats b) { return _mm512_maskz_max_ps(all, a, b); }
WEFT_INLINE Floats min(Floats a, Floats b) { return _mm512_maskz_min_ps(all, a, b); }
// a * 2^n for integral n
WEFT_INLINE Floats scale(Floats a, Floats n) { return _mm512_maskz_scalef_ps(all, a, n); }

WEFT_INLINE Mask less(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
WEFT_INLINE Mask less_equal(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
WEFT_INLINE Mask equal(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
WEFT_INLINE Mask not_equal(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
WEFT_INLINE Mask nonzero(Ints a) { return _mm512_test_epi32_mask((__m512i)a, (__m512i)a); }
WEFT_INLINE Mask first(long n) { return n >= lanes ? Mask(0xffff) : Mask((1u << n) - 1); }
WEFT_INLINE bool any(Mask m) { return m != 0; }
WEFT_INLINE Floats blend(Mask m, Floats yes, Floats no) { return _mm512_mask_mov_ps(no, m, yes); }

WEFT_INLINE Floats load(const float* p) { return _mm512_loadu_ps(p); }
WEFT_INLINE Floats load(const float* p, long n) { return _mm512_maskz_loadu_ps(first(n), p); }
WEFT_INLINE void store(float* p, Floats a) { _mm512_storeu_ps(p, a); }
WEFT_INLINE void store(float* p, Floats a, long n) { _mm512_mask_storeu_ps(p, first(n), a); }
WEFT_INLINE Ints load(const std::int32_t* p) { return (Ints)_mm512_loadu_si512(p); }
WEFT_INLINE Ints load(const std::int32_t* p, long n) { return (Ints)_mm512_maskz_loadu_epi32(first(n), p); }
WEFT_INLINE void store(std::int32_t* p, Ints a) { _mm512_storeu_si512(p, (__m512i)a); }
WEFT_INLINE void store(std::int32_t* p, Ints a, long n) { _mm512_mask_storeu_epi32(p, first(n), (__m512i)a); }
WEFT_INLINE Halves load(const std::uint16_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
WEFT_INLINE Halves load(const std::uint16_t* p, long n) { return _mm256_maskz_loadu_epi16(first(n), p); }
WEFT_INLINE void store(std::uint16_t* p, Halves a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
WEFT_INLINE void store(std::uint16_t* p, Halves a, long n) { _mm256_mask_storeu_epi16(p, first(n), a); }

WEFT_INLINE Ints widen(Halves a) { return (Ints)_mm512_maskz_cvtepu16_epi32(all, a); }
WEFT_INLINE Halves narrow(Ints a) { return _mm512_maskz_cvtepi32_epi16(all, (__m512i)a); }
#define WEFT_HARDWARE_F16 1
WEFT_INLINE Floats from_f16(Halves a) { return _mm512_maskz_cvtph_ps(all, a); }
WEFT_INLINE Halves to_f16(Floats a) { return _mm512_maskz_cvtps_ph(all, a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
#if defined(WEFT_AVX512_BF16)
#define WEFT_HARDWARE_BF16 1
WEFT_INLINE Halves to_bf16(Floats a) { return (Halves)_mm512_cvtneps_pbh(a); }
#endif

}  // namespace weft::cpu::native
#endif
