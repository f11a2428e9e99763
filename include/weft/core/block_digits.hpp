// block_digits: the digits and the scales of groups of a block, taken out of its bytes and put back; and the range of its elements.
#pragma once
#include "blocks.hpp"

namespace weft::detail {

template <class T> concept BlockOf32 = BlockFormat<T> && block_elements(dtype_of<T>) == 32;
template <class T> concept BlockOf256 = BlockFormat<T> && block_elements(dtype_of<T>) == 256;

// ---- digits: the whole numbers of a block, from 0 upwards, in the order of the elements

inline void unpack_low(const std::uint8_t (&q)[16], std::uint8_t* digit) {
  for (int j = 0; j < 16; ++j) {
    digit[j] = q[j] & 15;
    digit[j + 16] = q[j] >> 4;
  }
}
inline void pack_low(const std::uint8_t* digit, std::uint8_t (&q)[16]) {
  for (int j = 0; j < 16; ++j) q[j] = static_cast<std::uint8_t>((digit[j] & 15) | (digit[j + 16] & 15) << 4);
}
template <class Block> inline constexpr bool has_high_bits = requires(Block b) { b.high; };

template <BlockOf32 Block> void unpack_digits(const Block& b, std::uint8_t* digit) {
  unpack_low(b.q, digit);
  if constexpr (has_high_bits<Block>)
    for (int j = 0; j < 32; ++j) digit[j] = static_cast<std::uint8_t>(digit[j] | (b.high[j / 8] >> j % 8 & 1) << 4);
}
template <BlockOf32 Block> void pack_digits(const std::uint8_t* digit, Block& b) {
  pack_low(digit, b.q);
  if constexpr (has_high_bits<Block>)
    for (int i = 0; i < 4; ++i) {
      unsigned bits = 0;
      for (int j = 0; j < 8; ++j) bits |= (digit[8 * i + j] >> 4 & 1u) << j;
      b.high[i] = static_cast<std::uint8_t>(bits);
    }
}
// q4_k, q5_k: byte l of pair p holds element 64 p + l and, above it, element 64 p + 32 + l; their fifth bits are bits 2 p and 2 p + 1 of
// high[l]
template <BlockOf256 Block> void unpack_digits(const Block& b, std::uint8_t* digit) {
  for (int p = 0; p < 4; ++p)
    for (int l = 0; l < 32; ++l) {
      int low = b.q[32 * p + l] & 15, high = b.q[32 * p + l] >> 4;
      if constexpr (has_high_bits<Block>) {
        low |= (b.high[l] >> 2 * p & 1) << 4;
        high |= (b.high[l] >> (2 * p + 1) & 1) << 4;
      }
      digit[64 * p + l] = static_cast<std::uint8_t>(low);
      digit[64 * p + 32 + l] = static_cast<std::uint8_t>(high);
    }
}
template <BlockOf256 Block> void pack_digits(const std::uint8_t* digit, Block& b) {
  for (int p = 0; p < 4; ++p)
    for (int l = 0; l < 32; ++l) b.q[32 * p + l] = static_cast<std::uint8_t>((digit[64 * p + l] & 15) | (digit[64 * p + 32 + l] & 15) << 4);
  if constexpr (has_high_bits<Block>)
    for (int l = 0; l < 32; ++l) {
      unsigned bits = 0;
      for (int j = 0; j < 8; ++j) bits |= (digit[32 * j + l] >> 4 & 1u) << j;
      b.high[l] = static_cast<std::uint8_t>(bits);
    }
}
// q6_k, in halves of 128 elements: quarter k of a half has its low bits in half a byte and its high bits at bit 2 k of a byte
inline void unpack_digits(const q6_k& b, std::uint8_t* digit) {
  for (int half = 0; half < 2; ++half)
    for (int k = 0; k < 4; ++k)
      for (int l = 0; l < 32; ++l) {
        const int low = b.low[64 * half + 32 * (k & 1) + l] >> (k < 2 ? 0 : 4) & 15, high = b.high[32 * half + l] >> 2 * k & 3;
        digit[128 * half + 32 * k + l] = static_cast<std::uint8_t>(low | high << 4);
      }
}
inline void pack_digits(const std::uint8_t* digit, q6_k& b) {
  for (int half = 0; half < 2; ++half)
    for (int l = 0; l < 32; ++l) {
      const std::uint8_t* d = digit + 128 * half + l;
      for (int k = 0; k < 2; ++k) b.low[64 * half + 32 * k + l] = static_cast<std::uint8_t>((d[32 * k] & 15) | (d[32 * k + 64] & 15) << 4);
      b.high[32 * half + l] = static_cast<std::uint8_t>(d[0] >> 4 | d[32] >> 4 << 2 | d[64] >> 4 << 4 | d[96] >> 4 << 6);
    }
}

// ---- the six-bit scales and minima of q4_k and q5_k, j = 0 ... 7
struct ScaleAndMinimum {
  int scale, minimum;
};
constexpr ScaleAndMinimum unpack_scale(const std::uint8_t (&s)[12], int j) {
  if (j < 4) return {s[j] & 63, s[j + 4] & 63};
  return {(s[j + 4] & 15) | s[j - 4] >> 6 << 4, s[j + 4] >> 4 | s[j] >> 6 << 4};
}
constexpr void pack_scales(const ScaleAndMinimum (&values)[8], std::uint8_t (&s)[12]) {
  for (int j = 0; j < 4; ++j) {
    const auto [scale, minimum] = values[j + 4];
    s[j] = static_cast<std::uint8_t>(values[j].scale | scale >> 4 << 6);
    s[j + 4] = static_cast<std::uint8_t>(values[j].minimum | minimum >> 4 << 6);
    s[j + 8] = static_cast<std::uint8_t>((scale & 15) | (minimum & 15) << 4);
  }
}

// 1 / d; 0 for a scale so small that it is 0 in f16 and the digits do not matter
constexpr float inverse_scale(float d) { return d < 0x1p-120f && d > -0x1p-120f ? 0.f : 1.f / d; }

struct Range {
  float least, most;
};
template <int n> Range range_of(const float* x) {  // eight lanes, so that compilers vectorise it
  constexpr int lanes = 8;
  float least[lanes], most[lanes];
  for (int l = 0; l < lanes; ++l) least[l] = most[l] = x[l];
  for (int j = lanes; j < n; j += lanes)
    for (int l = 0; l < lanes; ++l) {
      least[l] = x[j + l] < least[l] ? x[j + l] : least[l];
      most[l] = x[j + l] > most[l] ? x[j + l] : most[l];
    }
  Range range{least[0], most[0]};
  for (int l = 1; l < lanes; ++l) {
    range.least = least[l] < range.least ? least[l] : range.least;
    range.most = most[l] > range.most ? most[l] : range.most;
  }
  return range;
}
// the element of largest magnitude, the first one of equals
template <int n> float extreme_of(const float* x) {
  const auto [least, most] = range_of<n>(x);
  if (most > -least) return most;
  if (most < -least) return least;
  int j = 0;
  while (x[j] != most && x[j] != least) ++j;
  return x[j];
}

}  // namespace weft::detail
