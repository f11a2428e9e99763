// the interpreter that judges plans and executors, judged by numbers worked out by hand
#include <doctest/doctest.h>

#include "../support/interpreter.hpp"
#include "../support/random_program.hpp"
#include <weft/nn/module.hpp>

using namespace weft;

namespace {

using Token = Axis<"token">;
using Key = Axis<"key">;
using Four = Axis<"four", 4>;
using Two = Tile<"two", 2>;
using Pair = Tile<"pair", 2>;
constexpr Input<"x", float, Token, Four> x{};
constexpr Input<"ids", std::int32_t, Token> ids{};

template <class P> std::vector<double> result(std::vector<float> values, std::vector<int> indices = {0}) {
  const long tokens = static_cast<long>(values.size()) / 4;
  RandomProgram<P> random({{"token", tokens}, {"key", 3}}, 1);
  std::copy(values.begin(), values.end(), random.template data<float>("x"));
  if (leaf_number<P>("ids") >= 0) std::copy(indices.begin(), indices.end(), random.template data<std::int32_t>("ids"));
  return interpret(random.binding)[static_cast<std::size_t>(leaf_number<P>("y"))];
}
using Values = std::vector<double>;

struct Total : decltype(program(assign(Output<"y", float, Token>{}, sum<Four>(x)))) {};
struct Max : decltype(program(assign(Output<"y", float, Token>{}, max<Four>(x)))) {};
struct Mean : decltype(program(assign(Output<"y", float, Token>{}, mean<Four>(x)))) {};
struct Dot : decltype(program(assign(Output<"y", float, Token>{}, dot<Four>(x, cast<float>(position<Four>))))) {};
struct Swapped : decltype(program(assign(Output<"y", float, Token, Four>{}, [] {
  auto h = split<Four, Two, Pair>(x);
  return merge<Two, Pair, Four>(stack<Two>(select<Two, 1>(h), select<Two, 0>(h)));
}()))) {};
struct Transposed : decltype(program(assign(Output<"y", float, Token, Pair, Two>{}, split<Four, Two, Pair>(x)))) {};
struct Rows : decltype(program(assign(Output<"y", float, Token, Four>{}, gather<Token>(x, ids)))) {};
struct Scatter : decltype(program(assign(at<Key>(Output<"y", float, Key, Four>{}, ids), x))) {};
struct Products : decltype(program(assign(Output<"y", float, Token, Key>{}, dot<Four>(x, rename<Token, Key>(x))))) {};
struct ToBf16 : decltype(program(assign(Output<"y", float, Token, Four>{}, cast<bf16>(x)))) {};
struct Stored16 : decltype(program(assign(Output<"y", bf16, Token, Four>{}, x))) {};
struct OverLength : decltype(program(assign(Output<"y", float, Token>{}, sum<Four>(x) / extent<Token>))) {};
struct Chosen : decltype(program(assign(Output<"y", float, Token, Four>{}, where(x > 2_c && x <= 3_c, x, 0_c)))) {};
struct Later : decltype(program(assign(Output<"z", float, Token, Four>{}, x + 1_c),
                                assign(Output<"y", float, Token, Four>{}, Output<"z", float, Token, Four>{} * 2_c))) {};

}  // namespace

TEST_CASE("reductions and contractions") {
  CHECK(result<Total>({1, 2, 3, 4, 5, 6, 7, 8}) == Values{10, 26});
  CHECK(result<Max>({1, 4, 3, -4, -5, -6, -7, -8}) == Values{4, -5});
  CHECK(result<Mean>({1, 2, 3, 4}) == Values{2.5});
  CHECK(result<Dot>({1, 2, 3, 4}) == Values{20});
  CHECK(result<OverLength>({1, 2, 3, 4, 5, 6, 7, 8}) == Values{5, 13});
}
TEST_CASE("views") {
  CHECK(result<Swapped>({1, 2, 3, 4}) == Values{3, 4, 1, 2});
  CHECK(result<Transposed>({1, 2, 3, 4}) == Values{1, 3, 2, 4});
  CHECK(result<Products>({1, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 5}) == Values{1, 2, 0, 2, 5, 0, 0, 0, 25});
}
TEST_CASE("rows picked by an index") {
  CHECK(result<Rows>({1, 2, 3, 4, 5, 6, 7, 8}, {1, 1}) == Values{5, 6, 7, 8, 5, 6, 7, 8});
  const Values y = result<Scatter>({1, 2, 3, 4}, {2});
  CHECK(Values(y.begin() + 8, y.end()) == Values{1, 2, 3, 4});
  CHECK_THROWS_AS(result<Rows>({1, 2, 3, 4}, {1}), Error);
}
TEST_CASE("rounding, choices, statements in order") {
  CHECK(result<ToBf16>({1.00390625f, 1.01171875f, 3, 4}) == Values{1, 1.015625, 3, 4});  // ties go to even
  CHECK(result<Stored16>({1.00390625f, 1.01171875f, 3, 4}) == Values{1, 1.015625, 3, 4});
  CHECK(result<Chosen>({1, 2, 3, 4}) == Values{0, 0, 3, 0});
  CHECK(result<Later>({1, 2, 3, 4}) == Values{4, 6, 8, 10});
}
