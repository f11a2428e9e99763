#include "options.hpp"

#include "../support/command_line.hpp"
#include "formats.hpp"
#include "random_model.hpp"

Parsed<Options> parse_options(int argc, char** argv) {
  Parsed<Options> parsed;
  Options& o = parsed.options;
  CLI::App app("Converts a model between the layout of Hugging Face and GGUF, quantises it, or makes one with random weights.", "convert");
  app.footer(
      "  convert Qwen2.5-0.5B-Instruct qwen.gguf --to q4_k_m     a directory in the layout of Hugging Face to GGUF\n"
      "  convert qwen.gguf qwen                                  a GGUF file to such a directory\n"
      "  convert Qwen2.5-0.5B-Instruct smaller --to q8_0         to a directory whose matrices are in blocks, which weft alone reads\n"
      "  convert --random qwen2.5-0.5b random.gguf --to q8_0     random weights, normal with a deviation of 0.02\n"
      "Rows that are no whole blocks fall back as in llama.cpp: q4_k to q5_0, q5_k to q5_1, q6_k to q8_0, all others to f16. Vectors\n"
      "are f32 in GGUF and beside matrices in blocks. Exit status: 0, 1 after an error, 2 after a mistake in the options.");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);

  std::vector<std::string> paths;
  app.add_option("paths", paths,
                 "INPUT (not with --random): a directory with config.json and weights, a .safetensors file beside its "
                 "config.json, or a .gguf file; OUTPUT: a file that ends in .gguf, else a directory")
      ->type_name("[INPUT] OUTPUT")
      ->expected(1, 2)
      ->required();
  app.add_option("--to", o.to, "format of the weights: " + names_of_targets() + " [plain formats stay, blocks become f32; random: bf16]")
      ->type_name("FORMAT")
      ->check(CLI::Validator([](std::string& name) { return target_named(name) ? "" : "expected one of " + names_of_targets(); }, ""));
  std::optional<std::string> output_format;
  app.add_option("--output-type", output_format,
                 "format of the embedding and the head beside other matrices in blocks [q6_k or q8_0 where --to is smaller]")
      ->type_name("FORMAT")
      ->check(CLI::Validator([](std::string& name) { return format_named(name) ? "" : "expected a format, and no mix"; }, ""));
  auto* random =
      app.add_option("--random", o.random, "make a model with random weights, of this size or as a config.json says: " + names_of_sizes())
          ->type_name("SIZE|CONFIG.json")
          ->check(CLI::Validator(
              [](std::string& name) {
                return names_config_file(name) || dims_of_size(name) ? "" : "expected a config.json or one of " + names_of_sizes();
              },
              ""));
  app.add_option("--layers", o.layers, "make so many layers only")->check(CLI::Range(1, 65536))->needs(random);
  app.add_option("--seed", o.seed, "of the random weights [0]")->needs(random);
  app.add_option("--threads", o.threads, "threads to compute with [all]")->check(CLI::Range(1, 4096));

  parsed.exit_status = read_command_line(app, argc, argv, [&] {
    if (o.random ? paths.size() != 1 : paths.size() != 2)
      throw CLI::ValidationError(o.random ? "--random" : "paths",
                                 o.random ? "expected OUTPUT alone, found an INPUT too" : "expected INPUT and OUTPUT, found one of them");
    if (!o.random) o.input = paths[0];
    o.output = paths.back();
    if (output_format) o.output_format = format_named(*output_format);
  });
  return parsed;
}
