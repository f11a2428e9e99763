// what is selected is to lie along an axis that the operand has already
// expect: the_axis_of_what_is_selected_must_be_new<.*'t', ?'o', ?'k', ?'e', ?'n'
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token", 4>;
using Expert = Tile<"expert", 8>;
using Choice = Tile<"choice", 4>;
constexpr Input<"p", float, Token, Expert> p{};
#ifndef CONTROL
constexpr auto formula = assign(Output<"y", float, Token>{}, top_k<Expert, Token>(p).values);
#else
constexpr auto formula = assign(Output<"y", float, Token, Choice>{}, top_k<Expert, Choice>(p).values);
#endif
