// rows added to those of a tensor that has other columns
// expect: target_lacks_an_axis_of_the_expression<.*'h', ?'i', ?'d', ?'d', ?'e', ?'n'
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
using Slot = Axis<"slot">;
using Hidden = Axis<"hidden", 64>;
constexpr Input<"place", std::int32_t, Slot> place{};
constexpr Input<"x", float, Slot, Hidden> x{};
#ifndef CONTROL
constexpr Output<"y", float, Token, Axis<"inter", 64>> y{};
#else
constexpr Output<"y", float, Token, Hidden> y{};
#endif
constexpr auto formula = add_to(at<Token>(y, place), x);
