// All formulas that the library has never seen run on the device as they are written for the CPU.
#include "../unit/unseen/attention_formulas.hpp"
#include "../unit/unseen/pointwise_formulas.hpp"
#include "../unit/unseen/projections_formulas.hpp"
#include "../unit/unseen/routing_formulas.hpp"
#include "check.hpp"

using namespace weft;
using namespace weft::unseen;

template <class P> void check(double tolerance, std::int32_t past = 0) {
  for (const long tokens : {1, 4, 11, 40}) {
    CAPTURE(tokens);
    CHECK(error_on_device<P>({{"token", tokens}, {"key", tokens + past}}, past) < tolerance);
  }
}
TEST_CASE("attention") {
  for (const std::int32_t past : {0, 63, 300}) {
    check<attention::SoftCap>(3e-6, past);
    check<attention::Alibi>(340 * 0x1p-24, past);  // distances to 340: scores of that size
    check<attention::Sink>(3e-6, past);
    check<attention::Unguarded>(3e-6, past);
    check<attention::Banded>(3e-6, past);
    check<attention::Sigmoid>(3e-6, past);
    CHECK(error_on_device<attention::Paged>({{"token", 11}, {"key", 11 + past}, {"slot", 40 + 2 * past}}, past) < 3e-6);
  }
}
TEST_CASE("projections") {
  check<projections::HeadNorm>(f32_tolerance, 5);
  check<projections::HeadNormRope>(f32_tolerance, 5);
  check<projections::ScaledWeight>(f32_tolerance, 5);
  check<projections::Transposed>(f32_tolerance, 5);
}
TEST_CASE("norms, gates, low-rank updates and losses") {
  check<pointwise::LayerNorm>(f32_tolerance);
  check<pointwise::GeGlu>(f32_tolerance);
  check<pointwise::Lora>(f32_tolerance);
  check<pointwise::GatedResidual>(f32_tolerance);
  check<pointwise::CrossEntropy>(f32_tolerance);
}
TEST_CASE("mixtures of experts") {
  for (const long tokens : {1, 8, 22, 60}) {
    CAPTURE(tokens);
    CHECK(error_on_device<routing::Hybrid>({{"token", tokens}}, 0, 0, 0.3f) < f32_tolerance);
    CHECK(error_on_device<routing::Grouped>({{"token", tokens}}, 0, 0, 0.3f) < f32_tolerance);
    CHECK(error_on_device<routing::ExpertChoice>({{"token", tokens}, {"slot", (tokens + 2) / 3}}, 0, 0, 0.3f) < f32_tolerance);
  }
}
TEST_CASE("a NaN in the router is one clear error") {
  RandomProgram<routing::Hybrid> program({{"token", 2}});
  program.data<float>("x")[45] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_AS(run_on_device(program), doctest::Contains("row 3 asks for part -1 along axis expert, which has 24"), Error);
}
