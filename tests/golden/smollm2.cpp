// SmolLM2-135M-Instruct, real weights in a GGUF file, against transformers on the dequantised file: data/smollm2.json. Needs the file
// itself, which examples/fetch_model.py brings, in the environment variable WEFT_SMOLLM2. Without it these tests say they were skipped.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>
#include <weft/generate/compiled_model.hpp>
#include <weft/generate/model_files.hpp>
#include <weft/models/llama.hpp>

using namespace weft;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;

namespace {

std::optional<std::filesystem::path> model_file() {
  const char* file = std::getenv("WEFT_SMOLLM2");
  if (file != nullptr && std::filesystem::exists(file)) return file;
  MESSAGE("skipped: WEFT_SMOLLM2 names no file with the model");
  return std::nullopt;
}
const json& cases() {
  static const json document = text::read_json(WEFT_SOURCE_DIR "/tests/golden/data/smollm2.json");
  return document["cases"];
}

}  // namespace

TEST_CASE("the tokenizer and the chat template in the file") {
  const auto file = model_file();
  if (!file) return;
  const auto files = ModelFiles::open(*file);
  const auto tokenizer = files.tokenizer();
  CHECK(tokenizer.size() == 49152);
  CHECK(tokenizer.start().empty());
  CHECK(files.generation().eos == Ids{2, 0});
  for (const auto& golden : cases()) {
    const auto rendered = golden["rendered"].get<std::string>();
    CAPTURE(rendered);
    CHECK(tokenizer.encode(rendered) == golden["prompt_ids"].get<Ids>());
    CHECK(tokenizer.decode(golden["prompt_ids"].get<Ids>()) == rendered);
    if (golden.contains("messages")) CHECK(files.chat_template().render(text::messages_from_json(golden["messages"])) == rendered);
  }
}

TEST_CASE("logits and greedy continuations in f32") {
  const auto file = model_file();
  if (!file) return;
  auto files = ModelFiles::open(*file);
  const auto config = files.config();
  const auto model = load_model(compiled_model<LlamaRuntime<64>, Stored<float>>(), config, files.take_tensors());
  std::vector<float> logits(static_cast<std::size_t>(config.vocab));
  for (const auto& golden : cases()) {
    const auto prompt = golden["prompt_ids"].get<Ids>(), greedy = golden["greedy_ids"].get<Ids>(), places = golden["logit_ids"].get<Ids>();
    const auto expected = golden["logits"].get<std::vector<float>>();
    CAPTURE(golden["rendered"].get<std::string>());
    const auto session = model->start({.context = static_cast<long>(prompt.size() + greedy.size())});
    session->forward(prompt, logits);
    float error = 0, largest = 0;
    for (std::size_t i = 0; i < places.size(); ++i) {
      error = std::max(error, std::abs(logits[static_cast<std::size_t>(places[i])] - expected[i]));
      largest = std::max(largest, std::abs(expected[i]));
    }
    MESSAGE("largest error of a logit: " << error << " of " << largest);
    CHECK(error <= 1e-5F * largest);
    Ids ids;
    while (ids.size() < greedy.size()) {
      ids.push_back(static_cast<std::int32_t>(std::ranges::max_element(logits) - logits.begin()));
      session->forward(std::span(&ids.back(), 1), logits);
    }
    CHECK(ids == greedy);
  }
}

// The weights as they are in the file, activations in 8 bits where they meet a matrix. A normal value is stored with an error of m / 127 / sqrt(12),
// where m, the largest of 32, is about 2.07 standard deviations: 0.0047. A layer quantises four times in a row; errors are independent, so the
// squares add up, and rounding to bf16 (2^-9 of a value, some ten times a layer) adds its share.
TEST_CASE("logits with whole numbers multiplied") {
  const auto file = model_file();
  if (!file) return;
  auto files = ModelFiles::open(*file);
  const auto config = files.config();
  const auto model = load_model(compiled_model<LlamaRuntime<64>, Stored<any_block>>(), config, files.take_tensors());
  CHECK(model->weights().format_text() == "q4_1, q8_0");
  const double layers = static_cast<double>(config.layers);
  const double limit = std::sqrt(4 * layers * 0.0047 * 0.0047 + 10 * layers / (512. * 512.));
  std::vector<float> logits(static_cast<std::size_t>(config.vocab));
  double error = 0, size = 0;
  for (const auto& golden : cases()) {
    const auto prompt = golden["prompt_ids"].get<Ids>(), places = golden["logit_ids"].get<Ids>();
    const auto expected = golden["logits"].get<std::vector<double>>();
    model->start({.context = static_cast<long>(prompt.size())})->forward(prompt, logits);
    for (std::size_t i = 0; i < places.size(); ++i) {
      const double difference = static_cast<double>(logits[static_cast<std::size_t>(places[i])]) - expected[i];
      error += difference * difference;
      size += expected[i] * expected[i];
    }
    CHECK(std::ranges::max_element(logits) - logits.begin() == golden["greedy_ids"][0].get<std::int32_t>());
  }
  MESSAGE("relative error (norm) " << std::sqrt(error / size) << ", limit " << limit);
  CHECK(std::sqrt(error / size) <= limit);
}
