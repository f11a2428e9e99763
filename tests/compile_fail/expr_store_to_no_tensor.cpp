// a store to something that is not a tensor
// expect: only_a_tensor_can_be_stored_to
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
constexpr Input<"x", float, Token> x{};
constexpr Output<"y", float, Token> y{};
#ifndef CONTROL
constexpr auto formula = assign(y + 1_c, x);
#else
constexpr auto formula = assign(y, x - 1_c);
#endif
