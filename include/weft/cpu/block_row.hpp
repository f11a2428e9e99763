// block_row: rows of activations as digits of 8 bits, so that products with blocks of weights are products of small whole numbers.
//
// Groups of 32 elements share a scale. With m the largest magnitude of a group, in f32 arithmetic, each operation rounded to nearest even:
//   scale = m / 127,   digit = round to nearest even (x * (127 / m)),   x is taken for scale * digit
// and scale and digits are 0 where m < 2^-100. The error of an element is at most (0.5 + 2^-15) * m / 127.
#pragma once
#include "block_formats.hpp"

namespace weft::cpu {

// the format: a tag for row operands of products
struct digits {};

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

// A row in memory: digits in the order of steps (block_formats.hpp); the scale of each group; scale * sum of digits of each group; the sums of
// digits of each half of a group; groups in the order of lanes. Beyond k, up to a whole step, zeros. k is a multiple of 32.
struct QuantizedRow {
  static constexpr long group = 32;
  static constexpr long padded(long k) { return (k + detail::step_elements - 1) / detail::step_elements * detail::step_elements; }
  static constexpr long bytes(long k) { return (padded(k) / group * (group + 12) + 63) / 64 * 64; }
  static const std::int8_t* digits(const std::byte* row) { return reinterpret_cast<const std::int8_t*>(row); }
  static const float* scales(const std::byte* row, long k) { return reinterpret_cast<const float*>(row + padded(k)); }
  static const float* sums(const std::byte* row, long k) { return scales(row, k) + padded(k) / group; }
  static const std::int16_t* half_sums(const std::byte* row, long k) {
    return reinterpret_cast<const std::int16_t*>(sums(row, k) + padded(k) / group);
  }

  // where element i of the row lies
  static constexpr long place(long i) {
    constexpr long step = detail::step_elements;
    const long g = i % step / 32;
    return i / step * step + g / detail::pieces * (step / 4) + i % 32 / 16 * (step / 8) + g % detail::pieces * 16 + i % 16;
  }
  // where the numbers of group g lie
  static constexpr long lane(long g) {
    return g / detail::step_groups * detail::step_groups + detail::lane_of(static_cast<int>(g % detail::step_groups));
  }

  // row: k elements; out: bytes(k), 64-byte aligned
  static void quantize(const float* row, long k, std::byte* out) {
    const long groups = k / group, all = padded(k) / group;
    float* scale = reinterpret_cast<float*>(out + padded(k));
    float* sum = scale + all;
    std::int16_t* half_sum = reinterpret_cast<std::int16_t*>(sum + all);
    detail::quantize_groups(row, k, [&](const detail::QuantizedGroups& q, long first, int n) {
      for (int i = 0; i < n; ++i) {
        const long g = first + i;
        std::memcpy(out + place(g * group), q.digit[i], 16);
        std::memcpy(out + place(g * group + 16), q.digit[i] + 16, 16);
        scale[lane(g)] = q.scale[i];
        sum[lane(g)] = q.sum[i];
        half_sum[2 * lane(g)] = static_cast<std::int16_t>(static_cast<int>(q.low[i]));
        half_sum[2 * lane(g) + 1] = static_cast<std::int16_t>(static_cast<int>(q.high[i]));
      }
    });
    for (long g = groups; g < all; ++g) {
      std::memset(out + place(g * group), 0, 16);
      std::memset(out + place(g * group + 16), 0, 16);
      scale[lane(g)] = sum[lane(g)] = 0.f;
      half_sum[2 * lane(g)] = half_sum[2 * lane(g) + 1] = 0;
    }
  }
  static void dequantize(const std::byte* row, long k, float* out) {
    for (long i = 0; i < k; ++i) out[i] = scales(row, k)[lane(i / group)] * static_cast<float>(digits(row)[place(i)]);
  }
};

}  // namespace weft::cpu
