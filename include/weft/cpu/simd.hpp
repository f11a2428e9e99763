// simd: packets of f32 lanes, as wide as the instruction set of the compiler's flags allows (simd_isa.hpp): 16, 8 or 4 lanes.
//
// Memory holds float, bf16, f16 or int32; a packet always holds floats. Every load, store and helper with a count `n` touches only the
// first n elements, 0 <= n (n >= lanes means all of them). Elementary functions are in simd_math.hpp, included from here; functors find
// all names by argument-dependent lookup, as core/math.hpp explains. Multiplication and addition fuse only where `fma` is written.
// Truth values are lanes of 1 and 0; `select` takes everything but 0 for true.
//
// Why not a library. Measured on an AMD EPYC (Zen 4), g++ 12.2 -O3, ns per element; ulp is the largest error over 4 million samples:
//                     include   exp            log            tanh           sin            sin, |x| <= 1e6
//   Highway 1.0.3     0.47 s    0.85  1.0 ulp  0.46  0.9 ulp  0.73  2.8 ulp  0.43  2.4 ulp  wrong from 39000 on (AVX2: by 0.03)
//   these headers     0.34 s    0.36  1.0 ulp  0.52  0.8 ulp  0.65  1.3 ulp  0.44  1.6 ulp  1.9 ulp
//   Eigen 3.4         1.31 s: out of the question
// Highway also asks for AES besides the vector flags: -march=x86-64-v3 and -v4 give it SSSE3, plain x86-64 scalar code; its exp(NaN) is 0.
#pragma once
#include "../core/dtype.hpp"
#include "simd_isa.hpp"
#include "simd_avx2.hpp"
#include "simd_avx512.hpp"
#include "simd_portable.hpp"

namespace weft::cpu {

struct Packet {
  static constexpr int lanes = native::lanes;
  native::Floats v;

