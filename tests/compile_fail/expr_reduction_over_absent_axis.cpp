// a mean over an axis that the operand does not have
// expect: reduction_over_an_axis_that_the_operand_lacks
// expect: 'h', ?'e', ?'a', ?'d'
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
using Hidden = Axis<"hidden", 64>;
using Head = Axis<"head", 4>;
constexpr Input<"x", float, Token, Hidden> x{};
constexpr Output<"y", float, Token> y{};
#ifndef CONTROL
constexpr auto formula = assign(y, mean<Head>(square(x)));
#else
constexpr auto formula = assign(y, mean<Hidden>(square(x)));
#endif
