// the largest along an axis that the operand does not have
// expect: operand_lacks_the_axis<.*'e', ?'x', ?'p', ?'e', ?'r', ?'t'
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
using Expert = Tile<"expert", 8>;
using Choice = Tile<"choice", 2>;
#ifndef CONTROL
constexpr Input<"p", float, Token, Tile<"group", 8>> p{};
#else
constexpr Input<"p", float, Token, Expert> p{};
#endif
constexpr auto formula = assign(Output<"index", std::int32_t, Token, Choice>{}, top_k<Expert, Choice>(p).indices);
