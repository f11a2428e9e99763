// blocks: groups of 32 elements of quantised weights (core/blocks.hpp), read from where they lie and decoded in registers; and left
// operands that are quantised to such groups on their way into shared memory.
#pragma once
#include <weft/core/blocks.hpp>
#include <weft/cuda/numbers.cuh>

namespace weft::cuda {

template <class T> inline constexpr bool is_decoded = std::is_same_v<T, q8_0> || std::is_same_v<T, q4_0>;

// a block: digits as four signed bytes a word, in the order of the elements, and their scale
template <class Block> struct Group {
  static_assert(is_decoded<Block>, "of the formats in blocks, devices read q8_0 and q4_0");
  int word[8];
  float scale;

  // Blocks lie at even addresses only, so they come in pieces of two bytes; the lanes of a warp read neighbouring blocks.
  WEFT_DEVICE static Group load(const Block* p) {
    const auto* half = reinterpret_cast<const std::uint16_t*>(p);
    const auto pair = [&](int i) { return static_cast<unsigned>(half[1 + 2 * i]) | static_cast<unsigned>(half[2 + 2 * i]) << 16; };
    Group g;
    g.scale = number(f16{half[0]});
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof(Block) - 2) / 4; ++i) {
      const unsigned w = pair(i);
      if constexpr (std::is_same_v<Block, q8_0>) {
        g.word[i] = static_cast<int>(w);
      } else {
        g.word[i] = less_eight(w & 0x0f0f0f0fu);
        g.word[i + 4] = less_eight(w >> 4 & 0x0f0f0f0fu);
      }
    }
    return g;
  }
  WEFT_DEVICE static int digit(int word, int i) { return static_cast<int>(static_cast<std::int8_t>(word >> 8 * i & 0xff)); }

 private:
  WEFT_DEVICE static int less_eight(unsigned w) { return static_cast<int>(((w | 0x80808080u) - 0x08080808u) ^ 0x80808080u); }
};

// element i of a tensor in blocks
template <class Block> WEFT_DEVICE float element_in_blocks(const Block* blocks, long i) {
  static_assert(is_decoded<Block>, "of the formats in blocks, devices read q8_0 and q4_0");
  const Block& b = blocks[i / 32];
  const int j = static_cast<int>(i % 32);
  if constexpr (std::is_same_v<Block, q8_0>)
    return number(b.d) * static_cast<float>(b.q[j]);
  else
    return number(b.d) * static_cast<float>((b.q[j % 16] >> j / 16 * 4 & 15) - 8);
}

// ---- A left operand as groups of digits in shared memory: nine words, of which the last is the scale. Lanes that read neighbouring groups
// hit different banks.
inline constexpr int digit_words = 9;

// What quantising `width` neighbours yields; all lanes that hold a group of 32 call it together, lane after lane. Returns the scale of the
// group.
template <int width> WEFT_DEVICE float scale_of_group(const float (&v)[width]) {
  constexpr unsigned lanes = 32 / width;
  float largest = 0;
#pragma unroll
  for (int i = 0; i < width; ++i) largest = fmaxf(largest, fabsf(v[i]));
  const unsigned mask = ((1u << lanes) - 1u) << (threadIdx.x % 32 / lanes * lanes);
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

}  // namespace weft::cuda
