// settings: how the next token is chosen, as a user may set it.
#pragma once
#include <cmath>
#include <cstdint>
#include <sstream>

#include <weft/core/error.hpp>
#include <weft/io/model_config.hpp>

namespace weft {

// The defaults leave the model's distribution as it is.
struct SamplingSettings {
  float temperature = 1;         // divides the logits; 0 is greedy
  int top_k = 0;                 // keep the k largest logits and what is equal to the k-th; 0 keeps all
  float top_p = 1;               // keep the smallest set of the most probable tokens whose probability reaches p, at least one; 1 keeps all
  float min_p = 0;               // drop tokens less probable than min_p times the most probable one; 0 drops none
  float repetition_penalty = 1;  // logits of tokens seen before: x / penalty if positive, x * penalty if negative; 1 changes none
  std::uint64_t seed = 0;        // the same seed and logits give the same tokens
};

// Throws Error naming the option, its range and the value found.
inline void validate(const SamplingSettings& settings) {
  const auto check = [](const char* option, bool valid, const char* range, auto found) {
    if (valid) return;
    std::ostringstream message;
    message << option << ": expected " << range << ", found " << found;
    throw Error(message.str());
  };
  // written so that NaN is invalid
  check("temperature", settings.temperature >= 0 && std::isfinite(settings.temperature), "a number of at least 0 (0 is greedy)",
        settings.temperature);
  check("top-k", settings.top_k >= 0, "an integer of at least 0 (0 keeps all)", settings.top_k);
  check("top-p", settings.top_p >= 0 && settings.top_p <= 1, "a number from 0 to 1 (1 keeps all)", settings.top_p);
  check("min-p", settings.min_p >= 0 && settings.min_p <= 1, "a number from 0 to 1 (0 drops none)", settings.min_p);
  check("repetition-penalty", settings.repetition_penalty > 0 && std::isfinite(settings.repetition_penalty),
        "a number greater than 0 (1 is no penalty)", settings.repetition_penalty);
}

// What a model's generation_config.json asks for. The repetition penalty also holds for greedy models, as in transformers.
inline SamplingSettings sampling_settings(const GenerationConfig& config) {
  SamplingSettings settings;
  settings.repetition_penalty = static_cast<float>(config.repetition_penalty);
  settings.temperature = 0;
  if (config.do_sample) {
    settings.temperature = static_cast<float>(config.temperature);
    settings.top_k = static_cast<int>(config.top_k);
    settings.top_p = static_cast<float>(config.top_p);
    settings.min_p = static_cast<float>(config.min_p);
  }
  return settings;
}

}  // namespace weft
