// block_formats: how each format of blocks is taken apart, a step at a time. A step is 4 * pieces groups of 32 neighbouring elements (as many as a
// packet has lanes), spread over four pairs of vectors: group g has its first 16 digits in piece g / 4 of low[g % 4], the other 16 in that of
// high[g % 4], and its scale in lane g. So groups become lanes when the lanes of four vectors of products are summed crosswise.
//
// An element is scale * (digit - zero) + offset, with the offsets of some formats and the zero of the others.
#pragma once
#include <weft/core/blocks.hpp>

#include "block_simd.hpp"

namespace weft::cpu::detail {

inline constexpr int step_groups = native::lanes, step_elements = 32 * step_groups;

struct Step {
  Bytes low[4], high[4];
  native::Floats scale, scale_high;  // scale_high: of `high`, where groups have 16 elements
  native::Floats offset;             // where the format has offsets
};

// Digits<Block>::steps(blocks, f) hands turn_steps steps, made of turn_blocks blocks, to f(step, number of the step).
template <class Block> struct Digits;

WEFT_INLINE native::Floats f16_in_lanes(native::Ints v) { return cpu::detail::widen(native::narrow(v), f16{}); }

// ---- 32 elements: a group is a block
template <class Block> struct DigitsOf32 {
  static constexpr int group = 32, turn_steps = 1, turn_blocks = step_groups;
  static constexpr bool has_high_bits = requires(Block b) { b.high; };
  static constexpr bool has_offset = requires(Block b) { b.m; };
  static constexpr bool has_bytes = std::is_same_v<Block, q8_0>;
  // the digit that stands for 0, and how many digits there are; without the instruction for whole bytes those of q8_0 keep their sign
  static constexpr int zero = has_offset ? 0 : has_bytes ? (has_byte_dot ? 128 : 0) : has_high_bits ? 16 : 8;
  static constexpr int bound = has_bytes ? (has_byte_dot ? 256 : 0) : has_high_bits ? 32 : 16;

  using Places = Spaced<4 * sizeof(Block)>;  // of the groups of a vector
  // bit i of the four bytes from `at` on, brought to byte i: which byte of the piece has it, and which bit of that byte
  template <int at> struct ByteWithBit {
    static constexpr int of(int i) { return at + i % 16 / 8; }
  };
  struct Bit {
    static constexpr int of(int i) { return 1 << i % 8; }
  };
  template <class F> WEFT_INLINE static void steps(const Block* b, F f) {
    Step s;
    Bytes heads[4];
    unroll<4>([&](auto q) WEFT_FLAT {
      heads[q] = load_pieces<Places>(b + q);
      if constexpr (has_bytes) {
        s.low[q] = load_pieces<Places>(b[q].q) ^ static_cast<std::uint8_t>(zero);
        s.high[q] = load_pieces<Places>(b[q].q + 16) ^ static_cast<std::uint8_t>(zero);
      } else {
        const Bytes both = load_pieces<Places>(b[q].q);
        s.low[q] = both & 15;
        s.high[q] = (Bytes)((Bits)both >> 4) & 15;
        if constexpr (has_high_bits) {
          constexpr int first = has_offset ? 4 : 2;
          s.low[q] |= where_any(pick_bytes<ByteWithBit<first>>(heads[q]), constant_bytes<Bit>(), 16);
          s.high[q] |= where_any(pick_bytes<ByteWithBit<first + 2>>(heads[q]), constant_bytes<Bit>(), 16);
        }
      }
    });
    const native::Ints scales = first_lanes(heads);
    s.scale = f16_in_lanes(scales);
    if constexpr (has_offset) s.offset = f16_in_lanes((native::Ints)((Bits)scales >> 16));
    f(s, std::integral_constant<int, 0>{});
  }
};
template <> struct Digits<q8_0> : DigitsOf32<q8_0> {};
template <> struct Digits<q4_0> : DigitsOf32<q4_0> {};
template <> struct Digits<q4_1> : DigitsOf32<q4_1> {};
template <> struct Digits<q5_0> : DigitsOf32<q5_0> {};
template <> struct Digits<q5_1> : DigitsOf32<q5_1> {};

// ---- 256 elements: eight groups, four of a half of the block
template <class Block> struct HalvesOf256 {
  static constexpr int turn_steps = pieces == 1 ? 2 : 1, turn_blocks = pieces == 4 ? 2 : 1;
  // the places of the groups of a vector, if halves of a block are `half` bytes apart
  template <int half> struct Places {
    static constexpr int of(int i) { return i / 2 * int(sizeof(Block)) + i % 2 * half; }
  };
  // lanes: the digits of `turn_blocks` blocks times the blocks' factors
  template <class Factor> WEFT_INLINE static native::Floats times(Factor factor, native::Floats digits) {
    if constexpr (turn_blocks == 1) return digits * native::broadcast(factor(0));
    return digits * native::blend(native::first(8), native::broadcast(factor(0)), native::broadcast(factor(turn_blocks - 1)));
  }
};

// groups 2 p and 2 p + 1 share bytes 32 p ... 32 p + 31, the first has the low halves; bit g of byte j of `high` is the fifth bit of element j of
// group g
template <class Block> struct DigitsWithMinima : HalvesOf256<Block> {
  using Base = HalvesOf256<Block>;
  static constexpr int group = 32, zero = 0;
  static constexpr bool has_high_bits = requires(Block b) { b.high; };
  static constexpr bool has_offset = true;
  static constexpr int bound = has_high_bits ? 32 : 16;
  using Places = typename Base::template Places<64>;
  using HighPlaces = typename Base::template Places<0>;

  struct Bit {  // of group 0 of a half, at piece i / 16
    static constexpr int of(int i) { return i / 16 % 2 ? 16 : 1; }
  };
  // digits of groups 0 and 2, or 1 and 3 of each half
  template <int upper> WEFT_INLINE static void digits(const std::uint8_t* q, Bytes& even, Bytes& odd) {
    const Bytes both = load_pieces<Places>(q + 32 * upper);
    even = both & 15;
    odd = (Bytes)((Bits)both >> 4) & 15;
  }
  // six-bit scales 0 ... 7, then minima 0 ... 7
  WEFT_INLINE static Piece small_scales(const std::uint8_t* s) {
    typedef std::uint32_t Four __attribute__((vector_size(16)));
    const Four all = (Four)load_piece(s);  // reaches into the digits
    const Four upper = (all >> 2 & 0x30303030) | (Four{all[2], all[2] >> 4, 0, 0} & 0x0f0f0f0f);
    return (Piece)__builtin_shufflevector(all & 0x3f3f3f3f, upper, 0, 4, 1, 5);
  }
  template <class F> WEFT_INLINE static void steps(const Block* b, F f) {
    alignas(64) std::int8_t scale[16], minimum[16];
    unroll<Base::turn_blocks>([&](auto i) WEFT_FLAT {
      const Piece small = small_scales(b[i].scales);
      std::memcpy(scale + 8 * i, &small, 8);
      std::memcpy(minimum + 8 * i, reinterpret_cast<const std::byte*>(&small) + 8, 8);
    });
    unroll<Base::turn_steps>([&](auto number) WEFT_FLAT {
      constexpr int half = number;
      Step s;
      const std::uint8_t* q = b->q + 64 * half;
      digits<0>(q, s.low[0], s.low[1]);
      digits<1>(q, s.low[2], s.low[3]);
      digits<0>(q + 16, s.high[0], s.high[1]);
      digits<1>(q + 16, s.high[2], s.high[3]);
      if constexpr (has_high_bits) {
        const Bytes low = load_pieces<HighPlaces>(b->high), high = load_pieces<HighPlaces>(b->high + 16);
        unroll<4>([&](auto g) WEFT_FLAT {
          const Bytes bit = (Bytes)((Bits)constant_bytes<Bit>() << (g + 4 * half));
          s.low[g] |= where_any(low, bit, 16);
          s.high[g] |= where_any(high, bit, 16);
        });
      }
      s.scale = Base::times([&](int i) WEFT_FLAT { return f16_value(b[i].d); }, load_digits(scale + 4 * half));
      s.offset = Base::times([&](int i) WEFT_FLAT { return -f16_value(b[i].dmin); }, load_digits(minimum + 4 * half));
      f(s, number);
    });
  }
};
template <> struct Digits<q4_k> : DigitsWithMinima<q4_k> {};
template <> struct Digits<q5_k> : DigitsWithMinima<q5_k> {};

// groups of 16, in pairs of 32 elements: pair g of a half has four bits in half a byte of `low`, two more at bit 2 g of `high`
template <> struct Digits<q6_k> : HalvesOf256<q6_k> {
  static constexpr int group = 16, zero = 32, bound = 64;
  static constexpr bool has_offset = false;

  WEFT_INLINE static void digits(const std::uint8_t* low, const std::uint8_t* high, Bytes (&out)[4]) {
    const Bytes two = load_pieces<Places<32>>(high), even = load_pieces<Places<64>>(low), odd = load_pieces<Places<64>>(low + 32);
    out[0] = (even & 15) | (Bytes)((Bits)two << 4 & 0x30303030);
    out[1] = (odd & 15) | (Bytes)((Bits)two << 2 & 0x30303030);
    out[2] = ((Bytes)((Bits)even >> 4) & 15) | (two & 0x30);
    out[3] = ((Bytes)((Bits)odd >> 4) & 15) | (Bytes)((Bits)two >> 2 & 0x30303030);
  }
  template <class F> WEFT_INLINE static void steps(const q6_k* b, F f) {
    alignas(64) std::int8_t scale[2][16];
    unroll<turn_blocks>([&](auto i) WEFT_FLAT {
      const Piece all = load_piece(b[i].scales);
      const Piece parted = __builtin_shufflevector(all, all, 0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
      std::memcpy(scale[0] + 8 * i, &parted, 8);
      std::memcpy(scale[1] + 8 * i, reinterpret_cast<const std::byte*>(&parted) + 8, 8);
    });
    unroll<turn_steps>([&](auto number) WEFT_FLAT {
      constexpr int half = number;
      Step s;
      digits(b->low + 64 * half, b->high + 32 * half, s.low);
      digits(b->low + 64 * half + 16, b->high + 32 * half + 16, s.high);
      const auto d = [&](int i) WEFT_FLAT { return f16_value(b[i].d); };
      s.scale = times(d, load_digits(scale[0] + 4 * half));
      s.scale_high = times(d, load_digits(scale[1] + 4 * half));
      f(s, number);
    });
  }
};

}  // namespace weft::cpu::detail
