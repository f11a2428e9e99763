// real numbers stored to whole ones without a cast
// expect: operands_differ_in_dtype_without_a_cast<.*WholeNumber, .*RealNumber
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
constexpr Input<"x", float, Token> x{};
constexpr Output<"y", std::int32_t, Token> y{};
#ifndef CONTROL
constexpr auto formula = assign(y, x * 2_c);
#else
constexpr auto formula = assign(y, cast<std::int32_t>(x * 2_c));
#endif
