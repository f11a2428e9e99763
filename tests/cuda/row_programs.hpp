// row_programs: programs of the skeletons map and row
#pragma once
#include "../support/formulas.hpp"
#include "../support/skeleton_programs.hpp"

namespace weft::rows {

using Token = Axis<"token">;
using Wide = Axis<"wide">;
using Fixed = Axis<"fixed", 896>;
using Head = Axis<"head">;
using Dim = Tile<"dim", 24>;
using Vocab = Axis<"vocab">;

using Small = formulas::Of<40, 36, 1, 7, 16, 50, bf16>;
using Open = formulas::Open<16, bf16>;
template <class F> struct LayerNorm : decltype(program(assign(F::y, F::layer_norm()))) {};

// three passes; the exponentials of the second are stored by the third
template <class In, class Out, class Along> struct Softmax
    : decltype(program(assign(Output<"y", Out, Token, Along>{}, softmax<Along>(cast<float>(Input<"a", In, Token, Along>{}) * 0.5_c)))) {};
// a row over several axes, its columns in another order than the leaf's
struct TwoAxes : decltype(program(assign(Output<"y", float, Token, Head, Dim>{}, [] {
  constexpr Input<"a", bf16, Token, Dim, Head> a{};
  return a - max<Axes<Head, Dim>>(a);
}()))) {};
// rows of the table that ids name, stored to rows that slots name, rounded on the way
template <class Table> struct Embedding
    : decltype(program(assign(at<Wide>(Output<"y", f16, Wide, Fixed>{}, Input<"slot", std::int32_t, Token>{}),
                              cast<bf16>(gather<Vocab>(Input<"table", Table, Vocab, Fixed>{}, Input<"id", std::int32_t, Token>{}) * 3_c) +
                                  cast<float>(position<Fixed>)))) {};
// in place, with a scalar row statistic stored by a second statement
struct InPlace : decltype(program(add_to(Output<"x", float, Token, Fixed>{}, Input<"y", bf16, Token, Fixed>{}),
                                  assign(Output<"largest", float, Token>{}, max<Fixed>(Input<"y", bf16, Token, Fixed>{})))) {};

}  // namespace weft::rows
