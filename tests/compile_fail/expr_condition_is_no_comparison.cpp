// a choice between two values by a number
// expect: a_condition_must_be_a_comparison<.*RealNumber
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
constexpr Input<"x", float, Token> x{};
constexpr Output<"y", float, Token> y{};
#ifndef CONTROL
constexpr auto formula = assign(y, where(x, x, 0_c));
#else
constexpr auto formula = assign(y, where(x > 0_c, x, 0_c));
#endif
