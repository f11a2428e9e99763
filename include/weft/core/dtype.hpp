// dtype: the number formats a tensor can be stored in. Arithmetic is always done in f32; a format decides what is read and written. Formats of
// quantised weights store whole blocks of neighbouring elements (core/blocks.hpp); all others store one element after another.
#pragma once
#include <cstdint>
#include <limits>
#include <type_traits>

#if defined(__CUDACC__)
#define WEFT_HD __host__ __device__
#else
#define WEFT_HD
#endif

namespace weft {

enum class DType : std::uint8_t {
  f32,
  bf16,
  f16,
  i32,
  // in blocks
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q4_k,
  q5_k,
  q6_k,
  any_block  // one of these; which is known when a tensor is bound
};

constexpr const char* name_of(DType t) {
  constexpr const char* names[] = {"f32",  "bf16", "f16",  "i32",  "q8_0", "q4_0",     "q4_1",
                                   "q5_0", "q5_1", "q4_k", "q5_k", "q6_k", "any_block"};
  return names[static_cast<int>(t)];
}

constexpr bool is_block(DType t) { return t >= DType::q8_0; }
// elements and bytes of the smallest piece that can be stored: of one element, or of one block. any_block has no size of its own.
constexpr int block_elements(DType t) { return !is_block(t) ? 1 : t >= DType::q4_k ? 256 : 32; }
constexpr int block_bytes(DType t) {
  constexpr int bytes[] = {4, 2, 2, 4, 34, 18, 20, 22, 24, 144, 176, 210, 0};
  return bytes[static_cast<int>(t)];
}
// of a plain format
constexpr int bytes_of(DType t) { return block_bytes(t); }
// the bytes of `elements` elements, a whole number of blocks
constexpr long bytes_for(DType t, long elements) { return elements / block_elements(t) * block_bytes(t); }

// the upper half of a float: 8 bits of exponent, 7 of mantissa
struct bf16 {
  std::uint16_t bits;
};
// IEEE binary16
struct f16 {
  std::uint16_t bits;
};

// std::bit_cast, which nvcc does not call in device code
template <class To, class From> WEFT_HD constexpr To bits_as(From x) { return __builtin_bit_cast(To, x); }

WEFT_HD constexpr float to_float(float x) { return x; }
WEFT_HD constexpr float to_float(std::int32_t x) { return static_cast<float>(x); }
WEFT_HD constexpr float to_float(bf16 x) { return bits_as<float>(static_cast<std::uint32_t>(x.bits) << 16); }
WEFT_HD constexpr float to_float(f16 x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16, exponent = x.bits >> 10 & 31u, mantissa = x.bits & 1023u;
  if (exponent == 31) return bits_as<float>(sign | 0x7f800000u | mantissa << 13);
  if (exponent != 0) return bits_as<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

// round to nearest, ties to even; NaN stays a (quiet) NaN
WEFT_HD constexpr bf16 to_bf16(float x) {
  const auto u = bits_as<std::uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>(u >> 16 | 64u)};
  return {static_cast<std::uint16_t>((u + 0x7fffu + (u >> 16 & 1u)) >> 16)};
}
WEFT_HD constexpr f16 to_f16(float x) {
  const auto u = bits_as<std::uint32_t>(x);
  const std::uint32_t sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
  if (a > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};
  if (a >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};  // rounds to 65536 or is infinite
  if (a < 0x38800000u) {  // subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits
    const float shifted = bits_as<float>(a) + 0.5f;
    return {static_cast<std::uint16_t>(sign | (bits_as<std::uint32_t>(shifted) - 0x3f000000u))};
  }
  return {static_cast<std::uint16_t>(sign | ((a + 0xfffu + (a >> 13 & 1u) - 0x38000000u) >> 13))};
}

template <class T> WEFT_HD constexpr T from_float(float x);
template <> WEFT_HD constexpr float from_float<float>(float x) { return x; }
template <> WEFT_HD constexpr std::int32_t from_float<std::int32_t>(float x) { return static_cast<std::int32_t>(x); }
template <> WEFT_HD constexpr bf16 from_float<bf16>(float x) { return to_bf16(x); }
template <> WEFT_HD constexpr f16 from_float<f16>(float x) { return to_f16(x); }

template <class T> inline constexpr DType dtype_of = [] {
  static_assert(sizeof(T) == 0, "weft knows no format for this type");
  return DType::f32;
}();
template <> inline constexpr DType dtype_of<float> = DType::f32;
template <> inline constexpr DType dtype_of<bf16> = DType::bf16;
template <> inline constexpr DType dtype_of<f16> = DType::f16;
template <> inline constexpr DType dtype_of<std::int32_t> = DType::i32;

template <DType> struct type_of;
template <> struct type_of<DType::f32> { using type = float; };
template <> struct type_of<DType::bf16> { using type = bf16; };
template <> struct type_of<DType::f16> { using type = f16; };
template <> struct type_of<DType::i32> { using type = std::int32_t; };

}  // namespace weft
