// views cost no kernel and keep values: splits, merges, selections, stacks, renames and gathers of static and of runtime extents
#include <doctest/doctest.h>

#include "../support/plan_interpreter.hpp"
#include "../support/random_program.hpp"
#include <weft/nn/module.hpp>

using namespace weft;

namespace {

// hidden = outer x inner; both known, or known when the program runs
template <long hidden, long outer, long inner> struct Views {
  using Token = Axis<"token">;
  using Hidden = Axis<"hidden", hidden>;
  using Outer = Axis<"outer", outer>;
  using Inner = Axis<"inner", inner>;
  using Other = Axis<"other", hidden>;
  using Vocab = Axis<"vocab", 9>;
  using Pick = Tile<"pick", 2>;
  static constexpr Input<"x", float, Token, Hidden> x{};
  static constexpr Input<"parts", float, Token, Outer, Inner> parts{};
  static constexpr Input<"w", float, Other, Hidden> w{};
  static constexpr Input<"scale", float, Hidden> scale{};
  static constexpr Input<"table", float, Vocab, Hidden> table{};
  static constexpr Input<"ids", std::int32_t, Token> ids{};
  static constexpr Output<"y", float, Token, Hidden> y{};
  static constexpr Output<"in_parts", float, Token, Outer, Inner> in_parts{};

  struct Split : decltype(program(assign(in_parts, split<Hidden, Outer, Inner>(x* scale) + parts))) {};
  struct Merge : decltype(program(assign(y, merge<Outer, Inner, Hidden>(parts) * scale))) {};
  struct Transposed : decltype(program(assign(Output<"y", float, Token, Inner, Outer>{}, split<Hidden, Outer, Inner>(x)))) {};
  struct First : decltype(program(assign(Output<"y", float, Token, Inner>{}, select<Outer, 1>(split<Hidden, Outer, Inner>(x))))) {};
  struct Stacked : decltype(program(assign(Output<"y", float, Token, Pick, Hidden>{}, stack<Pick>(x, square(x))))) {};
  struct MergedProduct  // a contraction over both parts is one over the whole
      : decltype(program(assign(Output<"y", float, Token, Other>{}, dot<Hidden>(merge<Outer, Inner, Hidden>(parts), w)))) {};
  struct Gathered : decltype(program(assign(y, gather<Vocab>(table, ids) * scale))) {};
  struct GatheredProduct : decltype(program(assign(Output<"y", float, Token, Other>{}, dot<Hidden>(gather<Vocab>(table, ids), w)))) {};
  // bound and free axes of one name are two axes
  struct Renamed : decltype(program(assign(y, rename<Other, Hidden>(dot<Hidden>(x, w)) + x))) {};
  struct RenamedTwice : decltype(program(assign(y, rename<Other, Hidden>(dot<Hidden>(rename<Other, Hidden>(dot<Hidden>(x, w)), w))))) {};
  struct RenamedNorm : decltype(program(assign(y, rename<Other, Hidden>(dot<Hidden>(x* rsqrt(mean<Hidden>(square(x)) + 1e-6_c), w))))) {};
  // right operands that are not leaves
  struct ScaledRight : decltype(program(assign(Output<"y", float, Token, Other>{}, dot<Hidden>(x, w* scale)))) {};
  struct SquaredRight : decltype(program(assign(Output<"y", float, Token, Other>{}, dot<Hidden>(x, square(w) + 1_c)))) {};
  struct SplitRight : decltype(program(assign(Output<"y", float, Token, Outer, Other>{},
                                              dot<Inner>(parts, select<Outer, 0>(split<Hidden, Outer, Inner>(w)))))) {};
};
using Static = Views<12, 3, 4>;
using Runtime = Views<runtime, runtime, runtime>;

template <class P> void keeps_values(int kernels) {
  REQUIRE(Compiled<P>::plan.error.problem == PlanProblem::none);
  CHECK(kernel_count<P> == kernels);
  RandomProgram<P> random({{"token", 5}, {"hidden", 12}, {"outer", 3}, {"inner", 4}, {"other", 12}}, 3);
  const auto expected = interpret(random.binding);
  PlanInterpreter<P> planned(random.binding);
  planned.run();
  for (std::size_t l = 0; l < expected.size(); ++l)
    for (std::size_t i = 0; i < expected[l].size(); ++i) CHECK(planned.leaf[l][i] == doctest::Approx(expected[l][i]).epsilon(1e-9));
}
template <class V> void all_keep_values() {
  keeps_values<typename V::Split>(1);
  keeps_values<typename V::Merge>(1);
  keeps_values<typename V::Transposed>(1);
  keeps_values<typename V::First>(1);
  keeps_values<typename V::Stacked>(1);
  keeps_values<typename V::MergedProduct>(1);
  keeps_values<typename V::Gathered>(1);
  keeps_values<typename V::GatheredProduct>(1);
  keeps_values<typename V::Renamed>(1);
  keeps_values<typename V::RenamedTwice>(2);
  keeps_values<typename V::RenamedNorm>(1);
  keeps_values<typename V::ScaledRight>(1);
  keeps_values<typename V::SquaredRight>(1);
  keeps_values<typename V::SplitRight>(1);
}

}  // namespace

TEST_CASE("static extents") { all_keep_values<Static>(); }
TEST_CASE("runtime extents") { all_keep_values<Runtime>(); }
