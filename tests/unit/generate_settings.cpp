// Settings out of range are refused by the option's name; a model's generation_config.json becomes settings.
#include <doctest/doctest.h>

#include <limits>

#include <weft/generate/settings.hpp>

using namespace weft;

namespace {

std::string refusal(const SamplingSettings& settings) {
  try {
    validate(settings);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}
constexpr float infinity = std::numeric_limits<float>::infinity(), not_a_number = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("what is in range is accepted") {
  CHECK(refusal({}) == "");
  CHECK(refusal({.temperature = 0, .top_k = 0, .top_p = 0, .min_p = 0, .repetition_penalty = 1e-3f, .seed = ~0ull}) == "");
  CHECK(refusal({.temperature = 1e9f, .top_k = 2147483647, .top_p = 1, .min_p = 1, .repetition_penalty = 100}) == "");
}

TEST_CASE("what is out of range is refused with the option, the range and the value") {
  CHECK(refusal({.temperature = -0.5f}) == "temperature: expected a number of at least 0 (0 is greedy), found -0.5");
  CHECK(refusal({.temperature = infinity}).starts_with("temperature: "));
  CHECK(refusal({.temperature = not_a_number}).starts_with("temperature: "));
  CHECK(refusal({.top_k = -1}) == "top-k: expected an integer of at least 0 (0 keeps all), found -1");
  CHECK(refusal({.top_p = 1.5f}) == "top-p: expected a number from 0 to 1 (1 keeps all), found 1.5");
  CHECK(refusal({.top_p = -0.1f}).starts_with("top-p: "));
  CHECK(refusal({.top_p = not_a_number}).starts_with("top-p: "));
  CHECK(refusal({.min_p = 2}) == "min-p: expected a number from 0 to 1 (0 drops none), found 2");
  CHECK(refusal({.min_p = not_a_number}).starts_with("min-p: "));
  CHECK(refusal({.repetition_penalty = 0}) == "repetition-penalty: expected a number greater than 0 (1 is no penalty), found 0");
  CHECK(refusal({.repetition_penalty = -1}).starts_with("repetition-penalty: "));
  CHECK(refusal({.repetition_penalty = infinity}).starts_with("repetition-penalty: "));
}

TEST_CASE("settings of a model that samples, and of one that does not") {
  GenerationConfig config;
  config.do_sample = true;
  config.temperature = 0.7;
  config.top_k = 20;
  config.top_p = 0.8;
  config.min_p = 0.05;
  config.repetition_penalty = 1.1;
  const auto sampling = sampling_settings(config);
  CHECK(sampling.temperature == 0.7f);
  CHECK(sampling.top_k == 20);
  CHECK(sampling.top_p == 0.8f);
  CHECK(sampling.min_p == 0.05f);
  CHECK(sampling.repetition_penalty == 1.1f);
  config.do_sample = false;
  const auto greedy = sampling_settings(config);
  CHECK(greedy.temperature == 0);
  CHECK(greedy.repetition_penalty == 1.1f);
  CHECK(sampling_settings({}).temperature == 0);
  CHECK(refusal(greedy) == "");
}
