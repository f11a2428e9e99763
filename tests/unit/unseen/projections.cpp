// What the CPU computes for projections_formulas.hpp is what double precision says.
#include <doctest/doctest.h>

#include "../../support/trial.hpp"
#include "projections_formulas.hpp"

using namespace weft;
using namespace weft::unseen::projections;

template <class P> void check() {
  for (const long tokens : {1, 3, 6, 8, 9, 29}) {
    CAPTURE(tokens);
    CHECK(trial<P>({{"token", tokens}}, static_cast<unsigned>(tokens), 0.5f, 5) < 2e-6);
  }
}
TEST_CASE("norm per head") { check<HeadNorm>(); }
TEST_CASE("norm per head, then rotation") { check<HeadNormRope>(); }
TEST_CASE("scaled weight") { check<ScaledWeight>(); }
TEST_CASE("transposed weight") { check<Transposed>(); }
