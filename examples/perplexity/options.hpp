// options: what the user of the program asks for.
#pragma once
#include <filesystem>
#include <optional>

#include <weft/core/dtype.hpp>

struct Options {
  std::filesystem::path model;
  std::optional<std::filesystem::path> reference, text;  // no text: it is read from standard input
  std::optional<weft::DType> dtype, reference_dtype;     // nothing: as the file has it
  std::optional<long> context, stride, tokens;
  int threads = 0;  // 0: as many as the machine has
  bool json = false;
};

// The options, or the exit status when there is nothing more to do: 0 after --help, 2 after a mistake, which has been reported on standard
// error.
struct ParsedOptions {
  Options options;
  std::optional<int> exit_status;
};
ParsedOptions parse_options(int argc, char** argv);
