// Mixtures of experts that the library does not contain give what double precision gives.
#include <doctest/doctest.h>

#include "../../support/selection_programs.hpp"
#include "../../support/trial.hpp"
#include "routing_formulas.hpp"

using namespace weft;
using namespace weft::unseen::routing;

TEST_CASE("routing that the library does not contain") {
  for (const long tokens : {1, 3, 8, 22, 60}) {
    CAPTURE(tokens);
    const auto seed = static_cast<unsigned>(tokens);
    CHECK(trial<Hybrid>({{"token", tokens}}, seed, 0.3f) < 2e-6);
    CHECK(trial<Grouped>({{"token", tokens}}, seed, 0.3f) < 2e-6);
    CHECK(trial<ExpertChoice>({{"token", tokens}, {"slot", (tokens + 2) / 3}}, seed, 0.3f) < 2e-6);
  }
}
TEST_CASE("a NaN in the router is one clear error") {
  for (const long tokens : {2, 60}) {
    Trial<Hybrid> t({{"token", tokens}});
    t.data<float>("x")[45] = std::numeric_limits<float>::quiet_NaN();
    cpu::Executor executor(2);
    CHECK_THROWS_WITH_AS(executor.run(t.binding), doctest::Contains("row 3 asks for part -1 along axis expert, which has 24"), Error);
  }
}
TEST_CASE("more are to be chosen than there are") {
  Trial<ExpertChoice> t({{"token", 3}, {"slot", 4}});
  cpu::Executor executor(2);
  CHECK_THROWS_WITH_AS(executor.run(t.binding), doctest::Contains("top_k along axis token: 4 elements are to be selected, found 3"), Error);
}

namespace {

// what is selected from rows in memory, stored and used
constexpr auto selected() {
  using Row = Axis<"row">;
  auto best = top_k<Expert, Choice>(Input<"p", float, Row, Expert>{});
  return program(assign(Output<"index", std::int32_t, Row, Choice>{}, best.indices),
                 assign(Output<"weight", float, Row, Choice>{}, best.values / sum<Choice>(best.values)));
}
struct Selected : decltype(selected()) {};

}  // namespace

TEST_CASE("a selection that is stored and used is made once") {
  constexpr auto& plan = Compiled<Selected>::plan;
  int made = 0;
  for (int s = 0; s < plan.stores; ++s) made += plan.node[plan.store[s].node].kind == NodeKind::top_k;
  CHECK(made == 1);
  CHECK(trial<Selected>({{"row", 37}}) < 2e-6);
}
TEST_CASE("the largest of a row") {
  for (const long wide : {3, 40}) {
    CAPTURE(wide);
    CHECK(trial<selections::Best<float>>({{"row", 3}, {"wide", wide}, {"slot", wide / 2}}) == 0);
    CHECK(trial<selections::BestOfColumns>({{"row", 5}, {"wide", wide}}) == 0);
    CHECK(trial<selections::ThirdBest>({{"row", 2}, {"wide", wide}}) == 0);
  }
}
