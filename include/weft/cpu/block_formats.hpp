// block_formats: how each format of blocks is taken apart, a step at a time. A step is 4 * pieces groups of 32 neighbouring elements (as many as a
// packet has lanes), spread over four pairs of vectors: group g has its first 16 digits in piece g % pieces of low[g / pieces], the other 16 in that
// of high[g / pieces], and its scale in lane lane_of(g). So groups become lanes when the lanes of four vectors of products are summed crosswise.
//
// An element is scale * (digit - zero) + offset, with the offsets of some formats and the zero of the others.
#pragma once
#include <weft/core/blocks.hpp>

#include <cstddef>

#include "block_simd.hpp"

namespace weft::cpu::detail {

inline constexpr int step_groups = native::lanes, step_elements = 32 * step_groups;

constexpr int lane_of(int group) { return group % pieces * 4 + group / pieces; }
constexpr int group_in(int lane) { return lane % 4 * pieces + lane / 4; }

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

  static constexpr int size = sizeof(Block);
  // bit i of the four bytes from `at` on, brought to byte i: which byte of the piece has it, and which bit of that byte
  template <int at> struct ByteWithBit {
    static constexpr int of(int i) { return at + i % 16 / 8; }
  };
  template <int at> struct HighByte {  // the same of four neighbouring blocks, `at` bytes into `high`
    static constexpr int of(int i) { return i / 16 * size + (has_offset ? 4 : 2) + at + i % 16 / 8; }
  };
  struct Bit {
    static constexpr int of(int i) { return 1 << i % 8; }
  };
  // of the half bytes, and where a bit of `low` or `high` is set, 16 more
  WEFT_INLINE static void part(Bytes both, Bytes& low, Bytes& high) {
    low = both & 15;
    high = (Bytes)((Bits)both >> 4) & 15;
  }
  WEFT_INLINE static Bytes fifth_bits(Bytes v) { return where_any(v, constant_bytes<Bit>(), 16); }
  template <class F> WEFT_INLINE static void steps(const Block* b, F f) {
    Step s;
#if defined(WEFT_VBMI)
    constexpr int first = offsetof(Block, q);
    struct Index {  // of the first 16 bytes of digits of four blocks
      static constexpr int of(int i) { return i / 16 * size + first + i % 16; }
    };
    if constexpr (has_bytes) {
      using Halves = Window<3 * size + first + 16>;
      const Halves low[4] = {Halves(b), Halves(b + 4), Halves(b + 8), Halves(b + 12)};
      unroll<4>([&](auto q) WEFT_FLAT {
        const Halves high(b[4 * q].q + 16 - first);
        s.low[q] = low[q].template pick<Index>() ^ static_cast<std::uint8_t>(zero);
        s.high[q] = high.template pick<Index>() ^ static_cast<std::uint8_t>(zero);
      });
      s.scale = window_lanes<size, 0>(low);
    } else {
      using Four = Window<4 * size>;
      const Four four[4] = {Four(b), Four(b + 4), Four(b + 8), Four(b + 12)};
      unroll<4>([&](auto q) WEFT_FLAT {
        part(four[q].template pick<Index>(), s.low[q], s.high[q]);
        if constexpr (has_high_bits) {
          s.low[q] |= fifth_bits(four[q].template pick<HighByte<0>>());
          s.high[q] |= fifth_bits(four[q].template pick<HighByte<2>>());
        }
      });
      s.scale = window_lanes<size, 0>(four);
      if constexpr (has_offset) s.offset = window_lanes<size, 2>(four);
    }
#else
    Bytes heads[4];
    unroll<4>([&](auto q) WEFT_FLAT {
      const Block* four = b + pieces * q;
      heads[q] = load_pieces<Spaced<size>>(four);
      if constexpr (has_bytes) {
        s.low[q] = load_pieces<Spaced<size>>(four->q) ^ static_cast<std::uint8_t>(zero);
        s.high[q] = load_pieces<Spaced<size>>(four->q + 16) ^ static_cast<std::uint8_t>(zero);
      } else {
        part(load_pieces<Spaced<size>>(four->q), s.low[q], s.high[q]);
        if constexpr (has_high_bits) {
          constexpr int first = has_offset ? 4 : 2;
          s.low[q] |= fifth_bits(pick_bytes<ByteWithBit<first>>(heads[q]));
          s.high[q] |= fifth_bits(pick_bytes<ByteWithBit<first + 2>>(heads[q]));
        }
      }
    });
    const native::Ints scales = first_lanes(heads);
    s.scale = f16_in_lanes(scales);
    if constexpr (has_offset) s.offset = f16_in_lanes((native::Ints)((Bits)scales >> 16));
#endif
    f(s, std::integral_constant<int, 0>{});
  }
};
template <> struct Digits<q8_0> : DigitsOf32<q8_0> {};
template <> struct Digits<q4_0> : DigitsOf32<q4_0> {};
template <> struct Digits<q4_1> : DigitsOf32<q4_1> {};
template <> struct Digits<q5_0> : DigitsOf32<q5_0> {};
template <> struct Digits<q5_1> : DigitsOf32<q5_1> {};

