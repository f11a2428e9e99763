// options: what the user of the program asks for.
#pragma once
#include <filesystem>
#include <optional>

#include <weft/core/dtype.hpp>

#include "../support/program.hpp"

struct Options {
  std::filesystem::path model;
  std::optional<std::filesystem::path> reference, text;  // no text: it is read from standard input
  std::optional<weft::DType> dtype, reference_dtype;     // nothing: as the file has it
  std::optional<weft::DType> cache;                      // of the model's keys and values; nothing: the usual one
  std::optional<long> context, stride, tokens;
  int threads = 0;  // 0: as many as the machine has
  bool json = false;
};

Parsed<Options> parse_options(int argc, char** argv);
