// A plan computes what its program says: the plan's nodes, run kernel by kernel, give the values of the program's own records.
#include <doctest/doctest.h>

#include "../support/formulas.hpp"
#include "../support/plan_interpreter.hpp"
#include "../support/random_program.hpp"

using namespace weft;

namespace {

template <class P> void plan_keeps_values(const char* name, const Extents& extents, int first_index = 2) {
  CAPTURE(name);
  REQUIRE(Compiled<P>::plan.error.problem == PlanProblem::none);
  for (unsigned seed = 1; seed <= 3; ++seed) {
    const RandomProgram<P> random(extents, seed, first_index);
    const auto expected = interpret(random.binding);
    PlanInterpreter<P> planned(random.binding);
    planned.run();
    for (std::size_t l = 0; l < expected.size(); ++l) {
      CAPTURE(Compiled<P>::table.leaf[l].path.text);
      int wrong = 0;
      for (std::size_t i = 0; i < expected[l].size(); ++i)
        wrong += !(std::abs(planned.leaf[l][i] - expected[l][i]) <= 1e-9 * (1 + std::abs(expected[l][i])));
      CHECK(wrong == 0);
    }
  }
}
#define PLAN_KEEPS_VALUES(F, P, ...) plan_keeps_values<typename F::P>(#P, __VA_ARGS__)

template <class F> void all_formulas_keep_values(const Extents& e) {
  PLAN_KEEPS_VALUES(F, RmsNorm, e);
  PLAN_KEEPS_VALUES(F, SwiGlu, e);
  PLAN_KEEPS_VALUES(F, GeGlu, e);
  PLAN_KEEPS_VALUES(F, Down, e);
  PLAN_KEEPS_VALUES(F, Qkv, e);
  PLAN_KEEPS_VALUES(F, Attention, e);
  PLAN_KEEPS_VALUES(F, HeadNorm, e);
  PLAN_KEEPS_VALUES(F, Capped, e);
  PLAN_KEEPS_VALUES(F, Sigmoid, e);
  PLAN_KEEPS_VALUES(F, Sink, e);
  PLAN_KEEPS_VALUES(F, Router, e);
  PLAN_KEEPS_VALUES(F, Lora, e);
  PLAN_KEEPS_VALUES(F, Loss, e);
  PLAN_KEEPS_VALUES(F, Parallel, e);
  PLAN_KEEPS_VALUES(F, PostNorm, e);
  PLAN_KEEPS_VALUES(F, Layer, e);
}

}  // namespace

TEST_CASE("formulas of transformers, static extents") {
  all_formulas_keep_values<formulas::Small>({{"token", 3}, {"key", 5}});
  plan_keeps_values<formulas::Small::WithoutCache>("WithoutCache", {{"token", 4}, {"key", 4}});
}
TEST_CASE("formulas of transformers, runtime extents") {
  all_formulas_keep_values<formulas::Open<8, float>>({{"token", 3},
                                                      {"key", 5},
                                                      {"hidden", 12},
                                                      {"inter", 10},
                                                      {"kv_head", 2},
                                                      {"group", 3},
                                                      {"head", 6},
                                                      {"q_dim", 48},
                                                      {"kv_dim", 16},
                                                      {"vocab", 11},
                                                      {"rank", 4}});
}