// ---- 256 elements: eight groups, four of a half of the block
template <class Block> struct GroupsOf256 {
  static constexpr int turn_steps = pieces == 1 ? 2 : 1, turn_blocks = pieces == 4 ? 2 : 1;
  // of vector q of step `number`: its block, and its first group there
  static constexpr int block_of(int number, int q) { return (number * step_groups + q * pieces) / 8; }
  static constexpr int group_of(int number, int q) { return (number * step_groups + q * pieces) % 8; }

  // of the bytes of two blocks, for each lane the one that Byte::of(group of its block) says
  template <class Byte, int number> WEFT_INLINE static native::Floats of_groups(Piece first, Piece second) {
    struct Index {
      static constexpr int of(int lane) {
        const int g = number * step_groups + group_in(lane % step_groups);
        return g / 8 * 16 + Byte::of(g % 8);
      }
    };
    alignas(16) std::int8_t bytes[16];
    const Piece in_lanes = [&]<int... i>(std::integer_sequence<int, i...>) WEFT_FLAT {
      return __builtin_shufflevector(first, second, Index::of(i)...);
    }
    (std::make_integer_sequence<int, 16>{});
    std::memcpy(bytes, &in_lanes, sizeof bytes);
    return load_digits(bytes);
  }
  // the numbers of the blocks, each in the lanes of its groups
  WEFT_INLINE static native::Floats of_blocks(f16 first, f16 second) {
    if constexpr (turn_blocks == 1) {
      (void)second;
      return native::broadcast(f16_value(first));
    } else {  // groups of the second block have odd pairs of lanes
      const std::uint64_t pairs = first.bits * 0x10001ull | second.bits * 0x10001ull << 32;
      typedef std::uint64_t Four __attribute__((vector_size(sizeof(native::Halves))));
      return widen((native::Halves)(Four{} + pairs), f16{});
    }
  }
};

