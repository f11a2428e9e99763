// two states of one tensor, wanted at once: neither store can come last
// expect: the_program_cannot_be_planned<.*statements_wait_for_each_other<
// within: 12 lines
#include <weft/nn/module.hpp>
#include <weft/plan/plan_errors.hpp>
using namespace weft;
using Token = Axis<"token">;
using Key = Axis<"key">;
using Hidden = Axis<"hidden", 64>;
constexpr Input<"x", float, Token, Hidden> x{};
constexpr Input<"at", std::int32_t, Token> at_token{};
constexpr Leaf<Role::state, chars<"keys">, float, Key, Hidden> keys{};
#ifndef CONTROL
constexpr auto value = update<Key>(keys, at_token, x) + update<Key>(keys, at_token, x * 2_c);
#else
constexpr auto value = update<Key>(keys, at_token, x) + 1_c;
#endif
struct P : decltype(program(assign(Output<"y", float, Key, Hidden>{}, value))) {};
int main() { check_plan<P>(); }
