// contraction_programs: programs of the skeleton contraction
#pragma once
#include "../support/formulas.hpp"
#include "../support/skeleton_programs.hpp"

namespace weft::contractions {

using Small = formulas::Of<40, 36, 2, 3, 16, 50, bf16>;
using Open = formulas::Open<16, bf16>;

// a layer's projections with activations in bf16, as models have them: a norm, rounded, times bf16 weights
template <long hidden, long inter, long heads, long head_dim> struct InBf16 {
  using Token = Axis<"token">;
  using Hidden = Axis<"hidden", hidden>;
  using Inter = Axis<"inter", inter>;
  using Head = Axis<"head", heads>;
  using HeadDim = Tile<"head_dim", head_dim>;
  using Half = Tile<"half", 2>;
  using Pair = Tile<"pair", head_dim / 2>;
  static constexpr Input<"x", bf16, Token, Hidden> x{};
  static constexpr Input<"gain", bf16, Hidden> gain{};
  static constexpr Input<"w_gate", bf16, Inter, Hidden> w_gate{};
  static constexpr Input<"w_up", bf16, Inter, Hidden> w_up{};
  static constexpr Input<"w_down", bf16, Hidden, Inter> w_down{};
  static constexpr Input<"w_q", bf16, Head, HeadDim, Hidden> w_q{};
  static constexpr Input<"b_q", bf16, Head, HeadDim> b_q{};
  static constexpr Input<"w_v", bf16, HeadDim, Hidden> w_v{};
  static constexpr Input<"act", bf16, Token, Inter> act{};
  static constexpr Input<"at", std::int32_t, Token> at_token{};
  static constexpr auto normed() { return cast<bf16>(x * rsqrt(mean<Hidden>(square(x)) + 1e-6_c) * gain); }
  struct Gated
      : decltype(program(assign(Output<"y", bf16, Token, Inter>{}, silu(dot<Hidden>(normed(), w_gate)) * dot<Hidden>(normed(), w_up)))) {};
  struct Down : decltype(program(add_to(Output<"x", bf16, Token, Hidden>{}, dot<Inter>(act, w_down)))) {};
  static constexpr auto rotated(auto e) {
    auto h = split<HeadDim, Half, Pair>(e);
    auto first = select<Half, 0>(h);
    auto second = select<Half, 1>(h);
    auto angle = cast<float>(at_token) * exp(cast<float>(position<Pair>) * (0_c - 0.4_c));
    return merge<Half, Pair, HeadDim>(stack<Half>(first * cos(angle) - second * sin(angle), second * cos(angle) + first * sin(angle)));
  }
  static constexpr auto head_norm(auto e) { return e * rsqrt(mean<HeadDim>(square(e)) + 1e-6_c); }
  // two segments: one with rotated halves of columns that it also reduces over, one plain, stored to rows that an index names
  struct Projected
      : decltype(program(assign(Output<"q", bf16, Token, Head, HeadDim>{}, rotated(head_norm(dot<Hidden>(normed(), w_q) + b_q))),
                         assign(at<Axis<"key">>(Output<"v", f16, Axis<"key">, HeadDim>{}, at_token), dot<Hidden>(normed(), w_v)))) {};
};
using Bf16 = InBf16<80, 72, 3, 32>;

// weights in blocks, two of them with one left operand: multiplied exactly, or in digits as the cast says
template <class Block> struct InBlocks {
  using Row = Axis<"row">;
  using Deep = Axis<"deep">;
  using Wide = Axis<"wide">;
  static constexpr Input<"a", float, Row, Deep> a{};
  static constexpr Input<"b", Block, Wide, Deep> b{};
  static constexpr Input<"c", Block, Wide, Deep> c{};
  static constexpr Output<"y", float, Row, Wide> y{};
  static constexpr Input<"plain", bf16, Wide, Deep> plain{};
  struct Exact : decltype(program(assign(y, dot<Deep>(a, b) - dot<Deep>(a, c)))) {};
  struct Mixed : decltype(program(assign(y, dot<Deep>(a, b) - dot<Deep>(a, plain)))) {};
  static constexpr auto quantised() { return cast<q8_0, Deep>(a * rsqrt(mean<Deep>(square(a)))); }
  struct Digits : decltype(program(assign(y, dot<Deep>(quantised(), b) - dot<Deep>(quantised(), c)))) {};

  // two segments that are stored in blocks, to rows that an index names; in one of them halves of a head are rotated
  using Head = Axis<"head">;
  using HeadDim = Tile<"head_dim", 64>;
  using Key = Axis<"key">;
  static constexpr Input<"w_k", Block, Head, HeadDim, Deep> w_k{};
  static constexpr Input<"w_v", Block, Head, HeadDim, Deep> w_v{};
  static constexpr Input<"at", std::int32_t, Row> at_row{};
  static constexpr auto swapped(auto e) {
    using Half = Tile<"half", 2>;
    using Pair = Tile<"pair", 32>;
    auto h = split<HeadDim, Half, Pair>(e);
    return merge<Half, Pair, HeadDim>(stack<Half>(0_c - select<Half, 1>(h), select<Half, 0>(h)));
  }
  struct Cached
      : decltype(program(assign(at<Key>(Output<"keys", q8_0, Key, Head, HeadDim>{}, at_row), swapped(dot<Deep>(quantised(), w_k))),
                         assign(at<Key>(Output<"values", q8_0, Key, Head, HeadDim>{}, at_row), dot<Deep>(quantised(), w_v)))) {};
};

// a norm over the columns of three contractions: a tile of 3 x 128 columns
template <class T, class W> struct WideTile {
  using Row = Axis<"row">;
  using Deep = Axis<"deep">;
  using Choice = Tile<"choice", 100>;
  static constexpr Input<"x", T, Row, Deep> x{};
  static constexpr Input<"a", W, Choice, Deep> a{};
  static constexpr Input<"b", W, Choice, Deep> b{};
  static constexpr Input<"c", W, Choice, Deep> c{};
  static constexpr auto formula() {
    auto e = dot<Deep>(x, a) * dot<Deep>(x, b) + dot<Deep>(x, c);
    return e * rsqrt(mean<Choice>(square(e)) + 1e-6_c);
  }
  struct Normed : decltype(program(assign(Output<"y", float, Row, Choice>{}, formula()))) {};
};

// a row and a map whose results are stored in blocks, a product of elements of blocks
struct StoredInBlocks {
  using Row = Axis<"row">;
  using Column = Axis<"column">;
  static constexpr Input<"x", float, Row, Column> x{};
  static constexpr Input<"z", any_block, Row, Column> z{};
  struct Both : decltype(program(assign(Output<"normed", q8_0, Row, Column>{}, x* rsqrt(mean<Column>(square(x)))),
                                 assign(Output<"product", q8_0, Row, Column>{}, x* z))) {};
};

}  // namespace weft::contractions
