// simd_math: exp, log, sin, cos and tanh of packets, written once over the primitives of an instruction set. The polynomials are our own
// minimax fits; tests/unit/isa_simd.cpp holds their errors to: exp 1.1 (1.6 without FMA), log 1.1, sin and cos 1.6, tanh 1.8 ulp.
#pragma once
#include <cmath>

#include "simd.hpp"

namespace weft::cpu {
namespace detail {

using native::Floats;
using native::Ints;

#if defined(WEFT_AVX512) || defined(WEFT_AVX2) || defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA)
inline constexpr bool fused = true;
#else
inline constexpr bool fused = false;
#endif

WEFT_INLINE Floats constant(float c) { return native::broadcast(c); }
// c[0] + x * (c[1] + x * (...))
template <class... C> WEFT_INLINE Floats polynomial(Floats x, float c, C... rest) {
  if constexpr (sizeof...(rest) == 0)
    return constant(c);
  else
    return native::fma(polynomial(x, rest...), x, constant(c));
}

// x = quadrant * pi/2 + rest, |rest| <= pi/4, for |x| <= trigonometric_limit
inline constexpr float trigonometric_limit = 0x1p20f;
struct Reduced {
  Ints quadrant;
  Floats rest;
};
WEFT_INLINE Reduced reduce(Floats x) {
  const Floats n = native::nearest(x * constant(0x1.45f306p-1f));
  if constexpr (fused) {  // the first step is exact; pi/2 has 24 bits in each of the three constants
    Floats r = native::fma(n, constant(-0x1.921fb6p+0f), x);
    r = native::fma(n, constant(0x1.777a5cp-25f), r);
    return {native::truncate(n), native::fma(n, constant(0x1.ee59dap-50f), r)};
  } else {
    typedef double Doubles __attribute__((vector_size(2 * sizeof(Floats))));
    const Doubles m = __builtin_convertvector(n, Doubles);  // the first product is exact
    const Doubles r = __builtin_convertvector(x, Doubles) - m * 0x1.921fb544p+0 - m * 0x1.0b4611a626331p-34;
    return {native::truncate(n), __builtin_convertvector(r, Floats)};
  }
}
WEFT_INLINE Floats sine_of(Reduced a) {
  const Floats r = a.rest, z = r * r;
  const Floats sine = native::fma(r * z, polynomial(z, -0.1666665454f, 0.008332156058f, -0.0001951463231f), r);
  const Floats cosine =
      native::fma(z * z, polynomial(z, 0.04166664555f, -0.001388730987f, 2.443241287e-5f), native::fma(z, constant(-0.5f), constant(1.f)));
  const Floats value = native::blend(native::nonzero(a.quadrant & 1), cosine, sine);
  return native::floats(native::bits(value) ^ ((a.quadrant & 2) << 30));
}
template <class F> [[gnu::noinline, gnu::cold]] void each_lane(float (&x)[native::lanes], F f) {
  for (float& lane : x) lane = f(lane);
}
template <class F> WEFT_INLINE Packet by_lane(Packet a, F f) {
  float x[native::lanes];
  native::store(x, a.v);
  each_lane(x, f);
  return Packet(native::load(x));
}

}  // namespace detail

// exp(-inf) = 0; results below 2^-126 are subnormal, not flushed
WEFT_INLINE Packet exp(Packet a) {
  using namespace detail;
  const Floats x = native::min(constant(89.f), native::max(constant(-105.f), a.v));  // keeps NaN
  const Floats n = native::nearest(x * constant(0x1.715476p+0f));
  const Floats r = native::fma(n, constant(2.12194440e-4f), native::fma(n, constant(-0.693359375f), x));  // ln 2 in two parts
  const Floats p = polynomial(r, 0.4999999341f, 0.1666652011f, 0.04166839429f, 0.008368780455f, 0.001381446262f);
  return Packet(native::scale(native::fma(r * r, p, r) + constant(1.f), n));
}

// log(0) = -inf, log of a negative number is NaN
WEFT_INLINE Packet log(Packet a) {
  using namespace detail;
  const auto subnormal = native::less(a.v, constant(0x1p-126f));
  const Floats x = native::blend(subnormal, a.v * constant(0x1p23f), a.v);
  // x = 2^e * (1 + f), 1 + f in [sqrt(1/2), sqrt(2))
  const Ints exponent = (Ints)((Bits)x - 0x3f3504f3) >> 23;  // differences of bits wrap around
  const Floats f = (Floats)((Bits)x - ((Bits)exponent << 23)) - constant(1.f);
  const Floats e = native::convert(exponent) - native::blend(subnormal, constant(23.f), constant(0.f));
  const Floats p = polynomial(f, 0.3333331044f, -0.2499998665f, 0.2000222674f, -0.1666924813f, 0.1421865238f, -0.1238439632f, 0.1187307599f,
                              -0.1178954404f, 0.06914792444f);
  const Floats z = f * f, small = native::fma(e, constant(-2.12194440e-4f), f * z * p);
  Floats y = native::fma(z, constant(-0.5f), small) + f;
  y = native::fma(e, constant(0.693359375f), y);
  y = native::blend(native::equal(a.v, constant(INFINITY)), a.v, y);
  y = native::blend(native::equal(a.v, constant(0.f)), constant(-INFINITY), y);
  return Packet(native::blend(native::less_equal(constant(0.f), a.v), y, constant(NAN)));
}

// any argument; beyond 2^20 by the C library
WEFT_INLINE Packet sin(Packet a) {
  using namespace detail;
  if (native::any(native::less(constant(trigonometric_limit), abs(a).v))) [[unlikely]]
    return by_lane(a, [](float x) { return std::sin(x); });
  return Packet(sine_of(reduce(a.v)));
}
WEFT_INLINE Packet cos(Packet a) {
  using namespace detail;
  if (native::any(native::less(constant(trigonometric_limit), abs(a).v))) [[unlikely]]
    return by_lane(a, [](float x) { return std::cos(x); });
  Reduced r = reduce(a.v);
  r.quadrant += 1;
  return Packet(sine_of(r));
}

WEFT_INLINE Packet tanh(Packet a) {
  using namespace detail;
  const Floats x = abs(a).v, z = x * x;
  const Floats near = native::fma(x * z, polynomial(z, -0.3333328194f, 0.1333144215f, -0.0537397117f, 0.02063907782f, -0.00570497775f), x);
  const Floats far = constant(1.f) - constant(2.f) / (exp(Packet(x + x)).v + constant(1.f));
  const Floats y = native::blend(native::less(x, constant(0.625f)), near, far);
  return Packet(native::floats(native::bits(y) | (native::bits(a.v) & static_cast<std::int32_t>(0x80000000))));
}

}  // namespace weft::cpu
