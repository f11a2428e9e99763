// blocks: groups of 32 elements of quantised weights (core/blocks.hpp), decoded in registers from bytes wherever those lie; and left
// operands that are quantised to such groups on their way into shared memory.
#pragma once
#include <weft/core/blocks.hpp>
#include <weft/cuda/numbers.cuh>

namespace weft::cuda {

// Digits of a group, four signed bytes a word: elements 4 w ... 4 w + 3 and 16 + 4 w ... 16 + 4 w + 3.
struct Digits {
  int first, second;
};
// x = scale[i / 16] * digit[i] + minimum, element i of a group
struct Scales {
  float scale[2], minimum;
};

template <class Block> inline constexpr bool has_minimum =
    std::is_same_v<Block, q4_1> || std::is_same_v<Block, q5_1> || std::is_same_v<Block, q4_k> || std::is_same_v<Block, q5_k>;
template <class Block> inline constexpr bool has_high_digits =
    std::is_same_v<Block, q5_0> || std::is_same_v<Block, q5_1> || std::is_same_v<Block, q5_k>;

// How the groups of a block are read. Blocks lie at even addresses, those whose size is a multiple of 4 at multiples of 4.
template <class Block> struct Decoder {
  static constexpr int groups = block_elements(dtype_of<Block>) / 32;
  static constexpr int zero = std::is_same_v<Block, q4_0> ? 8 : std::is_same_v<Block, q5_0> ? 16 : std::is_same_v<Block, q6_k> ? 32 : 0;

  WEFT_DEVICE static unsigned half(const unsigned char* p) { return *reinterpret_cast<const std::uint16_t*>(p); }
  WEFT_DEVICE static unsigned word(const unsigned char* p) {
    if constexpr (sizeof(Block) % 4 == 0)
      return *reinterpret_cast<const unsigned*>(p);
    else
      return half(p) | half(p + 2) << 16;
  }
  WEFT_DEVICE static float number_at(const unsigned char* p) { return number(f16{static_cast<std::uint16_t>(half(p))}); }
  // bits 0 ... 3 to the fifth bit of four bytes
  WEFT_DEVICE static unsigned fifth_bits(unsigned bits) { return ((bits & 15u) * 0x00204081u & 0x01010101u) << 4; }
  WEFT_DEVICE static int less_zero(unsigned w) {  // digits are below 128, so no byte borrows from the next
    if constexpr (zero == 0)
      return static_cast<int>(w);
    else
      return static_cast<int>(((w | 0x80808080u) - zero * 0x01010101u) ^ 0x80808080u);
  }

  WEFT_DEVICE static Digits digits(const unsigned char* block, int group, int w) {
    const int byte = 4 * w;
    if constexpr (std::is_same_v<Block, q8_0>) {
      return {static_cast<int>(word(block + 2 + byte)), static_cast<int>(word(block + 18 + byte))};
    } else if constexpr (groups == 1) {
      constexpr int start = static_cast<int>(sizeof(Block)) - 16;  // of the lower four bits
      const unsigned low = word(block + start + byte);
      unsigned first = low & 0x0f0f0f0fu, second = low >> 4 & 0x0f0f0f0fu;
      if constexpr (has_high_digits<Block>) {
        const unsigned high = word(block + start - 4) >> byte;
        first |= fifth_bits(high);
        second |= fifth_bits(high >> 16);
      }
      return {less_zero(first), less_zero(second)};
    } else if constexpr (std::is_same_v<Block, q6_k>) {
      const int shift = group % 4 * 2;
      const unsigned char *low = block + group / 4 * 64 + group % 2 * 32 + byte, *high = block + 128 + group / 4 * 32 + byte;
      const auto digit = [&](int at) {
        return (word(low + at) >> (shift & 4) & 0x0f0f0f0fu) | (word(high + at) >> shift & 0x03030303u) << 4;
      };
      return {less_zero(digit(0)), less_zero(digit(16))};
    } else {
      constexpr int start = static_cast<int>(sizeof(Block)) - 128;
      const unsigned char* low = block + start + group / 2 * 32 + byte;
      const auto digit = [&](int at) {
        unsigned d = word(low + at) >> group % 2 * 4 & 0x0f0f0f0fu;
        if constexpr (has_high_digits<Block>) d |= (word(block + 16 + byte + at) >> group & 0x01010101u) << 4;
        return static_cast<int>(d);
      };
      return {digit(0), digit(16)};
    }
  }
  WEFT_DEVICE static Scales scales(const unsigned char* block, int group) {
    if constexpr (std::is_same_v<Block, q6_k>) {
      const float d = number_at(block + 208);
      const unsigned pair = half(block + 192 + 2 * group);
      return {{d * static_cast<float>(static_cast<std::int8_t>(pair & 0xffu)), d * static_cast<float>(static_cast<std::int8_t>(pair >> 8))},
              0.f};
    } else if constexpr (groups == 8) {
      const int shift = group % 4 * 8;
      const unsigned a = word(block + 4) >> shift, b = word(block + 8) >> shift, c = word(block + 12) >> shift;
      const unsigned scale = group < 4 ? a & 63u : (c & 15u) | (a >> 2 & 48u),
                     minimum = group < 4 ? b & 63u : (c >> 4 & 15u) | (b >> 2 & 48u);
      const float s = number_at(block) * static_cast<float>(scale);
      return {{s, s}, -number_at(block + 2) * static_cast<float>(minimum)};
    } else {
      const float d = number_at(block);
      return {{d, d}, has_minimum<Block> ? number_at(block + 2) : 0.f};
    }
  }
};

// f(Decoder<Block>{}) of a block format; core's with_block may call functions of the host, too
template <class F> WEFT_DEVICE auto with_decoder(DType format, F f) {
  switch (format) {
    case DType::q4_0: return f(Decoder<q4_0>{});
    case DType::q4_1: return f(Decoder<q4_1>{});
    case DType::q5_0: return f(Decoder<q5_0>{});
    case DType::q5_1: return f(Decoder<q5_1>{});
    case DType::q4_k: return f(Decoder<q4_k>{});
    case DType::q5_k: return f(Decoder<q5_k>{});
    case DType::q6_k: return f(Decoder<q6_k>{});
    default: return f(Decoder<q8_0>{});
  }
}

// What is known of a format when it is compiled, or, of any_block, when it is bound: the functions of Decoder, sizes in bytes and groups.
template <class Block> struct Format {
  static constexpr int most_bytes_of_256 = static_cast<int>(sizeof(Block)) * 8 / Decoder<Block>::groups;
  static constexpr bool may_have_minimum = has_minimum<Block>, may_have_halves = std::is_same_v<Block, q6_k>;
  WEFT_BOTH explicit Format(DType) {}
  WEFT_BOTH int bytes() const { return static_cast<int>(sizeof(Block)); }
  WEFT_BOTH int groups() const { return Decoder<Block>::groups; }
  WEFT_DEVICE bool minimum() const { return may_have_minimum; }
  WEFT_DEVICE bool halves() const { return may_have_halves; }
  WEFT_DEVICE Digits digits(const unsigned char* block, int group, int w) const { return Decoder<Block>::digits(block, group, w); }
  WEFT_DEVICE Scales scales(const unsigned char* block, int group) const { return Decoder<Block>::scales(block, group); }
};
template <> struct Format<any_block> {
  static constexpr int most_bytes_of_256 = 8 * static_cast<int>(sizeof(q8_0));
  static constexpr bool may_have_minimum = true, may_have_halves = true;
  DType format;
  WEFT_BOTH explicit Format(DType f) : format(f) {}
  WEFT_BOTH int bytes() const {
    return with_block(format, [](auto block) { return static_cast<int>(sizeof(block)); });
  }
  WEFT_BOTH int groups() const { return format >= DType::q4_k ? 8 : 1; }
  WEFT_DEVICE bool minimum() const {
    return format == DType::q4_1 || format == DType::q5_1 || format == DType::q4_k || format == DType::q5_k;
  }
  WEFT_DEVICE bool halves() const { return format == DType::q6_k; }
  WEFT_DEVICE Digits digits(const unsigned char* block, int group, int w) const {
    return with_decoder(format, [&](auto d) { return d.digits(block, group, w); });
  }
  WEFT_DEVICE Scales scales(const unsigned char* block, int group) const {
    return with_decoder(format, [&](auto d) { return d.scales(block, group); });
  }
};

WEFT_DEVICE int digit_of(int word, int i) { return static_cast<int>(static_cast<std::int8_t>(word >> 8 * i & 0xff)); }

// a whole group, its digits in the order of the elements
template <class Block> struct Group {
  int word[8];
  Scales scales;

  WEFT_DEVICE static Group load(const Format<Block>& format, const unsigned char* block, int group) {
    Group g;
    g.scales = format.scales(block, group);
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      const Digits d = format.digits(block, group, w);
      g.word[w] = d.first;
      g.word[w + 4] = d.second;
    }
    return g;
  }
};

