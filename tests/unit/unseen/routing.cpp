// Mixtures of experts that the library does not contain give what double precision gives.
#include <doctest/doctest.h>

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
