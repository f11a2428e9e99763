// The primitives that simd.hpp builds packets from, for any target: 4 lanes in the vector types that g++ and clang share. They become
// SSE2 on x86-64 and the native 16-byte vectors elsewhere (NEON on AArch64, with its fused multiply-add).
#pragma once
#include "simd_isa.hpp"
#if !defined(WEFT_AVX512) && !defined(WEFT_AVX2)
#include <cmath>
#include <cstring>

#include "../core/dtype.hpp"

namespace weft::cpu::native {

inline constexpr int lanes = 4;
typedef float Floats __attribute__((vector_size(16)));
typedef std::int32_t Ints __attribute__((vector_size(16)));
typedef std::uint16_t Halves __attribute__((vector_size(8)));
using Mask = Ints;  // all bits of a lane

WEFT_INLINE Floats broadcast(float a) { return Floats{a, a, a, a}; }
WEFT_INLINE Ints bits(Floats a) { return (Ints)a; }
WEFT_INLINE Floats floats(Ints a) { return (Floats)a; }
WEFT_INLINE Floats convert(Ints a) { return __builtin_convertvector(a, Floats); }
WEFT_INLINE Ints truncate(Floats a) { return __builtin_convertvector(a, Ints); }

WEFT_INLINE Mask less(Floats a, Floats b) { return a < b; }
WEFT_INLINE Mask less_equal(Floats a, Floats b) { return a <= b; }
WEFT_INLINE Mask equal(Floats a, Floats b) { return a == b; }
WEFT_INLINE Mask not_equal(Floats a, Floats b) { return a != b; }
WEFT_INLINE Mask nonzero(Ints a) { return a != 0; }
WEFT_INLINE Mask first(long n) {
  const int count = n >= lanes ? lanes : static_cast<int>(n);
  return Ints{0, 1, 2, 3} < Ints{count, count, count, count};
}
WEFT_INLINE bool any(Mask m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }
WEFT_INLINE Floats blend(Mask m, Floats yes, Floats no) { return (Floats)((m & (Ints)yes) | (~m & (Ints)no)); }

WEFT_INLINE Floats fma(Floats a, Floats b, Floats c) {
#if defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA)
  for (int i = 0; i < lanes; ++i) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
  return c;
#else
  return a * b + c;
#endif
}
WEFT_INLINE Floats sqrt(Floats a) {
#if defined(__SSE2__)
  return __builtin_ia32_sqrtps(a);
#else
  for (int i = 0; i < lanes; ++i) a[i] = std::sqrt(a[i]);
  return a;
#endif
}
// the nearest integer, for |a| < 2^22
WEFT_INLINE Floats nearest(Floats a) {
  const Floats magic = broadcast(0x1.8p23f);
  return a + magic - magic;
}
WEFT_INLINE Floats floor(Floats a) {
  const Ints sign = bits(a) & static_cast<std::int32_t>(0x80000000);
  const Mask small = less(floats(bits(a) ^ sign), broadcast(0x1p23f));  // larger ones are integers; NaN stays
  const Floats whole = convert(truncate(blend(small, a, Floats{})));
  const Floats down = whole - (Floats)(less(a, whole) & bits(broadcast(1.f)));
  return blend(small, floats(bits(down) | sign), a);  // -0 stays -0
}
// the second operand if either is NaN
WEFT_INLINE Floats max(Floats a, Floats b) { return blend(less(b, a), a, b); }
WEFT_INLINE Floats min(Floats a, Floats b) { return blend(less(a, b), a, b); }
// a * 2^n for integral n in [-252, 254], in two steps because 2^n itself may be out of range
WEFT_INLINE Floats scale(Floats a, Floats n) {
  const Ints whole = truncate(n), half = whole >> 1;
  return a * floats((half + 127) << 23) * floats((whole - half + 127) << 23);
}

template <class V, class T> WEFT_INLINE V load_bytes(const T* p, long n) {
  V v{};
  if (n >= lanes)
    std::memcpy(&v, p, sizeof v);  // one instruction
  else
    std::memcpy(&v, p, sizeof(T) * static_cast<std::size_t>(n));
  return v;
}
template <class V, class T> WEFT_INLINE void store_bytes(T* p, V v, long n) {
  if (n >= lanes)
    std::memcpy(p, &v, sizeof v);
  else
    std::memcpy(p, &v, sizeof(T) * static_cast<std::size_t>(n));
}
WEFT_INLINE Floats load(const float* p) { return load_bytes<Floats>(p, lanes); }
WEFT_INLINE Floats load(const float* p, long n) { return load_bytes<Floats>(p, n); }
WEFT_INLINE void store(float* p, Floats a) { store_bytes(p, a, lanes); }
WEFT_INLINE void store(float* p, Floats a, long n) { store_bytes(p, a, n); }
WEFT_INLINE Ints load(const std::int32_t* p) { return load_bytes<Ints>(p, lanes); }
WEFT_INLINE Ints load(const std::int32_t* p, long n) { return load_bytes<Ints>(p, n); }
WEFT_INLINE void store(std::int32_t* p, Ints a) { store_bytes(p, a, lanes); }
WEFT_INLINE void store(std::int32_t* p, Ints a, long n) { store_bytes(p, a, n); }
WEFT_INLINE Halves load(const std::uint16_t* p) { return load_bytes<Halves>(p, lanes); }
WEFT_INLINE Halves load(const std::uint16_t* p, long n) { return load_bytes<Halves>(p, n); }
WEFT_INLINE void store(std::uint16_t* p, Halves a) { store_bytes(p, a, lanes); }
WEFT_INLINE void store(std::uint16_t* p, Halves a, long n) { store_bytes(p, a, n); }

WEFT_INLINE Ints widen(Halves a) { return __builtin_convertvector(a, Ints); }
WEFT_INLINE Halves narrow(Ints a) { return __builtin_convertvector(a, Halves); }

}  // namespace weft::cpu::native
#endif
