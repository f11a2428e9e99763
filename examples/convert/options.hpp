// options: what the user of the converter asks for.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <weft/core/dtype.hpp>

#include "../support/program.hpp"

struct Options {
  std::optional<std::filesystem::path> input;  // a model's directory, a .safetensors file in one, or a .gguf file; or
  std::optional<std::string> random;           // the size of a model with random weights, or its config.json, and
  std::optional<long> layers;                  // how many of its layers
  std::uint64_t seed = 0;

  std::filesystem::path output;              // a file that ends in .gguf, else a directory
  std::optional<std::string> to;             // a format, or the name of a mix; else plain formats stay and blocks become f32
  std::optional<weft::DType> output_format;  // of the embedding and the head

  int threads = 0;  // 0: as many as the machine has
};

Parsed<Options> parse_options(int argc, char** argv);
