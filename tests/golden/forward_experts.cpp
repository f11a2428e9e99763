// Models with experts against transformers: logits, greedy continuations, prefill in pieces; layers of two kinds in one model; run-time sizes against
// sizes in the type.
#include "../support/golden_model.hpp"

#include <map>
#include <numeric>
#include <weft/cpu/evaluate.hpp>
#include <weft/generate/compiled_model.hpp>
#include <weft/generate/routing.hpp>
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
TEST_CASE("which of several experts alike is chosen changes nothing") {
  check_f32(any_size, "experts_ties_bf16");
  check_bf16(any_size_bf16, "experts_ties_bf16");
}
TEST_CASE("sizes in the type") { check_same_bits(closed, any_size, "experts"); }
TEST_CASE("the number of threads changes no bit") { check_threads(any_size, "experts"); }

namespace {

struct Choices : RoutingObserver {
  std::map<long, std::vector<std::vector<std::int32_t>>> of_layer;  // by token
  void on_choices(long layer, long experts, long each, std::span<const std::int32_t> choices) override {
    CHECK(experts == 60);
    CHECK(each == 4);
    for (auto at = choices.begin(); at != choices.end(); at += each) of_layer[layer].emplace_back(at, at + each);
  }
};
// the logits of all tokens of the prompt, while somebody observes, `piece` tokens together
std::vector<float> observed(const CompiledModel& compiled, const Golden& golden, RoutingObserver& observer, long piece) {
  const auto model = load(compiled, golden);
  const auto session = model->start({.context = static_cast<long>(golden.prompt.size()), .chunk = piece, .routing = &observer});
  std::vector<float> logits(golden.logits.size());
  session->forward(golden.prompt, logits);
  return logits;
}

}  // namespace

TEST_CASE("the experts that tokens pass through are those that transformers' router prefers, and to observe them changes nothing") {
  const std::pair<const char*, std::vector<long>> cases[] = {{"experts", {0, 1}}, {"experts_mixed_bf16", {1, 5}}};
  for (const auto& [name, layers_with_experts] : cases) {
    CAPTURE(std::string(name));
    const Golden golden(name);
    const auto file = SafetensorsFile::open(golden.directory / "golden.safetensors");
    const TensorInfo& tensor = *file.find("router_logits");  // of the layers with experts, one after the other
    std::vector<float> router(tensor.data.size() / sizeof(float));
    std::memcpy(router.data(), tensor.data.data(), tensor.data.size());
    const auto tokens = golden.prompt.size();
    REQUIRE(router.size() == layers_with_experts.size() * tokens * 60);
    Choices whole, in_pieces;
    const auto logits = observed(any_size, golden, whole, 512);
    CHECK(logits == prompt_logits(*load(any_size, golden), golden));
    CHECK(observed(any_size, golden, in_pieces, 7) == prompt_logits(*load(any_size, golden), golden, 7));
    CHECK(whole.of_layer == in_pieces.of_layer);
    REQUIRE(whole.of_layer.size() == layers_with_experts.size());
    for (std::size_t l = 0; l < layers_with_experts.size(); ++l) {
      const auto& chosen = whole.of_layer.at(layers_with_experts[l]);
      REQUIRE(chosen.size() == tokens);
      for (std::size_t t = 0; t < tokens; ++t) {
        const float* z = router.data() + (l * tokens + t) * 60;
        std::vector<std::int32_t> expected(60);
        std::iota(expected.begin(), expected.end(), 0);
        std::ranges::stable_sort(expected, [&](std::int32_t a, std::int32_t b) { return z[a] > z[b]; });
        expected.resize(4);
        CHECK(chosen[t] == expected);
      }
    }
  }
}
TEST_CASE("of equal experts the first ones are chosen, in their order") {
  Choices choices;
  observed(any_size_bf16, Golden("experts_ties_bf16"), choices, 512);
  for (const auto& chosen : choices.of_layer.at(0)) {  // three by three they have the same logits
    CHECK(chosen[0] % 3 == 0);
    CHECK(chosen[1] == chosen[0] + 1);
    CHECK(chosen[2] == chosen[0] + 2);
    CHECK(chosen[3] % 3 == 0);
  }
}
TEST_CASE("counts of choices") {
  const Golden golden("experts_mixed_bf16");
  RoutingCounts counts;
  Choices choices;
  observed(any_size, golden, counts, 512);
  observed(any_size, golden, choices, 512);
  REQUIRE(counts.layers().size() == 2);
  for (const auto& layer : counts.layers()) {
    CHECK(layer.each == 4);
    CHECK(layer.tokens() == static_cast<long>(golden.prompt.size()));
    std::vector<long> expected(60);
    for (const auto& chosen : choices.of_layer.at(layer.number))
      for (const auto expert : chosen) ++expected[static_cast<std::size_t>(expert)];
    CHECK(layer.count == expected);
    double sum = 0;
    for (std::size_t e = 0; e < 60; ++e) sum += layer.share(e);
    CHECK(sum == doctest::Approx(1));
    CHECK(layer.count[layer.busiest()] == *std::ranges::max_element(expected));
    CHECK(layer.count[layer.idlest()] == *std::ranges::min_element(expected));
    CHECK(layer.entropy() > 0);
    CHECK(layer.entropy() <= layer.largest_entropy());
  }
  RoutingCounts by_hand;
  by_hand.on_choices(3, 4, 2, std::vector<std::int32_t>{2, 0, 2, 3});
  const auto& layer = by_hand.layers()[0];  // shares of a quarter, nothing, a half and a quarter
  CHECK(layer.number == 3);
  CHECK(layer.tokens() == 2);
  CHECK(layer.entropy() == doctest::Approx(1.5 * std::log(2)));
  CHECK(layer.largest_entropy() == doctest::Approx(std::log(4)));
  CHECK(layer.busiest() == 2);
  CHECK(layer.idlest() == 1);
  CHECK(layer.never_chosen() == 1);
}

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
