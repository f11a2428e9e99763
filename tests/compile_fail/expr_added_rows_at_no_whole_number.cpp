// rows added at places that real numbers name: the values of a selection instead of its indices
// expect: an_index_must_be_a_whole_number<.*RealNumber
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
using Slot = Tile<"slot", 3>;
using Hidden = Axis<"hidden", 64>;
constexpr auto best = top_k<Token, Slot>(Input<"p", float, Token>{});
constexpr Input<"x", float, Slot, Hidden> x{};
constexpr Output<"y", float, Token, Hidden> y{};
#ifndef CONTROL
constexpr auto formula = add_to(at<Token>(y, best.values), x);
#else
constexpr auto formula = add_to(at<Token>(y, best.indices), x);
#endif
