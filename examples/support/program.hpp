// program: what the programs here have in common around their work: how they end, and how they say why.
#pragma once
#include <exception>
#include <iostream>
#include <optional>

// The options, or the exit status when there is nothing more to do: 0 after --help, 2 after a mistake, which has been reported on standard
// error.
template <class Options> struct Parsed {
  Options options;
  std::optional<int> exit_status;
};

// main() after the options have been read: run(options), and exit status 1 with one message after an error.
template <class Options, class Run> int run_program(const char* name, const Parsed<Options>& parsed, Run&& run) {
  if (parsed.exit_status) return *parsed.exit_status;
  try {
    run(parsed.options);
  } catch (const std::exception& problem) {
    std::cerr << name << ": " << problem.what() << "\n";
    return 1;
  }
  return 0;
}