  Packet() = default;
  WEFT_INLINE explicit Packet(float a) : v(native::broadcast(a)) {}
  WEFT_INLINE explicit Packet(native::Floats a) : v(a) {}
};

WEFT_INLINE Packet operator+(Packet a, Packet b) { return Packet(a.v + b.v); }
WEFT_INLINE Packet operator-(Packet a, Packet b) { return Packet(a.v - b.v); }
WEFT_INLINE Packet operator*(Packet a, Packet b) { return Packet(a.v * b.v); }
WEFT_INLINE Packet operator/(Packet a, Packet b) { return Packet(a.v / b.v); }
WEFT_INLINE Packet operator-(Packet a) { return Packet(-a.v); }
WEFT_INLINE Packet& operator+=(Packet& a, Packet b) { return a = a + b; }
WEFT_INLINE Packet& operator-=(Packet& a, Packet b) { return a = a - b; }
WEFT_INLINE Packet& operator*=(Packet& a, Packet b) { return a = a * b; }
WEFT_INLINE Packet& operator/=(Packet& a, Packet b) { return a = a / b; }

// a * b + c; rounded once where the instruction set has it (AVX2, AVX-512, AArch64), twice elsewhere
WEFT_INLINE Packet fma(Packet a, Packet b, Packet c) { return Packet(native::fma(a.v, b.v, c.v)); }
WEFT_INLINE Packet sqrt(Packet a) { return Packet(native::sqrt(a.v)); }
WEFT_INLINE Packet rsqrt(Packet a) { return Packet(1.f) / sqrt(a); }
WEFT_INLINE Packet floor(Packet a) { return Packet(native::floor(a.v)); }
WEFT_INLINE Packet abs(Packet a) { return Packet(native::floats(native::bits(a.v) & 0x7fffffff)); }
// NaN if either is NaN
WEFT_INLINE Packet max(Packet a, Packet b) { return Packet(native::blend(native::not_equal(a.v, a.v), a.v, native::max(a.v, b.v))); }
WEFT_INLINE Packet min(Packet a, Packet b) { return Packet(native::blend(native::not_equal(a.v, a.v), a.v, native::min(a.v, b.v))); }
WEFT_INLINE Packet truth(native::Mask m) { return Packet(native::blend(m, native::broadcast(1.f), native::broadcast(0.f))); }
WEFT_INLINE Packet less(Packet a, Packet b) { return truth(native::less(a.v, b.v)); }
WEFT_INLINE Packet less_equal(Packet a, Packet b) { return truth(native::less_equal(a.v, b.v)); }
WEFT_INLINE Packet equal(Packet a, Packet b) { return truth(native::equal(a.v, b.v)); }
WEFT_INLINE Packet select(Packet condition, Packet a, Packet b) {
  return Packet(native::blend(native::not_equal(condition.v, native::broadcast(0.f)), a.v, b.v));
}

// the lanes from n on take those of `other`
WEFT_INLINE Packet keep(Packet a, long n, Packet other) { return Packet(native::blend(native::first(n), a.v, other.v)); }
WEFT_INLINE Packet keep(Packet a, long n) { return keep(a, n, Packet(0.f)); }

namespace detail {
template <int... i> WEFT_INLINE native::Floats count_up(std::integer_sequence<int, i...>) { return native::Floats{float(i)...}; }
// picks lane Index::of(i) of the 2 * lanes lanes of a and b
template <class Index> WEFT_INLINE native::Floats shuffle(native::Floats a, native::Floats b) {
  return [&]<int... i>(std::integer_sequence<int, i...>) WEFT_FLAT {
    return (native::Floats)__builtin_shufflevector(a, b, Index::of(i)...);
  }
  (std::make_integer_sequence<int, native::lanes>{});
}
template <int by> struct Rotate {
  static constexpr int of(int i) { return (i + by) % native::lanes; }
};
// halves on halves, so that the order depends on nothing but the number of lanes
template <int width, class F> WEFT_INLINE float fold(Packet a, F f) {
  if constexpr (width == 0)
    return a.v[0];
  else
    return fold<width / 2>(f(a, Packet(shuffle<Rotate<width>>(a.v, a.v))), f);
}
}  // namespace detail

// 0, 1, 2, ...
WEFT_INLINE Packet iota() { return Packet(detail::count_up(std::make_integer_sequence<int, native::lanes>{})); }

WEFT_INLINE float sum(Packet a) {
  return detail::fold<native::lanes / 2>(a, [](Packet x, Packet y) WEFT_FLAT { return x + y; });
}
WEFT_INLINE float max(Packet a) {
  return detail::fold<native::lanes / 2>(a, [](Packet x, Packet y) WEFT_FLAT { return max(x, y); });
}

// ---- formats
namespace detail {
typedef std::uint32_t Bits __attribute__((vector_size(sizeof(native::Floats))));

WEFT_INLINE native::Floats widen(native::Halves a, bf16) { return (native::Floats)((Bits)native::widen(a) << 16); }
WEFT_INLINE native::Floats widen(native::Halves a, f16) {
#if defined(WEFT_HARDWARE_F16)
  return native::from_f16(a);
#else
  const Bits h = (Bits)native::widen(a), magnitude = h & 0x7fff;
  const native::Floats finite = (native::Floats)(magnitude << 13) * native::broadcast(0x1p112f);  // subnormals come out right, too
  const native::Floats special = (native::Floats)((Bits)finite | 0x7f800000);
  const auto is_special = native::less(native::broadcast(0x1.ffcp15f), finite);
  return (native::Floats)((Bits)native::blend(is_special, special, finite) | (h & 0x8000) << 16);
#endif
}
WEFT_INLINE native::Halves narrow(native::Floats a, bf16) {
#if defined(WEFT_HARDWARE_BF16)
  return native::to_bf16(a);
#else
  const Bits u = (Bits)a, rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, nan = u >> 16 | 64;
  return native::narrow((native::Ints)native::blend(native::not_equal(a, a), (native::Floats)nan, (native::Floats)rounded));
#endif
}
WEFT_INLINE native::Halves narrow(native::Floats a, f16) {
#if defined(WEFT_HARDWARE_F16)
  return native::to_f16(a);
#else  // the steps of to_f16 in core/dtype.hpp, side by side
  const Bits u = (Bits)a, magnitude = u & 0x7fffffff;
  const native::Floats size = (native::Floats)magnitude;
  const Bits normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13;
  const Bits subnormal = (Bits)(size + native::broadcast(0.5f)) - 0x3f000000;
  native::Floats h = native::blend(native::less(size, native::broadcast(0x1p-14f)), (native::Floats)subnormal, (native::Floats)normal);
  const Bits infinity = Bits{} + 0x7c00, nan = Bits{} + 0x7e00;
  h = native::blend(native::less_equal(native::broadcast(0x1.ffep15f), size), (native::Floats)infinity, h);
  h = native::blend(native::not_equal(a, a), (native::Floats)nan, h);
  return native::narrow((native::Ints)((Bits)h | (u >> 16 & 0x8000)));
#endif
}
WEFT_INLINE const std::uint16_t* raw(const bf16* p) { return &p->bits; }
WEFT_INLINE const std::uint16_t* raw(const f16* p) { return &p->bits; }
WEFT_INLINE std::uint16_t* raw(bf16* p) { return &p->bits; }
WEFT_INLINE std::uint16_t* raw(f16* p) { return &p->bits; }
}  // namespace detail

WEFT_INLINE Packet load(const float* p) { return Packet(native::load(p)); }
WEFT_INLINE Packet load(const bf16* p) { return Packet(detail::widen(native::load(detail::raw(p)), bf16{})); }
WEFT_INLINE Packet load(const f16* p) { return Packet(detail::widen(native::load(detail::raw(p)), f16{})); }
WEFT_INLINE Packet load(const std::int32_t* p) { return Packet(native::convert(native::load(p))); }
// lanes from n on are 0
WEFT_INLINE Packet load(const float* p, long n) { return Packet(native::load(p, n)); }
WEFT_INLINE Packet load(const bf16* p, long n) { return Packet(detail::widen(native::load(detail::raw(p), n), bf16{})); }
WEFT_INLINE Packet load(const f16* p, long n) { return Packet(detail::widen(native::load(detail::raw(p), n), f16{})); }
WEFT_INLINE Packet load(const std::int32_t* p, long n) { return Packet(native::convert(native::load(p, n))); }

// bf16 and f16: to nearest, ties to even; NaN stays NaN. AVX512-BF16 rounds f32 subnormals (below 1.2e-38) to zero; all else is alike
// everywhere. int32: towards zero.
WEFT_INLINE void store(float* p, Packet a) { native::store(p, a.v); }
WEFT_INLINE void store(bf16* p, Packet a) { native::store(detail::raw(p), detail::narrow(a.v, bf16{})); }
WEFT_INLINE void store(f16* p, Packet a) { native::store(detail::raw(p), detail::narrow(a.v, f16{})); }
WEFT_INLINE void store(std::int32_t* p, Packet a) { native::store(p, native::truncate(a.v)); }
WEFT_INLINE void store(float* p, Packet a, long n) { native::store(p, a.v, n); }
WEFT_INLINE void store(bf16* p, Packet a, long n) { native::store(detail::raw(p), detail::narrow(a.v, bf16{}), n); }
WEFT_INLINE void store(f16* p, Packet a, long n) { native::store(detail::raw(p), detail::narrow(a.v, f16{}), n); }
WEFT_INLINE void store(std::int32_t* p, Packet a, long n) { native::store(p, native::truncate(a.v), n); }

// what a store to T and a load would give back
template <class T> WEFT_INLINE Packet round_to(Packet a) { return Packet(detail::widen(detail::narrow(a.v, T{}), T{})); }
template <> WEFT_INLINE Packet round_to<float>(Packet a) { return a; }
template <> WEFT_INLINE Packet round_to<std::int32_t>(Packet a) { return Packet(native::convert(native::truncate(a.v))); }

// base[0], base[stride], ...; lanes from n on are 0
template <class T> WEFT_INLINE Packet gather(const T* base, long stride, long n = native::lanes) {
  alignas(sizeof(native::Floats)) float t[native::lanes] = {};
  if (n > native::lanes) n = native::lanes;
  for (long i = 0; i < n; ++i) t[i] = to_float(base[i * stride]);
  return load(t);
}
// base[0] = lane 0, base[stride] = lane 1, ...; rounded as by store
template <class T> WEFT_INLINE void scatter(T* base, long stride, Packet a, long n = native::lanes) {
  T t[native::lanes];
  store(t, a);
  if (n > native::lanes) n = native::lanes;
  for (long i = 0; i < n; ++i) base[i * stride] = t[i];
}

}  // namespace weft::cpu

#include "simd_math.hpp"
