// convert: from a checkpoint in the layout of Hugging Face to GGUF and back, either of them quantised, and models with random weights in either
// form. No more than a piece of a tensor is in memory, and a file appears under its name when it is complete.
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
  if (options.output_format && !weft::is_block(target.format))
    throw weft::Error("--output-type: expected --to with a block format for a directory, whose tensors are all in " +
                      std::string(target.name) + " otherwise");
  write_directory(options.output, model, vocabulary, target, options.output_format, threads);
}

void run(const Options& options) {
  if (options.random) {
    const auto model = random_model(*options.random, options.layers, options.seed);
    const auto vocabulary = placeholder_vocabulary(model.config);
    return write(options, model, &vocabulary);
  }
  const auto files = weft::ModelFiles::open(*options.input);
  if (!files.gguf_file() && options.output.extension() != ".gguf") {
    const auto* target = options.to ? target_named(*options.to) : nullptr;
    if (!target || !weft::is_block(target->format))
      throw weft::Error(options.output.string() + ": expected the name of a .gguf file, or --to with a block format, as " +
                        options.input->string() + " is in the layout of Hugging Face already");
    if (std::filesystem::exists(options.output) && std::filesystem::equivalent(files.path(), options.output))
      throw weft::Error(options.output.string() + ": expected another directory than that of the model itself");
  }
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

int main(int argc, char** argv) { return run_program("convert", parse_options(argc, argv), run); }
