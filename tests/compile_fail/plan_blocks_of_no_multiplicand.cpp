// a value quantised along one axis is added to, not multiplied over that axis
// expect: the_program_cannot_be_planned<.*a_cast_to_q8_0_along_an_axis_only_feeds_a_dot_over_that_axis.*'h', ?'i', ?'d', ?'d', ?'e', ?'n'
// within: 12 lines
#include <weft/nn/module.hpp>
#include <weft/plan/plan_errors.hpp>
using namespace weft;
using Token = Axis<"token">;
using Hidden = Axis<"hidden", 64>;
using Out = Axis<"out", 8>;
constexpr Input<"x", float, Token, Hidden> x{};
constexpr Input<"w", q8_0, Out, Hidden> w{};
#ifndef CONTROL
constexpr auto left = cast<q8_0, Hidden>(x) + x;
#else
constexpr auto left = cast<q8_0, Hidden>(x + x);
#endif
struct P : decltype(program(assign(Output<"y", float, Token, Out>{}, dot<Hidden>(left, w)))) {};
int main() { check_plan<P>(); }
