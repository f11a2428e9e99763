// more elements selected than there are along the axis
// expect: more_are_selected_than_there_are<.*'c', ?'h', ?'o', ?'i', ?'c', ?'e'>, 9, .*'e', ?'x', ?'p', ?'e', ?'r', ?'t'>, 8,
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
using Expert = Tile<"expert", 8>;
#ifndef CONTROL
using Choice = Tile<"choice", 9>;
#else
using Choice = Tile<"choice", 8>;
#endif
constexpr Input<"p", float, Token, Expert> p{};
constexpr auto formula = assign(Output<"y", float, Token, Choice>{}, top_k<Expert, Choice>(p).values);
