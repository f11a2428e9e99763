// golden_model: what every model type must do with a golden case.
#pragma once
#include <doctest/doctest.h>

#include "golden.hpp"

#include <algorithm>
#include <weft/generate/language_model.hpp>

namespace weft::test {

inline std::unique_ptr<LanguageModel> load(const CompiledModel& compiled, const Golden& golden, int threads = 2) {
  return load_model(compiled, golden.config, Checkpoint::open(golden.directory), threads);
}

// the logits of the whole prompt; `pieces` at a time, in chunks of `chunk`
inline std::vector<float> prompt_logits(LanguageModel& model, const Golden& golden, long chunk = 512, std::size_t pieces = 1 << 20) {
  const auto session = model.start({.context = static_cast<long>(golden.prompt.size()), .chunk = chunk});
  std::vector<float> logits(golden.logits.size());
  const std::size_t vocab = static_cast<std::size_t>(session->vocab());
  for (std::size_t begin = 0; begin < golden.prompt.size(); begin += pieces) {
    const auto count = std::min(pieces, golden.prompt.size() - begin);
    session->forward(std::span(golden.prompt).subspan(begin, count), std::span(logits).subspan(begin * vocab, count * vocab));
  }
  return logits;
}

inline std::vector<std::int32_t> greedy_continuation(LanguageModel& model, const Golden& golden, bool graph = true) {
  const auto session = model.start({.context = static_cast<long>(golden.prompt.size() + golden.greedy.size()), .graph = graph});
  std::vector<float> logits(static_cast<std::size_t>(session->vocab()));
  std::vector<std::int32_t> ids;
  session->forward(golden.prompt, logits);
  while (ids.size() < golden.greedy.size()) {
    ids.push_back(static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    session->forward(std::span(&ids.back(), 1), logits);
  }
  return ids;
}

// f32: close to transformers, and the same however the prompt is cut
inline void check_f32(const CompiledModel& compiled, const char* name) {
  CAPTURE(std::string(name));
  const Golden golden(name);
  const auto model = load(compiled, golden);
  const auto logits = prompt_logits(*model, golden);
  const double error = relative_error(logits, golden.logits);
  MESSAGE(std::string(name) << ", " << compiled.type_text() << ", f32: relative error " << error);
  CHECK(error <= 1e-5);
  CHECK(greedy_continuation(*model, golden) == golden.greedy);
  // chunks of the prefill, whole calls, and one token after another as in decoding
  CHECK(relative_error(prompt_logits(*model, golden, 7), logits) <= 3e-6);
  CHECK(relative_error(prompt_logits(*model, golden, 512, 13), logits) <= 3e-6);
  CHECK(relative_error(prompt_logits(*model, golden, 512, 1), logits) <= 3e-6);
}

// bf16: as close to float32 as transformers' own bf16 (no more than twice as far)
inline void check_bf16(const CompiledModel& compiled, const char* name) {
  CAPTURE(std::string(name));
  const Golden golden(name);
  REQUIRE_FALSE(golden.logits_bf16.empty());
  const auto model = load(compiled, golden);
  const auto logits = prompt_logits(*model, golden);
  const double error = relative_error(logits, golden.logits), theirs = relative_error(golden.logits_bf16, golden.logits);
  MESSAGE(std::string(name) << ", " << compiled.type_text() << ", bf16: distance to float32 " << error << ", transformers' own " << theirs);
  CHECK(error <= 2 * theirs);
  // another order of accumulation may round elsewhere, but not farther than the format itself
  CHECK(relative_error(prompt_logits(*model, golden, 7), logits) <= 2 * theirs);
  CHECK(relative_error(prompt_logits(*model, golden, 512, 1), logits) <= 2 * theirs);
}

inline void check_threads(const CompiledModel& compiled, const char* name) {
  CAPTURE(std::string(name));
  const Golden golden(name);
  const auto one = load(compiled, golden, 1);
  const auto logits = prompt_logits(*one, golden), decoded = prompt_logits(*one, golden, 512, 1);
  for (const int threads : {2, 3, 8}) {
    const auto several = load(compiled, golden, threads);
    CHECK(prompt_logits(*several, golden) == logits);
    CHECK(prompt_logits(*several, golden, 512, 1) == decoded);
  }
}

inline void check_same_bits(const CompiledModel& a, const CompiledModel& b, const char* name) {
  CAPTURE(std::string(name));
  const Golden golden(name);
  const auto first = load(a, golden), second = load(b, golden);
  CHECK(prompt_logits(*first, golden) == prompt_logits(*second, golden));
  CHECK(prompt_logits(*first, golden, 512, 1) == prompt_logits(*second, golden, 512, 1));
}

}  // namespace weft::test
