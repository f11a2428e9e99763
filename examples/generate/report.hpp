// report: what the generator tells beside the text: how far loading is, how fast it went, and everything as JSON.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <weft/generate/generate.hpp>
#include <weft/generate/language_model.hpp>
#include <weft/generate/routing.hpp>

struct Report {
  std::string model, format, cache, device, instruction_set;  // no device: the CPU
  long parameters = 0;
  int threads = 0;
  std::uint64_t seed = 0;
  bool is_sampled = false;
  long context = 0;
  long weight_bytes = 0, cache_bytes = 0;  // of all parameters, of the keys and values of the whole context

  std::string text;
  std::vector<std::int32_t> ids, prompt_ids;
  weft::FinishReason finish_reason = weft::FinishReason::length;
  double load_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
  const weft::RoutingCounts* routing = nullptr;  // nullptr: nobody asked
  long prefill_tokens = 0, decode_tokens = 0;    // that went through the model: the prompt's together, generated ones one by one
};

// of all parameters as they are stored; a head that shares the embedding's memory counts once
long weight_bytes(const weft::Weights& weights, const std::string& head);
long peak_memory_bytes();
std::string json_of(const Report& report);
std::string statistics_of(const Report& report);

// A bar on standard error if that is a terminal, else nothing. It vanishes when loading is done.
weft::LoadProgress progress_bar();
