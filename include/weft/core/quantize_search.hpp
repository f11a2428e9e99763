// quantize_search: floats to blocks whose groups have scales of their own (q4_k, q5_k, q6_k). The format leaves open which scales are best;
// here they are found so that the sum of squared errors of each group becomes small:
//   1. per group, several trial scales around the one that spans the range of its elements: each gives digits, the digits give scale and
//      minimum by least squares, and these are kept if they err less than the best so far;
//   2. the largest of a block decide its f16 factors, and every group takes the nearest whole multiples of these, or a neighbour that errs
//      less.
#pragma once
#include <initializer_list>
#include <cstring>

#include "block_digits.hpp"

namespace weft::detail {

// Four floats that are computed together, on any CPU; compilers do not find them by themselves in these loops.
using Floats = float __attribute__((vector_size(16)));
inline Floats load_floats(const float* x) {
  Floats v;
  std::memcpy(&v, x, sizeof v);
  return v;
}
inline float sum_of(Floats v) { return (v[0] + v[2]) + (v[1] + v[3]); }

constexpr int nearest(float x) { return static_cast<int>(x < 0 ? x - 0.5f : x + 0.5f); }
constexpr int clamped(int x, int least, int most) { return x < least ? least : x > most ? most : x; }
// the nearest of 0, 1, ..., top
template <int top> Floats nearest_up_to(Floats x) {
  using Ints = int __attribute__((vector_size(16)));
  constexpr Floats lowest = {}, highest = {top, top, top, top};
  x = x > lowest ? x : lowest;
  x = x < highest ? x : highest;
  return __builtin_convertvector(__builtin_convertvector(x + 0.5f, Ints), Floats);
}

// ---- a group of 32: x ~ scale * q - minimum; q in 0 ... top; scale and minimum are not negative
struct GroupFit {
  float scale = 0, minimum = 0;
};
template <int top> float squared_error(const float* x, const GroupFit& fit) {
  const float r = inverse_scale(fit.scale);
  Floats sum = {};
  for (int j = 0; j < 32; j += 4) {
    const Floats v = load_floats(x + j), error = fit.scale * nearest_up_to<top>((v + fit.minimum) * r) - fit.minimum - v;
    sum += error * error;
  }
  return sum_of(sum);
}
// the least-squares scale and minimum for the digits that 1 / r gives; a scale of 0 says that there is none
template <int top> GroupFit refitted(const float* x, float minimum, float r) {
  Floats sum_q = {}, sum_qq = {}, sum_qx = {}, sum_x = {};
  for (int j = 0; j < 32; j += 4) {
    const Floats v = load_floats(x + j), q = nearest_up_to<top>((v + minimum) * r);
    sum_q += q;
    sum_qq += q * q;
    sum_qx += q * v;
    sum_x += v;
  }
  const float q1 = sum_of(sum_q), q2 = sum_of(sum_qq), qx = sum_of(sum_qx), x1 = sum_of(sum_x);
  const float determinant = 32 * q2 - q1 * q1;
  if (!(determinant > 0)) return {};
  GroupFit fit;
  fit.scale = (32 * qx - q1 * x1) / determinant;
  fit.minimum = (fit.scale * q1 - x1) / 32;
  if (fit.minimum < 0) fit = {qx / q2, 0};  // what is subtracted cannot lift a group
  return fit.scale > 0 ? fit : GroupFit{};
}
template <int top> GroupFit fit_of_group(const float* x) {
  const auto [least, most] = range_of<32>(x);
  const float low = least < 0 ? least : 0, width = most - low;
  if (!(width > 0)) return {0, -low};
  GroupFit best{width / top, -low};
  float best_error = squared_error<top>(x, best);
  for (int trial = -2; trial <= 5;
       ++trial) {  // longer steps leave digits unused, shorter ones cut off the extremes: both are worth a trial
    const auto fit = refitted<top>(x, -low, (static_cast<float>(top) + 0.3f * static_cast<float>(trial)) / width);
    const float error = fit.scale > 0 ? squared_error<top>(x, fit) : best_error;
    if (error < best_error) best = fit, best_error = error;
  }
  return best;
}

// q4_k, q5_k
template <int digits, class Block> void quantize_with_group_minima(const float* x, Block& b) {
  constexpr int top = digits - 1, most = 63;
  GroupFit fit[8];
  float scale = 0, minimum = 0;
  for (int j = 0; j < 8; ++j) {
    fit[j] = fit_of_group<top>(x + 32 * j);
    scale = fit[j].scale > scale ? fit[j].scale : scale;
    minimum = fit[j].minimum > minimum ? fit[j].minimum : minimum;
  }
  b.d = to_f16(scale / most);
  b.dmin = to_f16(minimum / most);
  const float d = to_float(b.d), dmin = to_float(b.dmin), rd = inverse_scale(d), rmin = inverse_scale(dmin);
  ScaleAndMinimum chosen[8];
  std::uint8_t digit[256];
  for (int j = 0; j < 8; ++j) {
    const float* group = x + 32 * j;
    const int near_scale = clamped(nearest(fit[j].scale * rd), 0, most), near_minimum = clamped(nearest(fit[j].minimum * rmin), 0, most);
    const auto fit_with = [&](int s, int m) { return GroupFit{d * static_cast<float>(s), dmin * static_cast<float>(m)}; };
    chosen[j] = {near_scale, near_minimum};
    float best_error = squared_error<top>(group, fit_with(near_scale, near_minimum));
    for (int s = clamped(near_scale - 1, 0, most); s <= clamped(near_scale + 1, 0, most); ++s)
      for (int m = clamped(near_minimum - 1, 0, most); m <= clamped(near_minimum + 1, 0, most); ++m) {
        const float error = squared_error<top>(group, fit_with(s, m));
        if (error < best_error) chosen[j] = {s, m}, best_error = error;
      }
    const auto rounded = fit_with(chosen[j].scale, chosen[j].minimum);
    const float r = inverse_scale(rounded.scale);
    for (int i = 0; i < 32; i += 4) {
      const Floats q = nearest_up_to<top>((load_floats(group + i) + rounded.minimum) * r);
      for (int k = 0; k < 4; ++k) digit[32 * j + i + k] = static_cast<std::uint8_t>(q[k]);
    }
  }
  pack_scales(chosen, b.scales);
  pack_digits(digit, b);
}

// ---- a group of 16: x ~ scale * (q - 32), q in 0 ... 63, the scale of either sign
inline Floats signed_digits(Floats x, float r) { return nearest_up_to<63>(x * r + 32.f) - 32.f; }
inline float squared_error_of_16(const float* x, float scale) {
  const float r = inverse_scale(scale);
  Floats sum = {};
  for (int j = 0; j < 16; j += 4) {
    const Floats v = load_floats(x + j), error = scale * signed_digits(v, r) - v;
    sum += error * error;
  }
  return sum_of(sum);
}
inline float fit_of_16(const float* x) {
  const float extreme = extreme_of<16>(x);
  float best = extreme / -32;  // the extreme becomes -32, of which there is no positive counterpart
  if (inverse_scale(best) == 0) return 0;
  float best_error = squared_error_of_16(x, best);
  for (int trial = -6; trial <= 6; ++trial) {
    const float r = (-32 + 0.25f * static_cast<float>(trial)) / extreme;
    Floats sum_qq = {}, sum_qx = {};
    for (int j = 0; j < 16; j += 4) {
      const Floats v = load_floats(x + j), q = signed_digits(v, r);
      sum_qq += q * q;
      sum_qx += q * v;
    }
    const float scale = sum_of(sum_qx) / sum_of(sum_qq), error = squared_error_of_16(x, scale);
    if (error < best_error) best = scale, best_error = error;
  }
  return best;
}

// q6_k
inline void quantize_with_group_scales(const float* x, q6_k& b) {
  float scale[16], extreme = 0;
  for (int j = 0; j < 16; ++j) {
    scale[j] = fit_of_16(x + 16 * j);
    const bool is_larger = (scale[j] < 0 ? -scale[j] : scale[j]) > (extreme < 0 ? -extreme : extreme);
    if (is_larger) extreme = scale[j];
  }
  b.d = to_f16(extreme / -128);
  const float d = to_float(b.d), r = inverse_scale(d);
  std::uint8_t digit[256];
  for (int j = 0; j < 16; ++j) {
    const float* group = x + 16 * j;
    const int near = clamped(nearest(scale[j] * r), -128, 127);
    int chosen = near;
    float best_error = squared_error_of_16(group, d * static_cast<float>(near));
    for (const int s : {near - 1, near + 1}) {
      if (s < -128 || s > 127) continue;
      const float error = squared_error_of_16(group, d * static_cast<float>(s));
      if (error < best_error) chosen = s, best_error = error;
    }
    b.scales[j] = static_cast<std::int8_t>(chosen);
    const float inverse = inverse_scale(d * static_cast<float>(chosen));
    for (int i = 0; i < 16; i += 4) {
      const Floats q = signed_digits(load_floats(group + i), inverse);
      for (int k = 0; k < 4; ++k) digit[16 * j + i + k] = static_cast<std::uint8_t>(q[k] + 32);
    }
  }
  pack_digits(digit, b);
}

}  // namespace weft::detail
