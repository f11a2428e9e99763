// What the CPU computes for pointwise_formulas.hpp is what double precision says.
#include <doctest/doctest.h>

#include "../../support/trial.hpp"
#include "pointwise_formulas.hpp"

using namespace weft;
using namespace weft::unseen::pointwise;

constexpr double tolerance = 1e-6;  // f32 sums of at most 77 products

template <class P> void check() {
  for (const long tokens : {1, 4, 7, 23}) {
    CAPTURE(tokens);
    CHECK(trial<P>({{"token", tokens}}, static_cast<unsigned>(tokens)) < tolerance);
  }
}
TEST_CASE("layer norm with bias") { check<LayerNorm>(); }
TEST_CASE("GeGLU with the tanh form of GELU") { check<GeGlu>(); }
TEST_CASE("low-rank update") { check<Lora>(); }
TEST_CASE("gated residual of two operands") { check<GatedResidual>(); }
TEST_CASE("cross entropy") { check<CrossEntropy>(); }
