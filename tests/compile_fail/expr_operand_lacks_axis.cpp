// a contraction over an axis that one operand does not have
// expect: operand_lacks_the_axis
// expect: 'i', ?'n', ?'t', ?'e', ?'r'|"inter"
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
using Hidden = Axis<"hidden", 64>;
using Inter = Axis<"inter", 128>;
constexpr Input<"x", float, Token, Hidden> x{};
constexpr Output<"y", float, Token, Hidden> y{};
#ifndef CONTROL
constexpr Param<"w", Hidden, Inter> w{};
constexpr auto formula = assign(y, dot<Inter>(x, w));
#else
constexpr Param<"w", Inter, Hidden> w{};
constexpr auto formula = assign(Output<"y", float, Token, Inter>{}, dot<Hidden>(x, w));
#endif
