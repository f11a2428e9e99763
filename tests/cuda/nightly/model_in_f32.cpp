// The programs of the Qwen2.5-0.5B in f32, with all its sizes, give on the device what the CPU gives.
#include <doctest/doctest.h>

#include "../on_both.hpp"

using namespace weft;
using namespace weft::test;
using Model = Qwen2Runtime<64>;
using Format = Stored<float>;

TEST_CASE("the programs of a model of 0.5 billion parameters in f32") {
  constexpr double tolerance = 2e-6;
  for (const long tokens : {1, 3, 20}) {
    CAPTURE(tokens);
    CHECK(distance<EmbedProgram<Model, Format>>(tokens, 0) == 0);
    CHECK(distance<LayerProgram<Model, Format>>(tokens, 0) < tolerance);
    CHECK(distance<LayerProgram<Model, Format>>(tokens, 300) < tolerance);
  }
  CHECK(distance<HeadProgram<Model, Format>>(1, 0) < tolerance);
}
