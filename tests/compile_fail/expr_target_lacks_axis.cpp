// an expression with more axes than the tensor that it is stored to
// expect: target_lacks_an_axis_of_the_expression
// expect: 'h', ?'i', ?'d', ?'d', ?'e', ?'n'
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
using Hidden = Axis<"hidden", 64>;
constexpr Input<"x", float, Token, Hidden> x{};
constexpr Output<"y", float, Token> y{};
#ifndef CONTROL
constexpr auto formula = assign(y, square(x));
#else
constexpr auto formula = assign(y, sum<Hidden>(square(x)));
#endif
