// row_digits: rows of activations as digits of 8 bits, so that products with blocks of weights are products of small whole numbers.
//
// Groups of 32 elements share a scale. With m the largest magnitude of a group, in f32 arithmetic, each operation rounded to nearest even:
//   scale = m / 127,   digit = round to nearest even (x * (127 / m)),   x is taken for scale * digit
// and scale and digits are 0 where m < 2^-100. The error of an element is at most (0.5 + 2^-15) * m / 127.
#pragma once
#include "block_simd.hpp"

namespace weft::cpu {

// the format: a tag for row operands of products
struct digits {};

// 32 neighbours. The groups of rows that are multiplied together lie side by side: [group][row].
struct DigitGroup {
  static constexpr long elements = 32;
  std::int8_t digit[elements];
  float scale, scaled_sum;  // scaled_sum: scale * the sum of the digits
  // minus the sum of the digits, times 8, 16 and 128; of the first 16, of the others, times 32: what a digit that stands for 0 contributes
  std::int32_t minus_8_sums, minus_16_sums, minus_128_sums, minus_32_low_sums, minus_32_high_sums;
};

namespace detail {

// f over the lanes of v[i] in lane i % 4
template <class F> WEFT_INLINE native::Floats across_lanes(const native::Floats (&v)[4], F f) {
  using native::Floats, native::Ints;
  const auto fold = [&](Ints a, Ints b) WEFT_FLAT { return (Ints)f((Floats)a, (Floats)b); };
  const auto first = fold(unpack<0>((Ints)v[0], (Ints)v[1]), unpack<1>((Ints)v[0], (Ints)v[1]));
  const auto second = fold(unpack<0>((Ints)v[2], (Ints)v[3]), unpack<1>((Ints)v[2], (Ints)v[3]));
  Floats all = (Floats)fold(unpack_long<0>(first, second), unpack_long<1>(first, second));
  if constexpr (native::lanes >= 16) all = f(all, shuffle<Rotate<8>>(all, all));
  if constexpr (native::lanes >= 8) all = f(all, shuffle<Rotate<4>>(all, all));
  return all;
}

// Four groups, so that they share their reductions and divisions.
struct QuantizedGroups {
  alignas(64) std::byte digit[4][32];
  alignas(64) float scale[native::lanes], low[native::lanes], high[native::lanes],
      sum[native::lanes];  // the first 4; low, high: sums of digits

  // x: 128 elements
  WEFT_INLINE explicit QuantizedGroups(const float* x) {
    using native::Floats;
    constexpr int lanes = native::lanes, packets = 32 / lanes;
    const auto larger = [](Floats a, Floats b) WEFT_FLAT {  // of magnitudes; NaN is the largest
      return (Floats)((native::Ints)a > (native::Ints)b ? (native::Ints)a : (native::Ints)b);
    };
    Floats most[4];
    unroll<4>([&](auto g) WEFT_FLAT {
      most[g] = abs(load(x + g * 32)).v;
      unroll<packets - 1>([&](auto i) WEFT_FLAT { most[g] = larger(most[g], abs(load(x + g * 32 + (i + 1) * lanes)).v); });
    });
    const Floats m = across_lanes(most, larger), none = native::broadcast(0.f), n127 = native::broadcast(127.f);
    const auto vanishes = native::less(m, native::broadcast(0x1p-100f));
    alignas(64) float inverse[lanes];
    native::store(inverse, native::blend(vanishes, none, n127 / m));
    const Floats scales = native::blend(vanishes, none, m / n127);
    Floats total[2][4] = {};
    unroll<4>([&](auto g) WEFT_FLAT {
      unroll<packets>([&](auto i) WEFT_FLAT {
        constexpr int half = i / (packets / 2);
        const Floats q = native::nearest(native::load(x + g * 32 + i * lanes) * native::broadcast(inverse[g]));
        total[half][g] = i % (packets / 2) ? total[half][g] + q : q;
        store_low_bytes(digit[g] + i * lanes, native::truncate(q));
      });
    });
    const auto add = [](Floats a, Floats b) WEFT_FLAT { return a + b; };
    const Floats lows = across_lanes(total[0], add), highs = across_lanes(total[1], add);
    native::store(scale, scales);
    native::store(low, lows);
    native::store(high, highs);
    native::store(sum, scales * (lows + highs));
  }
};
// f(quantized groups, number of the first one, how many there are) for a row of k elements
template <class F> WEFT_INLINE void quantize_groups(const float* row, long k, F f) {
  long at = 0;
  for (; at + 128 <= k; at += 128) f(QuantizedGroups(row + at), at / 32, 4);
  if (at < k) {
    alignas(64) float last[128] = {};
    std::memcpy(last, row + at, static_cast<std::size_t>(k - at) * sizeof(float));
    f(QuantizedGroups(last), at / 32, static_cast<int>((k - at) / 32));
  }
}

}  // namespace detail

// row: k elements, a multiple of 32; its groups go to out, out + step, ...
inline void quantize_row_digits(const float* row, long k, DigitGroup* out, long step) {
  detail::quantize_groups(row, k, [&](const detail::QuantizedGroups& q, long, int n) {
    for (int g = 0; g < n; ++g, out += step) {
      std::memcpy(out->digit, q.digit[g], sizeof out->digit);
      out->scale = q.scale[g];
      out->scaled_sum = q.sum[g];
      const auto low = static_cast<std::int32_t>(q.low[g]), high = static_cast<std::int32_t>(q.high[g]);
      out->minus_8_sums = -8 * (low + high);
      out->minus_16_sums = -16 * (low + high);
      out->minus_128_sums = -128 * (low + high);
      out->minus_32_low_sums = -32 * low;
      out->minus_32_high_sums = -32 * high;
    }
  });
}

}  // namespace weft::cpu
