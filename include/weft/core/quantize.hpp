// quantize: rows of floats to the blocks of core/blocks.hpp and back. From blocks, and to q8_0 ... q5_1, the results are bit for bit those
// of ggml's reference (as its Python package gguf states it), with and without contraction into fused multiply-adds; to q4_k ... q6_k by a
// search of weft's own (core/quantize_search.hpp), which every reader of the format understands as well.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>

#include "error.hpp"
#include "quantize_search.hpp"

namespace weft {

namespace detail {

template <class T> concept HasScale = std::is_same_v<T, q4_0> || std::is_same_v<T, q5_0>;
template <class T> concept HasMinimum = std::is_same_v<T, q4_1> || std::is_same_v<T, q5_1>;
template <class T> concept HasGroupMinima = std::is_same_v<T, q4_k> || std::is_same_v<T, q5_k>;

// q4_0, q5_0: the extreme gets the lowest digit; the reference multiplies and adds in one rounding
template <int digits, class Block> void quantize_symmetric(const float* x, Block& b) {
  const float d = extreme_of<32>(x) / (-digits / 2), r = inverse_scale(d);
  b.d = to_f16(d);
  std::uint8_t digit[32];
  for (int j = 0; j < 32; ++j) {
    const int q = static_cast<int>(static_cast<float>(static_cast<double>(x[j]) * r + (digits / 2 + 0.5)));
    digit[j] = static_cast<std::uint8_t>(q < digits ? q : digits - 1);
  }
  pack_digits(digit, b);
}
// q4_1, q5_1: the least element gets digit 0, the largest one the highest. The product, exact in double, is rounded to float before 0.5 is
// added.
template <int digits, class Block> void quantize_with_minimum(const float* x, Block& b) {
  const auto [least, most] = range_of<32>(x);
  const float d = (most - least) / (digits - 1), r = inverse_scale(d);
  b.d = to_f16(d);
  b.m = to_f16(least);
  std::uint8_t digit[32];
  for (int j = 0; j < 32; ++j) {
    const int q = static_cast<int>(static_cast<float>(static_cast<double>(x[j] - least) * r) + 0.5f);
    digit[j] = static_cast<std::uint8_t>(q < digits ? q : digits - 1);
  }
  pack_digits(digit, b);
}

}  // namespace detail

// ---- one block to floats. Every product is exact in fp32: f16 has 11 significant bits, the scales of groups and the digits have at most
// 12 together. So only the last addition rounds, and a fused multiply-add gives the same bits.

inline void dequantize(const q8_0& b, float* x) {
  const float d = to_float(b.d);
  for (int j = 0; j < 32; ++j) x[j] = d * static_cast<float>(b.q[j]);
}
template <detail::HasScale Block> void dequantize(const Block& b, float* x) {
  constexpr int offset = std::is_same_v<Block, q4_0> ? 8 : 16;
  std::uint8_t digit[32];
  detail::unpack_digits(b, digit);
  const float d = to_float(b.d);
  for (int j = 0; j < 32; ++j) x[j] = d * static_cast<float>(digit[j] - offset);
}
template <detail::HasMinimum Block> void dequantize(const Block& b, float* x) {
  std::uint8_t digit[32];
  detail::unpack_digits(b, digit);
  const float d = to_float(b.d), m = to_float(b.m);
  for (int j = 0; j < 32; ++j) x[j] = d * static_cast<float>(digit[j]) + m;
}
template <detail::HasGroupMinima Block> void dequantize(const Block& b, float* x) {
  std::uint8_t digit[256];
  detail::unpack_digits(b, digit);
  const float d = to_float(b.d), dmin = to_float(b.dmin);
  for (int j = 0; j < 8; ++j) {
    const auto [scale, minimum] = detail::unpack_scale(b.scales, j);
    const float s = d * static_cast<float>(scale), m = dmin * static_cast<float>(minimum);
    for (int i = 32 * j; i < 32 * j + 32; ++i) x[i] = s * static_cast<float>(digit[i]) - m;
  }
}
inline void dequantize(const q6_k& b, float* x) {
  std::uint8_t digit[256];
  detail::unpack_digits(b, digit);
  const float d = to_float(b.d);
  for (int j = 0; j < 16; ++j) {
    const float s = d * static_cast<float>(b.scales[j]);
    for (int i = 16 * j; i < 16 * j + 16; ++i) x[i] = s * static_cast<float>(digit[i] - 32);
  }
}

// ---- floats to one block: 32 elements, or 256. All are finite and at most 65504 in magnitude, which is what f16 can hold.

inline void quantize(const float* x, q8_0& b) {
  const auto [least, most] = detail::range_of<32>(x);
  const float d = std::fabs(most > -least ? most : least) / 127, r = detail::inverse_scale(d);
  b.d = to_f16(d);
  for (int j = 0; j < 32; ++j) {  // to nearest, halves away from zero
    const float v = static_cast<float>(static_cast<double>(x[j]) * r);
    const int whole = static_cast<int>(v);
    const float rest = v - static_cast<float>(whole);
    b.q[j] = static_cast<std::int8_t>(whole + (rest >= 0.5f) - (rest <= -0.5f));
  }
}
inline void quantize(const float* x, q4_0& b) { detail::quantize_symmetric<16>(x, b); }
inline void quantize(const float* x, q4_1& b) { detail::quantize_with_minimum<16>(x, b); }
inline void quantize(const float* x, q5_0& b) { detail::quantize_symmetric<32>(x, b); }
inline void quantize(const float* x, q5_1& b) { detail::quantize_with_minimum<32>(x, b); }

inline void quantize(const float* x, q4_k& b) { detail::quantize_with_group_minima<16>(x, b); }
inline void quantize(const float* x, q5_k& b) { detail::quantize_with_group_minima<32>(x, b); }
inline void quantize(const float* x, q6_k& b) { detail::quantize_with_group_scales(x, b); }

// ---- rows of any floating-point format; addresses need no alignment

namespace detail {

inline void expect_row(DType format, long elements) {
  if (format == DType::i32 || format == DType::any_block)
    throw Error(std::string("quantize: expected a floating-point or a block format, found ") + name_of(format));
  if (elements < 0 || elements % block_elements(format) != 0)
    throw Error(std::string("quantize: ") + name_of(format) + ": expected a multiple of " + std::to_string(block_elements(format)) +
                " elements, found " + std::to_string(elements));
}
template <class Element> void read_elements(const std::byte* from, long elements, float* to) {
  for (long i = 0; i < elements; ++i) {
    Element element;
    std::memcpy(&element, from + i * static_cast<long>(sizeof(Element)), sizeof(Element));
    to[i] = to_float(element);
  }
}
template <class Element> void write_elements(const float* from, long elements, std::byte* to) {
  for (long i = 0; i < elements; ++i) {
    const auto element = from_float<Element>(from[i]);
    std::memcpy(to + i * static_cast<long>(sizeof(Element)), &element, sizeof(Element));
  }
}

}  // namespace detail

// `elements` elements stored in `format` to floats. Throws Error when they are no whole blocks, or i32.
inline void dequantize_row(DType format, const std::byte* from, long elements, float* to) {
  detail::expect_row(format, elements);
  switch (format) {
    case DType::f32: return detail::read_elements<float>(from, elements, to);
    case DType::bf16: return detail::read_elements<bf16>(from, elements, to);
    case DType::f16: return detail::read_elements<f16>(from, elements, to);
    default: break;
  }
  with_block(format, [&]<class Block>(Block block) {
    constexpr long n = block_elements(dtype_of<Block>);
    for (long i = 0; i < elements; i += n, from += sizeof(Block)) {
      std::memcpy(&block, from, sizeof(Block));
      dequantize(block, to + i);
    }
  });
}

// Floats to `format`: blocks as above, plain formats rounded to nearest even. Throws Error when they are no whole blocks, or i32.
inline void quantize_row(const float* from, long elements, DType format, std::byte* to) {
  detail::expect_row(format, elements);
  switch (format) {
    case DType::f32: return detail::write_elements<float>(from, elements, to);
    case DType::bf16: return detail::write_elements<bf16>(from, elements, to);
    case DType::f16: return detail::write_elements<f16>(from, elements, to);
    default: break;
  }
  with_block(format, [&]<class Block>(Block block) {
    constexpr long n = block_elements(dtype_of<Block>);
    for (long i = 0; i < elements; i += n, to += sizeof(Block)) {
      quantize(from + i, block);
      std::memcpy(to, &block, sizeof(Block));
    }
  });
}

}  // namespace weft
