// What the CPU computes for attention_formulas.hpp is what double precision says.
#include <doctest/doctest.h>

#include "../../support/trial.hpp"
#include "attention_formulas.hpp"

using namespace weft;
using namespace weft::unseen::attention;

// exponentials of sums: the relative error of a weight is the absolute error of its score, so it grows with the size of scores
template <class P> void check(double tolerance = 3e-6) {
  for (const long tokens : {1, 2, 4, 11, 40})
    for (const long past : {0, 3, 63, 64, 300}) {
      CAPTURE(tokens);
      CAPTURE(past);
      CHECK(trial<P>({{"token", tokens}, {"key", tokens + past}}, static_cast<unsigned>(past + tokens), 1.f,
                     static_cast<std::int32_t>(past)) < tolerance);
    }
}
TEST_CASE("soft cap") { check<SoftCap>(); }
TEST_CASE("ALiBi") { check<Alibi>(340 * 0x1p-24); }  // distances to 340: scores of that size
TEST_CASE("sink") { check<Sink>(); }
TEST_CASE("no maximum") { check<Unguarded>(); }
TEST_CASE("band") { check<Banded>(); }
TEST_CASE("sigmoid") { check<Sigmoid>(); }
