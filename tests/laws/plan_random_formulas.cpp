// The same law as plan_normal_form, for formulas that nobody would write: random chains of norms, views, contractions, gathers and attentions.
#include <doctest/doctest.h>

#include "../support/plan_interpreter.hpp"
#include "../support/random_program.hpp"
#include <weft/nn/module.hpp>

using namespace weft;

namespace {

using Token = Axis<"token">;
using Key = Axis<"key">;
using Row = Axis<"row", 9>;
using Hidden = Axis<"hidden", 12>;
using Other = Axis<"other", 12>;
using Half = Tile<"half", 2>;
using Pair = Tile<"pair", 6>;

constexpr Input<"x", float, Token, Hidden> x{};
constexpr Input<"g", float, Hidden> g{};
constexpr Input<"v", float, Half> v{};
constexpr Input<"w", float, Other, Hidden> w{};
constexpr Input<"table", float, Row, Hidden> table{};
constexpr Input<"ids", std::int32_t, Token> ids{};
constexpr Output<"y", float, Token, Hidden> y{};

// each step takes and gives an expression over token and hidden
template <unsigned kind> constexpr auto step(auto e) {
  if constexpr (kind == 0) {
    return e * g + x;
  } else if constexpr (kind == 1) {
    return e * rsqrt(mean<Hidden>(square(e)) + 1e-3_c);
  } else if constexpr (kind == 2) {
    return rename<Other, Hidden>(dot<Hidden>(e, w)) * 0.3_c;
  } else if constexpr (kind == 3) {  // a rotation of halves
    auto h = split<Hidden, Half, Pair>(e);
    auto a = select<Half, 0>(h);
    auto b = select<Half, 1>(h);
    return merge<Half, Pair, Hidden>(stack<Half>(a * 0.6_c - b * 0.8_c, b * 0.6_c + a * 0.8_c));
  } else if constexpr (kind == 4) {
    return softmax<Hidden>(e);
  } else if constexpr (kind == 5) {  // a statistic of part of a row
    auto h = split<Hidden, Half, Pair>(e);
    return merge<Half, Pair, Hidden>((h - max<Pair>(h)) * v);
  } else if constexpr (kind == 6) {
    return e + gather<Row>(table, ids);
  } else if constexpr (kind == 7) {  // attention of tokens to tokens
    auto s = dot<Hidden>(e, rename<Token, Key>(e)) * 0.1_c;
    return dot<Key>(softmax<Key>(where(position<Key> <= ids, s, minus_inf)), rename<Token, Key>(x));
  } else {
    return cast<bf16>(silu(e));
  }
}
template <unsigned seed, int steps> constexpr auto chain_of(auto e) {
  if constexpr (steps == 0)
    return e;
  else
    return chain_of<seed * 1664525u + 1013904223u, steps - 1>(step<(seed >> 16) % 9>(e));
}
template <unsigned seed> struct Random : decltype(program(assign(y, chain_of<seed * 2654435761u, 5>(x)))) {};

template <unsigned seed> void keeps_values() {
  using P = Random<seed>;
  CAPTURE(seed);
  REQUIRE(Compiled<P>::plan.error.problem == PlanProblem::none);
  RandomProgram<P> random({{"token", 5}, {"key", 5}}, seed);
  const auto expected = interpret(random.binding);
  PlanInterpreter<P> planned(random.binding);
  planned.run();
  const auto l = static_cast<std::size_t>(leaf_number<P>("y"));
  int wrong = 0;
  for (std::size_t i = 0; i < expected[l].size(); ++i)
    wrong += !(std::abs(planned.leaf[l][i] - expected[l][i]) <= 1e-9 * (1 + std::abs(expected[l][i])));
  CHECK(wrong == 0);
}
template <unsigned... seed> void all_keep_values(std::integer_sequence<unsigned, seed...>) { (keeps_values<seed + 1>(), ...); }

}  // namespace

TEST_CASE("random formulas") { all_keep_values(std::make_integer_sequence<unsigned, 24>{}); }
