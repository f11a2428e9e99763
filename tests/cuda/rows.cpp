// Maps and rows on the device give what double precision gives: aligned and not, one row and many, short rows and rows too long for
// registers.
#include "check.hpp"
#include "row_programs.hpp"

using namespace weft;
using namespace weft::rows;

template <class P> void check(const Extents& e, double tolerance, std::int32_t first_integer = 0) {
  for (const std::size_t shift : {0, 4}) {
    CAPTURE(shift);
    CHECK(error_on_device<P>(e, first_integer, shift) < tolerance);
  }
}
TEST_CASE("norms") {
  for (const long tokens : {1, 3, 37}) check<Small::RmsNorm>({{"token", tokens}}, f32_tolerance);
  for (const long hidden : {1, 31, 40, 896, 1030, 4096}) {
    CAPTURE(hidden);
    check<Open::RmsNorm>({{"token", 5}, {"hidden", hidden}}, f32_tolerance);
    check<LayerNorm<Open>>({{"token", 2}, {"hidden", hidden}}, f32_tolerance);
  }
  check<Open::RmsNorm>({{"token", 2}, {"hidden", 40000}}, f32_tolerance);  // more than a block keeps
}
TEST_CASE("softmax") {
  check<Softmax<float, bf16, Fixed>>({{"token", 6}}, bf16_tolerance);
  for (const long wide : {1, 63, 64, 1500, 9000}) check<Softmax<f16, float, Wide>>({{"token", 3}, {"wide", wide}}, f32_tolerance);
}
TEST_CASE("rows over several axes, sums alone") {
  for (const long heads : {1, 8, 14}) check<TwoAxes>({{"token", 4}, {"head", heads}}, f32_tolerance);
  for (const long wide : {1, 5, 700, 3000}) check<skeletons::RowSum>({{"row", 9}, {"wide", wide}}, 4 * f32_tolerance);
}
TEST_CASE("maps") {
  for (const long wide : {1, 12, 130}) check<skeletons::Outer>({{"row", 3}, {"batch", 5}, {"wide", wide}}, f32_tolerance);
  check<Embedding<bf16>>({{"token", 5}, {"wide", 9}, {"vocab", 8}}, f16_tolerance, 1);
  CHECK(error_on_device<Embedding<q4_0>>({{"token", 5}, {"wide", 9}, {"vocab", 8}}, 1) < f16_tolerance);
  check<InPlace>({{"token", 5}}, f32_tolerance);
}
