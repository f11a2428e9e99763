// blocks: the formats of quantised weights, bit for bit those of ggml (github.com/ggml-org/ggml, src/ggml-common.h), little-endian. A block holds
// neighbouring elements of a row: small whole numbers ("digits") and the scale, sometimes also the minimum, that they share.
#pragma once
#include <weft/core/dtype.hpp>

namespace weft {

// ---- 32 elements; d, m: scale and minimum
struct q8_0 {  // x = d * q
  f16 d;
  std::int8_t q[32];
};
struct q4_0 {  // x = d * (q - 8); element j < 16 is the low half of byte j, element j + 16 the high half
  f16 d;
  std::uint8_t q[16];
};
struct q4_1 {  // x = d * q + m
  f16 d, m;
  std::uint8_t q[16];
};
struct q5_0 {  // x = d * (q - 16); bit j of `high` is the fifth bit of element j
  f16 d;
  std::uint8_t high[4];
  std::uint8_t q[16];
};
struct q5_1 {  // x = d * q + m
  f16 d, m;
  std::uint8_t high[4];
  std::uint8_t q[16];
};
// ---- 256 elements: groups of 32 (q6_k: 16) with scales of their own, which share the block's
struct q4_k {  // x = d * scale * q - dmin * minimum
  f16 d, dmin;
  std::uint8_t scales[12];  // 8 scales and 8 minima of 6 bits
  std::uint8_t q[128];
};
struct q5_k {
  f16 d, dmin;
  std::uint8_t scales[12];
  std::uint8_t high[32];
  std::uint8_t q[128];
};
struct q6_k {  // x = d * scale * (q - 32)
  std::uint8_t low[128];
  std::uint8_t high[64];
  std::int8_t scales[16];
  f16 d;
};
struct any_block {};  // the element type of a tensor whose format is known when it is bound

template <> inline constexpr DType dtype_of<q8_0> = DType::q8_0;
template <> inline constexpr DType dtype_of<q4_0> = DType::q4_0;
template <> inline constexpr DType dtype_of<q4_1> = DType::q4_1;
template <> inline constexpr DType dtype_of<q5_0> = DType::q5_0;
template <> inline constexpr DType dtype_of<q5_1> = DType::q5_1;
template <> inline constexpr DType dtype_of<q4_k> = DType::q4_k;
template <> inline constexpr DType dtype_of<q5_k> = DType::q5_k;
template <> inline constexpr DType dtype_of<q6_k> = DType::q6_k;
template <> inline constexpr DType dtype_of<any_block> = DType::any_block;

template <> struct type_of<DType::q8_0> { using type = q8_0; };
template <> struct type_of<DType::q4_0> { using type = q4_0; };
template <> struct type_of<DType::q4_1> { using type = q4_1; };
template <> struct type_of<DType::q5_0> { using type = q5_0; };
template <> struct type_of<DType::q5_1> { using type = q5_1; };
template <> struct type_of<DType::q4_k> { using type = q4_k; };
template <> struct type_of<DType::q5_k> { using type = q5_k; };
template <> struct type_of<DType::q6_k> { using type = q6_k; };
template <> struct type_of<DType::any_block> { using type = any_block; };

// a format with a layout of its own: sizeof(Block) bytes for block_elements(dtype_of<Block>) elements
template <class T> concept BlockFormat = !std::is_same_v<T, any_block> && is_block(dtype_of<T>);
static_assert(sizeof(q8_0) == 34 && sizeof(q4_0) == 18 && sizeof(q4_1) == 20 && sizeof(q5_0) == 22 && sizeof(q5_1) == 24);
static_assert(sizeof(q4_k) == 144 && sizeof(q5_k) == 176 && sizeof(q6_k) == 210);

// f(Block{}) for the type of a block format
template <class F> WEFT_HD constexpr decltype(auto) with_block(DType format, F&& f) {
  switch (format) {
    case DType::q4_0: return f(q4_0{});
    case DType::q4_1: return f(q4_1{});
    case DType::q5_0: return f(q5_0{});
    case DType::q5_1: return f(q5_1{});
    case DType::q4_k: return f(q4_k{});
    case DType::q5_k: return f(q5_k{});
    case DType::q6_k: return f(q6_k{});
    default: return f(q8_0{});
  }
}

}  // namespace weft
