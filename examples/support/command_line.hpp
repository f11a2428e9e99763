// command_line: options that several programs have, and what is said about a mistake in them.
#pragma once
#include <CLI/CLI.hpp>
#include <initializer_list>
#include <iostream>
#include <map>
#include <optional>
#include <string>

#include <weft/core/dtype.hpp>
#include <weft/core/error.hpp>

inline CLI::Option* add_format(CLI::App& app, const char* name, std::optional<weft::DType>& format,
                               std::initializer_list<weft::DType> choices, const char* help) {
  std::map<std::string, weft::DType> named;
  for (const auto type : choices) named[weft::name_of(type)] = type;
  return app.add_option(name, format, help)->transform(CLI::Transformer(named).description(""))->type_name("FORMAT");
}
// how a model's weights are to be stored and, with them, its activations
inline CLI::Option* add_weight_format(CLI::App& app, const char* name, std::optional<weft::DType>& format) {
  using enum weft::DType;
  return add_format(
      app, name, format, {f32, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k},
      "format of weights and activations: f32 or bf16; or q8_0, q4_0, ...: matrices are quantised to it as they are loaded, unless "
      "the file has them in blocks [as the file has them]");
}
inline CLI::Option* add_cache_format(CLI::App& app, const char* name, std::optional<weft::DType>& format) {
  using enum weft::DType;
  return add_format(
      app, name, format, {f32, bf16, f16, q8_0},
      "format of keys and values: f32, bf16, f16 or q8_0, if the program was compiled for it (WEFT_CACHES of CMake) [bf16; f32 "
      "with weights in f32]");
}

// Reads the options; `check` looks at them afterwards and may throw CLI::ParseError, or weft::Error with an option's name first. Returns the
// exit status when there is nothing more to do.
template <class Check> std::optional<int> read_command_line(CLI::App& app, int argc, char** argv, Check&& check) {
  const auto mistake = [&](const std::string& text) {
    std::cerr << app.get_name() << ": " << text << "\nRun with --help for all options.\n";
    return 2;
  };
  try {
    app.parse(argc, argv);
    check();
  } catch (const CLI::ParseError& end) {
    const bool is_help = end.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    return is_help ? app.exit(end) : mistake(end.what());
  } catch (const weft::Error& wrong) {
    return mistake(std::string("--") + wrong.what());
  }
  return std::nullopt;
}
