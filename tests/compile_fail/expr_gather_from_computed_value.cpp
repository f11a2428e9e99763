// rows picked from a value that is computed, along an axis that may be of any length
// expect: a_computed_value_is_gathered_from_along_a_Tile_only<.*'h', ?'i', ?'d', ?'d', ?'e', ?'n'
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
constexpr Input<"index", std::int32_t, Token> index_of{};
#ifndef CONTROL
using Hidden = Axis<"hidden", 64>;
#else
using Hidden = Tile<"hidden", 64>;
#endif
constexpr Input<"x", float, Token, Hidden> x{};
constexpr auto formula = assign(Output<"y", float, Token>{}, gather<Hidden>(x * 2_c, index_of));
