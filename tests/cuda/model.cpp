// Models on the device. A small one (groups of 7, head_dim 64, bf16): its logits are as close to float32 as those of transformers in bf16,
// and it continues a prompt as the CPU does, whether the kernels of a step are started one by one or as a graph. The programs of the
// Qwen2.5-0.5B, with all its sizes, give what the CPU gives.
#include "../support/golden_model.hpp"

#include <weft/generate/compiled_model.hpp>
#include <weft/generate/device_model.hpp>
#include <weft/models/qwen2.hpp>

#include "on_both.hpp"

using namespace weft;
using namespace weft::test;

namespace {

using Model = Qwen2Runtime<64>;

}  // namespace

TEST_CASE("a model from prompt to text") {
  Golden golden("group7_bf16");
  golden.greedy.resize(8);
  const auto host = load(compiled_model<Model, Stored<bf16>>(), golden),
             device = load(compiled_device_model<Model, Stored<bf16>>(), golden);
  const auto logits = prompt_logits(*device, golden);
  const double theirs = relative_error(golden.logits_bf16, golden.logits);
  CHECK(relative_error(logits, golden.logits) <= 2 * theirs);
  CHECK(relative_error(prompt_logits(*device, golden, 7), golden.logits) <= 2 * theirs);
  const auto ids = greedy_continuation(*host, golden);
  CHECK(greedy_continuation(*device, golden, false) == ids);
  CHECK(greedy_continuation(*device, golden) == ids);
}
TEST_CASE("the programs of a model of 0.5 billion parameters in bf16") {
  using Format = Stored<bf16>;
  // Both round at the same places, but not always the same way: sums in another order fall to the other side of a border, and weights of
  // attention are rounded relative to the maximum so far, which depends on how keys are cut into blocks. A layer has about ten such places.
  constexpr double tolerance = 0x1p-7;
  CHECK(distance<EmbedProgram<Model, Format>>(5, 0) == 0);
  CHECK(distance<LayerProgram<Model, Format>>(5, 0) < tolerance);     // a prefill
  CHECK(distance<LayerProgram<Model, Format>>(20, 300) < tolerance);  // another, in tiles
  CHECK(distance<LayerProgram<Model, Format>>(1, 300) < tolerance);   // a step
  CHECK(distance<HeadProgram<Model, Format>>(1, 0) < tolerance);
}
