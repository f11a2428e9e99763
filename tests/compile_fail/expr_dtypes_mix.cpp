// whole numbers meet real ones without a cast
// expect: operands_differ_in_dtype_without_a_cast<.*WholeNumber, .*RealNumber
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
constexpr Input<"position", std::int32_t, Token> at_token{};
constexpr Input<"frequency", float> frequency{};
constexpr Output<"y", float, Token> y{};
#ifndef CONTROL
constexpr auto formula = assign(y, at_token * frequency);
#else
constexpr auto formula = assign(y, cast<float>(at_token) * frequency);
#endif
