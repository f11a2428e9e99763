// convert: from a checkpoint in the layout of Hugging Face to GGUF and back, and models with random weights in either form. No more than a
// piece of a tensor is in memory, and a file appears under its name when it is complete.
#include <iostream>

#include "formats.hpp"
#include "options.hpp"
#include "random_model.hpp"
#include "vocabulary.hpp"
#include "write_model.hpp"

namespace {

const Target& target_of(const Options& options, const Model& model) {
  return *target_named(options.to.value_or(weft::name_of(model.format)));
}

void write(const Options& options, const Model& model, const Vocabulary* vocabulary) {
  const auto& target = target_of(options, model);
  weft::cpu::Threads threads(options.threads == 0 ? weft::cpu::Threads::hardware() : options.threads);
  if (options.output.extension() == ".gguf") return write_gguf(options.output, model, vocabulary, target, options.output_format, threads);
  if (weft::is_block(target.format))
    throw weft::Error("--to: expected f32, bf16 or f16 for a directory in the layout of Hugging Face, found " + std::string(target.name));
  if (options.output_format) throw weft::Error("--output-type: is for GGUF files only; " + options.output.string() + " is none");
  write_directory(options.output, model, vocabulary, target.format, threads);
}

void run(const Options& options) {
  if (options.random) {
    const auto model = random_model(*options.random, options.layers, options.seed);
    const auto vocabulary = placeholder_vocabulary(model.config);
    return write(options, model, &vocabulary);
  }
  const auto files = weft::ModelFiles::open(*options.input);
  if (!files.gguf_file() && options.output.extension() != ".gguf")
    throw weft::Error(options.output.string() + ": expected the name of a .gguf file, as " + options.input->string() +
                      " is in the layout of Hugging Face already");
  for (const auto& warning : files.warnings()) std::cerr << "convert: warning: " << warning << "\n";
  const auto model = stored_model(files);
  if (files.has_tokenizer()) {
    const auto vocabulary = read_vocabulary(files);
    return write(options, model, &vocabulary);
  }
  std::cerr << "convert: warning: " << files.path().string() << " has no tokenizer; the result has none either\n";
  write(options, model, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = parse_options(argc, argv);
  if (parsed.exit_status) return *parsed.exit_status;
  try {
    run(parsed.options);
  } catch (const std::exception& problem) {
    std::cerr << "convert: " << problem.what() << "\n";
    return 1;
  }
  return 0;
}
