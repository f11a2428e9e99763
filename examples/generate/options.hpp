// options: what the user of the generator asks for.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <weft/core/dtype.hpp>
#include <weft/generate/settings.hpp>

#include "../support/program.hpp"

// What is not given here comes from the model's own files.
struct Options {
  std::filesystem::path model;
  std::optional<std::string> prompt, chat, system;
  std::optional<std::vector<std::int32_t>> ids;  // none of prompt, chat and ids: the prompt is read from standard input

  std::optional<long> max_tokens, context;
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<int> top_k;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stop;

  bool on_cuda = false;              // on a CUDA device instead of the CPU
  int threads = 0;                   // of the CPU; 0: as many as the machine has
  std::optional<weft::DType> dtype;  // of matrices; one of the block formats: they are quantised to it unless the file has them in blocks
  std::optional<weft::DType> cache;  // of keys and values; nothing: the usual one
  std::optional<std::filesystem::path> logits;
  bool json = false, stats = false, explain = false, describe = false, profile = false, experts = false;
};

Parsed<Options> parse_options(int argc, char** argv);

// `defaults`, changed by what the user asked for; throws weft::Error naming an option out of range.
weft::SamplingSettings sampling_settings(const Options& options, weft::SamplingSettings defaults);
