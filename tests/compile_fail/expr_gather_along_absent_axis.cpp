// rows picked along an axis that the tensor does not have
// expect: operand_lacks_the_axis<.*'e', ?'x', ?'p', ?'e', ?'r', ?'t'
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
using Hidden = Axis<"hidden", 64>;
using Expert = Tile<"expert", 8>;
constexpr Input<"index", std::int32_t, Token> index_of{};
#ifndef CONTROL
constexpr Input<"w", float, Hidden> w{};
#else
constexpr Input<"w", float, Expert, Hidden> w{};
#endif
constexpr auto formula = assign(Output<"y", float, Token, Hidden>{}, gather<Expert>(w, index_of));