// element i of a tensor in blocks
template <class Block> WEFT_DEVICE float element_in_blocks(const void* blocks, DType dtype, long i) {
  const Format<Block> format(dtype);
  const long group = i / 32;
  const auto* block = static_cast<const unsigned char*>(blocks) + group / format.groups() * format.bytes();
  const int number = static_cast<int>(group % format.groups()), j = static_cast<int>(i % 32);
  const Digits d = format.digits(block, number, j % 16 / 4);
  const Scales s = format.scales(block, number);
  return s.scale[j / 16] * static_cast<float>(digit_of(j < 16 ? d.first : d.second, j % 4)) + s.minimum;
}

// ---- groups of 32 that lanes hold together: `width` neighbours each, one lane after the other

// the largest magnitude; all lanes that hold a group call it together
template <int width> WEFT_DEVICE float largest_of_group(const float (&v)[width]) {
  constexpr unsigned lanes = 32 / width;
  float largest = 0;
#pragma unroll
  for (int i = 0; i < width; ++i) largest = fmaxf(largest, fabsf(v[i]));
  const unsigned mask = lanes == 32 ? 0xffffffffu : ((1u << lanes % 32) - 1u) << (threadIdx.x % 32 / lanes * lanes);
#pragma unroll
  for (unsigned distance = lanes / 2; distance > 0; distance /= 2) largest = fmaxf(largest, __shfl_xor_sync(mask, largest, distance));
  return largest;
}
// the multiples of largest / 127 that are nearest to v
template <int width> WEFT_DEVICE void quantize(const float (&v)[width], float largest, int (&digit)[width]) {
  const float inverse = largest < 0x1p-100f ? 0.f : 127.f / largest;
#pragma unroll
  for (int i = 0; i < width; ++i) digit[i] = __float2int_rn(v[i] * inverse);
}
WEFT_DEVICE float scale_of_digits(float largest) { return largest < 0x1p-100f ? 0.f : largest / 127.f; }
// four digits in a word, the first in the lowest byte
WEFT_DEVICE unsigned word_of(const int* digit) {
  return (digit[0] & 0xffu) | (digit[1] & 0xffu) << 8 | (digit[2] & 0xffu) << 16 | static_cast<unsigned>(digit[3]) << 24;
}
// Stores the group whose first element of this lane is element `at` of a tensor in blocks, rounded as core/quantize.hpp does: to nearest,
// halves away from zero.
template <class Block, int width> WEFT_DEVICE void write_in_blocks(Block* blocks, long at, const float* v) {
  static_assert(std::is_same_v<Block, q8_0>, "results are stored in blocks of q8_0 only: the other formats are for weights");
  float own[width];
#pragma unroll
  for (int i = 0; i < width; ++i) own[i] = v[i];
  const float d = largest_of_group(own) / 127.f, r = d < 0x1p-120f ? 0.f : 1.f / d;
  Block& block = blocks[at / 32];
  const int first = static_cast<int>(at % 32);
#pragma unroll
  for (int i = 0; i < width; ++i) {
    const int digit = static_cast<int>(roundf(own[i] * r));
    if constexpr (width == 1)
      block.q[first] = static_cast<std::int8_t>(digit);
    else if (i % 2 == 0)
      *reinterpret_cast<std::uint16_t*>(block.q + first + i) =
          static_cast<std::uint16_t>((digit & 0xff) | static_cast<int>(roundf(own[i + 1 < width ? i + 1 : i] * r)) << 8);
  }
  if (first == 0) block.d = rounded<f16>(d);
}

// ---- A left operand as groups of digits in shared memory: nine words, of which the last is the scale. Lanes that read neighbouring groups
// hit different banks.
inline constexpr int digit_words = 9;

}  // namespace weft::cuda
