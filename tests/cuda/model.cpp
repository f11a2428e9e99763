// Models on the device. Small ones (groups of 7, head_dim 64, bf16; experts in some layers): their logits are as close to float32 as those of
// transformers in bf16, and they continue a prompt as the CPU does, whether the kernels of a step are started one by one or as a graph. The
// programs of the Qwen2.5-0.5B, with all its sizes, and of layers with experts give what the CPU gives.
#include "../support/golden_model.hpp"

#include <weft/generate/compiled_model.hpp>
#include <weft/generate/device_model.hpp>
#include <weft/models/qwen2.hpp>
#include <weft/models/qwen2_moe.hpp>

#include "on_both.hpp"

using namespace weft;
using namespace weft::test;

namespace {

using Model = Qwen2Runtime<64>;
using WithExperts = Qwen2MoeRuntime<128, 60, 4>;

template <class M> void check_model(const char* name) {
  Golden golden(name);
  golden.greedy.resize(8);
  const auto host = load(compiled_model<M, Stored<bf16>>(), golden), device = load(compiled_device_model<M, Stored<bf16>>(), golden);
  const auto logits = prompt_logits(*device, golden);
  const double theirs = relative_error(golden.logits_bf16, golden.logits);
  CHECK(relative_error(logits, golden.logits) <= 2 * theirs);
  CHECK(relative_error(prompt_logits(*device, golden, 7), golden.logits) <= 2 * theirs);
  const auto ids = greedy_continuation(*host, golden);
  CHECK(greedy_continuation(*device, golden, false) == ids);
  CHECK(greedy_continuation(*device, golden) == ids);
}

}  // namespace

TEST_CASE("a model from prompt to text") { check_model<Model>("group7_bf16"); }
TEST_CASE("layers with experts and dense ones, each expert a tensor of its own") { check_model<WithExperts>("experts_mixed_bf16"); }
TEST_CASE("of equal experts the first ones are chosen, as transformers does") {
  const Golden golden("experts_ties_bf16");
  CHECK(greedy_continuation(*load(compiled_device_model<WithExperts, Stored<bf16>>(), golden), golden) == golden.greedy);
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
TEST_CASE("the programs of layers with experts in bf16") {
  using Format = Stored<bf16>;
  constexpr DecoderDims dims = {.hidden = 512,
                                .intermediate = 768,
                                .layers = 1,
                                .heads = 4,
                                .kv_heads = 2,
                                .vocab = 100,
                                .head_dim = 128,
                                .experts = 60,
                                .chosen = 4,
                                .expert_intermediate = 96,
                                .shared_intermediate = 224};
  constexpr double tolerance = 0x1p-7;
  for (const long tokens : {1, 7, 90}) {
    CAPTURE(tokens);
    CHECK(distance<LayerProgram<WithExperts, Format>>(tokens, 3, dims) < tolerance);
    CHECK(distance<OtherLayerProgram<WithExperts, Format>>(tokens, 3, dims) < tolerance);
  }
}
