// one axis split into 4 x 16 here and 16 x 4 there
// expect: the_program_cannot_be_planned<.*one_axis_is_split_in_two_ways<.*'h', ?'i', ?'d', ?'d', ?'e', ?'n'
// within: 12 lines
#include <weft/nn/module.hpp>
#include <weft/plan/plan_errors.hpp>
using namespace weft;
using Token = Axis<"token">;
using Hidden = Axis<"hidden", 64>;
using A = Axis<"a", 4>;
using B = Axis<"b", 16>;
constexpr Input<"x", float, Token, Hidden> x{};
constexpr Input<"gain", float, Hidden> gain{};
#ifndef CONTROL
using C = Axis<"c", 16>;
using D = Axis<"d", 4>;
#else
using C = A;
using D = B;
#endif
constexpr auto parts = split<Hidden, A, B>(x);
constexpr auto gains = sum<C>(split<Hidden, C, D>(gain));
struct P : decltype(program(assign(Output<"y", float, Token, A, B>{}, parts), assign(Output<"z", float, D>{}, gains))) {};
int main() { check_plan<P>(); }
