// Models with experts against transformers: logits, greedy continuations, prefill in pieces; layers of two kinds in one model; run-time sizes against
// sizes in the type.
#include "../support/golden_model.hpp"

#include <weft/cpu/evaluate.hpp>
#include <weft/generate/compiled_model.hpp>
#include <weft/models/qwen2_moe.hpp>

using namespace weft;
using namespace weft::test;

namespace {

struct Static : Qwen2Moe<Qwen2MoeDims{.hidden = 64,
                                      .intermediate = 96,
                                      .layers = 2,
                                      .heads = 2,
                                      .kv_heads = 2,
                                      .vocab = 257,
                                      .head_dim = 128,
                                      .experts = 60,
                                      .chosen = 4,
                                      .expert_intermediate = 8,
                                      .shared_intermediate = 40}> {
  static constexpr Name name = "Static";
};
const auto any_size = compiled_model<Qwen2MoeRuntime<128, 60, 4>, Stored<float>>();
const auto any_size_bf16 = compiled_model<Qwen2MoeRuntime<128, 60, 4>, Stored<bf16>>();
const auto closed = compiled_model<Static, Stored<float>>();

}  // namespace

TEST_CASE("Qwen2-MoE in f32") {
  check_f32(any_size, "experts");
  check_f32(any_size, "experts_mixed_bf16");
}
TEST_CASE("Qwen2-MoE in bf16") { check_bf16(any_size_bf16, "experts_mixed_bf16"); }
TEST_CASE("sizes in the type") { check_same_bits(closed, any_size, "experts"); }
TEST_CASE("the number of threads changes no bit") { check_threads(any_size, "experts"); }

namespace {

using Row = Axis<"row">;
using Expert = Tile<"expert", 60>;
using Choice = Tile<"choice", 4>;
constexpr auto loss_of = [](auto logits) {
  auto p = softmax<Expert>(logits);
  return load_balance<Row, Expert, Choice>(p, top_k<Expert, Choice>(p).indices);
};

}  // namespace

TEST_CASE("the loss that keeps experts busy is that of transformers") {
  for (const char* name : {"experts", "experts_mixed_bf16"}) {
    CAPTURE(std::string(name));
    const auto file = SafetensorsFile::open(Golden(name).directory / "golden.safetensors");
    const TensorInfo &logits = *file.find("router_logits"), &expected = *file.find("load_balancing_loss");
    Buffer<float, Row, Expert> z(static_cast<long>(logits.shape[0]), 60);
    std::memcpy(z.data(), logits.data.data(), logits.data.size());
    float ours = 0, theirs = 0;
    evaluate(on_cpu, loss_of, scalar(ours), z.view());
    std::memcpy(&theirs, expected.data.data(), sizeof theirs);
    CHECK(ours == doctest::Approx(theirs).epsilon(1e-6));
  }
}
