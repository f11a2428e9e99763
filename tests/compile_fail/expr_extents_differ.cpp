// two axes of one name, of different extents
// expect: axes_of_one_name_differ_in_extent
// expect: 64
// expect: 96
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
using Hidden = Axis<"hidden", 64>;
constexpr Input<"x", float, Token, Hidden> x{};
constexpr Output<"y", float, Token, Hidden> y{};
#ifndef CONTROL
constexpr Input<"gain", float, Axis<"hidden", 96>> gain{};
#else
constexpr Input<"gain", float, Hidden> gain{};
#endif
constexpr auto formula = assign(y, x * gain);
