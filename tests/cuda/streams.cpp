// Streams on the device give what double precision gives: few rows, whose keys are split and combined, and many; masks, windows, scores of
// every kind; tensor cores and f32.
#include "check.hpp"
#include "stream_programs.hpp"

using namespace weft;
using namespace weft::streams;

template <class P> void check(double tolerance) {
  static_assert(kernel_count<P> == 1);
  for (const long tokens : {1, 3, 40})
    for (const long past : {0, 5, 64, 300}) {
      CAPTURE(tokens);
      CAPTURE(past);
      CHECK(error_on_device<P>({{"token", tokens}, {"key", tokens + past}}, static_cast<std::int32_t>(past)) < tolerance);
    }
}
TEST_CASE("attention in bf16") {
  check<InBf16<64>::Attention>(2 * bf16_tolerance);  // weights and results are rounded
  check<InBf16<128>::Attention>(2 * bf16_tolerance);
}
TEST_CASE("soft cap, distances, window") { check<Small::Capped>(4 * f32_tolerance); }
TEST_CASE("operands in several formats, no mask") {
  for (const long keys : {1, 64, 65, 700})
    for (const std::size_t shift : {0, 4})
      CHECK(error_on_device<skeletons::Streamed>({{"row", 9}, {"batch", 2}, {"deep", 21}, {"key", keys}}, 0, shift) < f32_tolerance);
}
