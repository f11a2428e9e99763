// Contractions on the device give what double precision gives: few rows and many, ragged extents, aligned and not, staged or multiplied
// from where the operands lie.
#include "check.hpp"
#include "contraction_programs.hpp"

using namespace weft;
using namespace weft::contractions;

template <class P> void check(const Extents& e, double tolerance, std::int32_t first_integer = 0) {
  for (const std::size_t shift : {0, 4}) {
    CAPTURE(shift);
    CHECK(error_on_device<P>(e, first_integer, shift) < tolerance);
  }
}
TEST_CASE("products") {
  for (const long rows : {1, 5, 64, 130})
    for (const long deep : {1, 8, 40, 72, 336}) {
      CAPTURE(rows);
      CAPTURE(deep);
      check<skeletons::Product<float, bf16, bf16>::P>({{"row", rows}, {"deep", deep}, {"wide", 150}}, f32_tolerance);
      check<skeletons::Product<float, f16, f16>::P>({{"row", rows}, {"deep", deep}, {"wide", 37}}, f32_tolerance);
      check<skeletons::Batched>({{"row", rows}, {"deep", deep}, {"wide", 37}, {"batch", 3}}, f32_tolerance);
    }
}
TEST_CASE("projections in bf16") {
  for (const long tokens : {1, 3, 70}) {
    CAPTURE(tokens);
    check<Bf16::Gated>({{"token", tokens}}, bf16_tolerance);
    check<Bf16::Down>({{"token", tokens}}, bf16_tolerance);
    check<Bf16::Projected>({{"token", tokens}, {"key", tokens + 4}}, bf16_tolerance, 3);
  }
}
TEST_CASE("weights in blocks") {
  for (const long rows : {1, 6, 70})
    for (const long deep : {32, 96, 1088}) {
      CAPTURE(rows);
      CAPTURE(deep);
      const Extents e = {{"row", rows}, {"deep", deep}, {"wide", 41}};
      CHECK(error_on_device<InBlocks<q8_0>::Exact>(e) < f32_tolerance);
      CHECK(error_on_device<InBlocks<q4_0>::Digits>(e) <
            1e-3);  // a digit at the border between two may fall to either: 1 / 254 of the largest
    }
}
