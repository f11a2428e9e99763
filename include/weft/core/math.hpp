// math: the elementary functions that functors of formulas call, for float and double on the host and in device code.
//
// A functor is written once and works for float, double and the packets of cpu/simd.hpp:
//   struct Exp { template <class V> WEFT_HD static V apply(V a) { using math::exp; return exp(a); } };
// The using-declaration inside the function brings these overloads, argument-dependent lookup brings those of packets; a qualified call
// `math::exp(a)` would not see the latter. Packets offer the same names with the same meaning. Constants are written `V(0.5f)`.
//
// Truth values are numbers: 1 for true, 0 for false; `select` takes everything but 0 for true.
#pragma once
#include <cmath>

#include "dtype.hpp"

namespace weft::math {

WEFT_HD inline float exp(float a) { return ::expf(a); }
WEFT_HD inline float log(float a) { return ::logf(a); }
WEFT_HD inline float sin(float a) { return ::sinf(a); }
WEFT_HD inline float cos(float a) { return ::cosf(a); }
WEFT_HD inline float tanh(float a) { return ::tanhf(a); }
WEFT_HD inline float sqrt(float a) { return ::sqrtf(a); }
WEFT_HD inline float rsqrt(float a) { return 1.f / ::sqrtf(a); }
WEFT_HD inline float abs(float a) { return ::fabsf(a); }
WEFT_HD inline float floor(float a) { return ::floorf(a); }

WEFT_HD inline double exp(double a) { return ::exp(a); }
WEFT_HD inline double log(double a) { return ::log(a); }
WEFT_HD inline double sin(double a) { return ::sin(a); }
WEFT_HD inline double cos(double a) { return ::cos(a); }
WEFT_HD inline double tanh(double a) { return ::tanh(a); }
WEFT_HD inline double sqrt(double a) { return ::sqrt(a); }
WEFT_HD inline double rsqrt(double a) { return 1. / ::sqrt(a); }
WEFT_HD inline double abs(double a) { return ::fabs(a); }
WEFT_HD inline double floor(double a) { return ::floor(a); }

// a * b + c, rounded once where the target has the instruction, twice where it would have to be emulated
WEFT_HD inline float fma(float a, float b, float c) {
#if defined(__FMA__) || defined(__AVX512F__) || defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA) || defined(__CUDA_ARCH__)
  return ::fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
WEFT_HD inline double fma(double a, double b, double c) {
#if defined(__FMA__) || defined(__AVX512F__) || defined(__FP_FAST_FMA) || defined(__ARM_FEATURE_FMA) || defined(__CUDA_ARCH__)
  return ::fma(a, b, c);
#else
  return a * b + c;
#endif
}

// NaN if either is NaN (std::max would depend on the order of its operands)
WEFT_HD constexpr float max(float a, float b) { return a > b || a != a ? a : b; }
WEFT_HD constexpr float min(float a, float b) { return a < b || a != a ? a : b; }
WEFT_HD constexpr double max(double a, double b) { return a > b || a != a ? a : b; }
WEFT_HD constexpr double min(double a, double b) { return a < b || a != a ? a : b; }

WEFT_HD constexpr float less(float a, float b) { return a < b ? 1.f : 0.f; }
WEFT_HD constexpr float less_equal(float a, float b) { return a <= b ? 1.f : 0.f; }
WEFT_HD constexpr float equal(float a, float b) { return a == b ? 1.f : 0.f; }
WEFT_HD constexpr float select(float condition, float a, float b) { return condition != 0.f ? a : b; }
WEFT_HD constexpr double less(double a, double b) { return a < b ? 1. : 0.; }
WEFT_HD constexpr double less_equal(double a, double b) { return a <= b ? 1. : 0.; }
WEFT_HD constexpr double equal(double a, double b) { return a == b ? 1. : 0.; }
WEFT_HD constexpr double select(double condition, double a, double b) { return condition != 0. ? a : b; }

}  // namespace weft::math
