// quantised_programs: formulas over weights in blocks: multiplied exactly, multiplied in whole numbers, gathered from, read by a map.
#pragma once
#include <weft/nn/layers.hpp>

namespace weft::in_blocks {

// W: the format of the weights
template <class W, long hidden = 256, long inter = 512, long kv_heads = 2, long group = 3, long head_dim = 64> struct Of {
  using Hidden = Axis<"hidden", hidden>;
  using Inter = Axis<"inter", inter>;
  using Row = Axis<"row", 48>;
  static constexpr Input<"x", float, Token, Hidden> x{};
  static constexpr Input<"act", bf16, Token, Inter> act{};
  static constexpr Input<"ids", std::int32_t, Token> ids{};
  static constexpr Input<"gain", float, Hidden> gain{};
  static constexpr Input<"gate", W, Inter, Hidden> gate{};
  static constexpr Input<"up", W, Inter, Hidden> up{};
  static constexpr Input<"down", W, Hidden, Inter> down{};
  static constexpr Input<"table", W, Row, Hidden> table{};
  static constexpr Output<"y", float, Token, Hidden> y{};
  static constexpr Output<"z", float, Token, Inter> z{};

  static constexpr auto normed = x * rsqrt(mean<Hidden>(square(x)) + 1e-6_c) * gain;
  static constexpr auto whole = cast<q8_0, Hidden>(normed);
  struct Exact : decltype(program(assign(y, dot<Inter>(act, down)))) {};  // bf16 by blocks
  struct ExactF32 : decltype(program(assign(z, dot<Hidden>(normed, gate)))) {};
  struct Whole : decltype(program(assign(z, silu(dot<Hidden>(whole, gate)) * dot<Hidden>(whole, up)))) {};
  struct WholeDown : decltype(program(assign(y, x + dot<Inter>(cast<q8_0, Inter>(act), down)))) {};
  struct Rows : decltype(program(assign(y, gather<Row>(table, ids)))) {};
  struct Scaled : decltype(program(assign(Output<"t", float, Row, Hidden>{}, table* gain))) {};
};

}  // namespace weft::in_blocks
