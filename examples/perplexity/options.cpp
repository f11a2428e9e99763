#include "options.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <map>

ParsedOptions parse_options(int argc, char** argv) {
  ParsedOptions parsed;
  Options& o = parsed.options;
  CLI::App app("Measures how well a model predicts a text, and how far its predictions are from those of another model.", "perplexity");
  app.footer(
      "The text is cut into windows of --context tokens, each --stride tokens behind the one before. A token is scored in the first "
      "window\n"
      "that has it, so all but those of the first window see at least context - stride tokens before them.\n"
      "Exit status: 0, 1 after an error, 2 after a mistake in the options.");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);

  app.add_option("--model", o.model, "directory with config.json and weights, or a GGUF file")->required()->type_name("DIR|FILE");
  auto* reference =
      app.add_option("--reference", o.reference, "another model with the same vocabulary: the divergence from it is measured, too")
          ->type_name("DIR|FILE");
  app.add_option("--text", o.text, "the text, in UTF-8 [standard input]")->type_name("FILE");
  app.add_option("--context", o.context, "tokens of a window [512, or fewer if the model was made for fewer]")
      ->check(CLI::Range(2L, 1L << 30));
  app.add_option("--stride", o.stride, "tokens from one window to the next [half of a window]")->check(CLI::PositiveNumber);
  app.add_option("--tokens", o.tokens, "use only so many tokens of the text")->check(CLI::Range(2L, 1L << 30));
  app.add_option("--threads", o.threads, "threads to compute with [all]")->check(CLI::Range(1, 4096));
  std::map<std::string, weft::DType> formats;
  for (int t = 0; t < static_cast<int>(weft::DType::any_block); ++t)
    if (const auto type = static_cast<weft::DType>(t); type != weft::DType::f16 && type != weft::DType::i32) formats[name_of(type)] = type;
  const auto add_format = [&](const char* name, std::optional<weft::DType>& format, const char* meaning) {
    return app.add_option(name, format, meaning)->transform(CLI::Transformer(formats).description(""))->type_name("FORMAT");
  };
  add_format(
      "--dtype", o.dtype,
      "format of weights, cache and activations: f32 or bf16; or q8_0, q4_0, ...: matrices are quantised to it as they are loaded, unless "
      "the file has them in blocks [as the file has them]");
  add_format("--reference-dtype", o.reference_dtype, "the same of the reference")->needs(reference);
  app.add_flag("--json", o.json, "print a JSON object instead of a table");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& end) {
    if (end.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      parsed.exit_status = app.exit(end);
    } else {
      std::cerr << "perplexity: " << end.what() << "\nRun with --help for all options.\n";
      parsed.exit_status = 2;
    }
  }
  return parsed;
}
