// All formulas that the library has never seen run on the device as they are written for the CPU.
#include "../unit/unseen/attention_formulas.hpp"
#include "../unit/unseen/pointwise_formulas.hpp"
#include "../unit/unseen/projections_formulas.hpp"
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