// groups 2 p and 2 p + 1 share bytes 32 p ... 32 p + 31, the first has the low halves; bit g of byte j of `high` is the fifth bit of element j of
// group g
template <class Block> struct DigitsWithMinima : GroupsOf256<Block> {
  using Base = GroupsOf256<Block>;
  static constexpr int group = 32, zero = 0;
  static constexpr bool has_high_bits = requires(Block b) { b.high; };
  static constexpr bool has_offset = true;
  static constexpr int bound = has_high_bits ? 32 : 16;

  // pieces of neighbouring groups from the first one on, whose first (or second) halves they are
  template <int half> struct Which {
    static constexpr int of(int i) { return i / 2 * 2 + half; }
  };
  template <int first> struct HalfByte {
    static constexpr int of(int i) { return -4 * ((first + i) % 2); }
  };
  template <int first> struct Bit {
    static constexpr int of(int i) { return 1 << (first + i / 16); }
  };
  struct Scale {
    static constexpr int of(int g) { return g; }
  };
  struct Minimum {
    static constexpr int of(int g) { return 8 + g; }
  };
  // six-bit scales 0 ... 7, then minima 0 ... 7
  WEFT_INLINE static Piece small_scales(const std::uint8_t* s) {
    typedef std::uint32_t Four __attribute__((vector_size(16)));
    const Four all = (Four)load_piece(s);  // reaches into the digits
    const Four upper = (all >> 2 & 0x30303030) | (Four{all[2], all[2] >> 4, 0, 0} & 0x0f0f0f0f);
    return (Piece)__builtin_shufflevector(all & 0x3f3f3f3f, upper, 0, 4, 1, 5);
  }
  template <class F> WEFT_INLINE static void steps(const Block* b, F f) {
    const Block& second = b[Base::turn_blocks - 1];
    const Piece small = small_scales(b->scales), more = small_scales(second.scales);
    unroll<Base::turn_steps>([&](auto number) WEFT_FLAT {
      Step s;
      unroll<4>([&](auto q) WEFT_FLAT {
        constexpr int first = Base::group_of(number, q);
        const Block& block = b[Base::block_of(number, q)];
        const std::uint8_t* digits = block.q + first / 2 * 32;
        s.low[q] = rotate_lanes<HalfByte<first>>(choose_pieces<Which<0>>(digits)) & 15;
        s.high[q] = rotate_lanes<HalfByte<first>>(choose_pieces<Which<1>>(digits)) & 15;
        if constexpr (has_high_bits) {
          s.low[q] |= where_any(every_piece(block.high), constant_bytes<Bit<first>>(), 16);
          s.high[q] |= where_any(every_piece(block.high + 16), constant_bytes<Bit<first>>(), 16);
        }
      });
      s.scale = Base::of_blocks(b->d, second.d) * Base::template of_groups<Scale, number>(small, more);
      s.offset = Base::of_blocks(b->dmin, second.dmin) * -Base::template of_groups<Minimum, number>(small, more);
      f(s, number);
    });
  }
};
template <> struct Digits<q4_k> : DigitsWithMinima<q4_k> {};
template <> struct Digits<q5_k> : DigitsWithMinima<q5_k> {};

// groups of 16, in pairs of 32 elements: pairs 0 and 2 of a half share 32 bytes of `low`, 1 and 3 the next 32, pairs 2 and 3 have the high halves;
// two more bits of pair g are at bit 2 g of 32 bytes of `high`
template <> struct Digits<q6_k> : GroupsOf256<q6_k> {
  static constexpr int group = 16, zero = 32, bound = 64;
  static constexpr bool has_offset = false;

  template <int first, int half> struct Which {
    static constexpr int of(int i) { return (first + i) % 2 * 2 + half; }
  };
  template <int first> struct HalfByte {
    static constexpr int of(int i) { return -4 * ((first + i) / 2 % 2); }
  };
  template <int first> struct TwoBits {
    static constexpr int of(int i) { return 4 - 2 * ((first + i) % 4); }
  };
  template <int half> struct Scale {
    static constexpr int of(int g) { return 2 * g + half; }
  };
  template <class F> WEFT_INLINE static void steps(const q6_k* b, F f) {
    const q6_k& second = b[turn_blocks - 1];
    const Piece small = load_piece(b->scales), more = load_piece(second.scales);
    unroll<turn_steps>([&](auto number) WEFT_FLAT {
      Step s;
      unroll<4>([&](auto q) WEFT_FLAT {
        constexpr int first = group_of(number, q);
        const q6_k& block = b[block_of(number, q)];
        const auto digits = [&](auto half) WEFT_FLAT {
          const Bytes low = choose_pieces<Which<first, half>>(block.low + first / 4 * 64),
                      high = every_piece(block.high + first / 4 * 32 + 16 * half);
          return (rotate_lanes<HalfByte<first>>(low) & 15) | (rotate_lanes<TwoBits<first>>(high) & 0x30);
        };
        s.low[q] = digits(std::integral_constant<int, 0>{});
        s.high[q] = digits(std::integral_constant<int, 1>{});
      });
      const native::Floats d = of_blocks(b->d, second.d);
      s.scale = d * of_groups<Scale<0>, number>(small, more);
      s.scale_high = d * of_groups<Scale<1>, number>(small, more);
      f(s, number);
    });
  }
};

}  // namespace weft::cpu::detail
