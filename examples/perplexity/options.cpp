#include "options.hpp"

#include "../support/command_line.hpp"

Parsed<Options> parse_options(int argc, char** argv) {
  Parsed<Options> parsed;
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
  add_weight_format(app, "--dtype", o.dtype);
  add_cache_format(app, "--cache", o.cache);
  add_weight_format(app, "--reference-dtype", o.reference_dtype)->needs(reference);
  app.add_flag("--json", o.json, "print a JSON object instead of a table");

  parsed.exit_status = read_command_line(app, argc, argv, [] {});
  return parsed;
}
