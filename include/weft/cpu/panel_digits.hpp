// panel_digits: how each format of blocks is taken apart where it lies in panels (core/panels.hpp): columns (the panel's rows) are lanes.
//
// Each 32 neighbouring elements along k are a group, made of eight quads; quad i of a packet of columns holds elements 4 i ... 4 i + 3 of
// each. An element is scale * (digit - zero) + offset, with the offsets of some formats and the zero of the others; with group_elements of
// 16 the last four quads have a scale of their own.
#pragma once
#include <weft/core/panels.hpp>

#include "block_simd.hpp"

namespace weft::cpu::detail {

WEFT_INLINE native::Floats f16_in_lanes(native::Ints v) { return cpu::detail::widen(native::narrow(v), f16{}); }

// Group g of a record, of the packet of columns from `column` on.
template <class Block> struct RecordOfPanel {
  const std::byte* record;
  int column, g;

  WEFT_INLINE RecordOfPanel(const std::byte* at, int first_column, int group) : record(at), column(first_column), g(group) {}
  WEFT_INLINE Bytes word(int i) const { return load_bytes(record + Panel<Block>::word(i) + 4 * column); }
  WEFT_INLINE native::Ints lanes_of(int i) const { return (native::Ints)word(i); }
  WEFT_INLINE native::Floats short_unit() const {
    return cpu::detail::widen(
        native::load(reinterpret_cast<const std::uint16_t*>(record + panel_rows * Panel<Block>::short_unit + 2 * column)), f16{});
  }
  WEFT_INLINE native::Floats low_f16(int i) const { return f16_in_lanes(lanes_of(i)); }
  WEFT_INLINE native::Floats high_f16(int i) const { return f16_in_lanes((native::Ints)((Bits)lanes_of(i) >> 16)); }
};

template <class Block> struct PanelDigits;

// ---- 32 elements: a group is a block
template <class Block> struct PanelDigitsOf32 : RecordOfPanel<Block> {
  using RecordOfPanel<Block>::RecordOfPanel;
  static constexpr int groups = 1, group_elements = 32;
  static constexpr bool has_high_bits = requires(Block b) { b.high; };
  static constexpr bool has_offset = requires(Block b) { b.m; };
  static constexpr bool has_bytes = std::is_same_v<Block, q8_0>;
  // the digit that stands for 0, and how many digits there are; without the instruction for whole bytes those of q8_0 keep their sign
  static constexpr int zero = has_offset ? 0 : has_bytes ? (has_byte_dot ? 128 : 0) : has_high_bits ? 16 : 8;
  static constexpr int bound = has_bytes ? (has_byte_dot ? 256 : 0) : has_high_bits ? 32 : 16;

  static constexpr int first_digits = (has_offset ? 1 : 0) + (has_high_bits ? 1 : 0);
  template <int i> struct HighByte {  // the byte of a column's high bits that has those of quad i
    static constexpr int of(int byte) { return byte % 16 / 4 * 4 + i / 2; }
  };
  template <int i> struct HighBit {
    static constexpr int of(int byte) { return 1 << (i % 2 * 4 + byte % 4); }
  };
  template <int i> WEFT_INLINE Bytes quad() const {
    if constexpr (has_bytes) {
      return this->word(i) ^ static_cast<std::uint8_t>(zero);
    } else {
      const Bytes both = this->word(first_digits + i % 4);
      const Bytes low = (i < 4 ? both : (Bytes)((Bits)both >> 4)) & 15;
      if constexpr (has_high_bits)
        return low | where_any(pick_bytes<HighByte<i>>(this->word(first_digits - 1)), constant_bytes<HighBit<i>>(), 16);
      else
        return low;
    }
  }
  WEFT_INLINE native::Floats scale() const {
    if constexpr (has_offset)
      return this->low_f16(0);
    else
      return this->short_unit();
  }
  WEFT_INLINE native::Floats offset() const { return this->high_f16(0); }
};
template <> struct PanelDigits<q8_0> : PanelDigitsOf32<q8_0> { using PanelDigitsOf32::PanelDigitsOf32; };
template <> struct PanelDigits<q4_0> : PanelDigitsOf32<q4_0> { using PanelDigitsOf32::PanelDigitsOf32; };
template <> struct PanelDigits<q4_1> : PanelDigitsOf32<q4_1> { using PanelDigitsOf32::PanelDigitsOf32; };
template <> struct PanelDigits<q5_0> : PanelDigitsOf32<q5_0> { using PanelDigitsOf32::PanelDigitsOf32; };
template <> struct PanelDigits<q5_1> : PanelDigitsOf32<q5_1> { using PanelDigitsOf32::PanelDigitsOf32; };

// ---- 256 elements in eight groups. Words: d and dmin, three of scales, in q5_k eight of fifth bits (bit g of a byte belongs to group g),
// 32 of half bytes: groups 2 p and 2 p + 1 share eight.
template <class Block> struct PanelDigitsWithMinima : RecordOfPanel<Block> {
  using RecordOfPanel<Block>::RecordOfPanel;
  static constexpr int groups = 8, group_elements = 32, zero = 0;
  static constexpr bool has_high_bits = requires(Block b) { b.high; }
  , has_offset = true;
  static constexpr int bound = has_high_bits ? 32 : 16, first_digits = has_high_bits ? 12 : 4;

  template <int i> WEFT_INLINE Bytes quad() const {
    const Bytes low = (Bytes)((Bits)this->word(first_digits + this->g / 2 * 8 + i) >> this->g % 2 * 4) & 15;
    if constexpr (has_high_bits)
      return low | (Bytes)((Bits)((Bytes)((Bits)this->word(4 + i) >> this->g) & 1) << 4);
    else
      return low;
  }
  // byte j of words 1 and 2 has six bits of scale and minimum j < 4 and the upper two of j + 4, whose lower halves are in word 3
  WEFT_INLINE native::Floats six_bits(int which) const {
    const int shift = this->g % 4 * 8;
    const Bits first = (Bits)this->word(1 + which) >> shift;
    if (this->g < 4) return native::convert((native::Ints)(first & 63));
    return native::convert((native::Ints)(((Bits)this->word(3) >> (shift + 4 * which) & 15) | (first >> 2 & 48)));
  }
  WEFT_INLINE native::Floats scale() const { return this->low_f16(0) * six_bits(0); }
  WEFT_INLINE native::Floats offset() const { return this->high_f16(0) * -six_bits(1); }
};
template <> struct PanelDigits<q4_k> : PanelDigitsWithMinima<q4_k> { using PanelDigitsWithMinima::PanelDigitsWithMinima; };
template <> struct PanelDigits<q5_k> : PanelDigitsWithMinima<q5_k> { using PanelDigitsWithMinima::PanelDigitsWithMinima; };

// ---- 256 elements in eight groups, each of two halves with their own scales. Words: 32 of half bytes, 16 of two upper bits, 4 of scales.
// Groups 0 and 2 of four share eight words of half bytes, 1 and 3 the next eight; their upper bits are at bit 2 g of the same bytes.
template <> struct PanelDigits<q6_k> : RecordOfPanel<q6_k> {
  using RecordOfPanel::RecordOfPanel;
  static constexpr int groups = 8, group_elements = 16, zero = 32, bound = 64;
  static constexpr bool has_offset = false;

  template <int i> WEFT_INLINE Bytes quad() const {
    const Bits low = (Bits)word(g / 4 * 16 + g % 2 * 8 + i) >> g % 4 / 2 * 4, high = (Bits)word(32 + g / 4 * 8 + i) >> g % 4 * 2;
    return ((Bytes)low & 15) | (Bytes)((Bits)((Bytes)high & 3) << 4);
  }
  template <int half> WEFT_INLINE native::Floats scale_of_half() const {
    const native::Ints four = lanes_of(48 + g / 2);
    return short_unit() * native::convert((native::Ints)((Bits)four << (24 - (g % 2 * 2 + half) * 8)) >> 24);
  }
  WEFT_INLINE native::Floats scale() const { return scale_of_half<0>(); }
  WEFT_INLINE native::Floats scale_high() const { return scale_of_half<1>(); }
};

// elements 4 i ... 4 i + 3 of a packet of columns, to the bit as the format defines them: scale * (digit - zero) + offset, each operation
// rounded
template <class Block, int i> WEFT_INLINE void expand_quad(const PanelDigits<Block>& w, native::Floats (&x)[4]) {
  using D = PanelDigits<Block>;
  const native::Ints quad = (native::Ints)w.template quad<i>();
  native::Floats scale;
  if constexpr (D::group_elements == 16 && i >= 4)
    scale = w.scale_high();
  else
    scale = w.scale();
  unroll<4>([&](auto e) WEFT_FLAT {
    native::Ints digit;
    if constexpr (D::bound == 0)
      digit = (native::Ints)((Bits)quad << (24 - 8 * e)) >> 24;
    else
      digit = (native::Ints)((Bits)quad >> 8 * e & 255) - D::zero;
    x[e] = native::convert(digit) * scale;
    if constexpr (D::has_offset) x[e] = x[e] + w.offset();
  });
}

}  // namespace weft::cpu::detail
