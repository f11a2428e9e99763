// rows picked by a real number
// expect: an_index_must_be_a_whole_number<.*RealNumber
// within: 12 lines
#include <weft/nn/module.hpp>
using namespace weft;
using Token = Axis<"token">;
using Hidden = Axis<"hidden", 64>;
using Vocab = Axis<"vocab", 256>;
constexpr Input<"table", float, Vocab, Hidden> table{};
constexpr Output<"y", float, Token, Hidden> y{};
#ifndef CONTROL
constexpr Input<"ids", float, Token> ids{};
#else
constexpr Input<"ids", std::int32_t, Token> ids{};
#endif
constexpr auto formula = assign(y, gather<Vocab>(table, ids));
