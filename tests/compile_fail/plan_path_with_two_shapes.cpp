// two tensors of different shapes under one path
// expect: the_program_cannot_be_planned<.*one_path_has_two_shapes<.*'g', ?'a', ?'i', ?'n'
// within: 12 lines
#include <weft/nn/module.hpp>
#include <weft/plan/plan_errors.hpp>
using namespace weft;
using Token = Axis<"token">;
using Hidden = Axis<"hidden", 64>;
using Inter = Axis<"inter", 96>;
constexpr Input<"x", float, Token, Hidden> x{};
constexpr Input<"act", float, Token, Inter> act{};
constexpr Input<"gain", float, Hidden> gain{};
#ifndef CONTROL
constexpr Input<"gain", float, Inter> other_gain{};
#else
constexpr Input<"other_gain", float, Inter> other_gain{};
#endif
struct P : decltype(program(assign(Output<"y", float, Token, Hidden>{}, x * gain),
                            assign(Output<"z", float, Token, Inter>{}, act * other_gain))) {};
int main() { check_plan<P>(); }
