// evaluation: a model, and with a reference two, over all windows of a text.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <weft/generate/language_model.hpp>
#include <weft/text/tokenizer.hpp>

#include "measures.hpp"

// A model with what the program asks of its files.
struct LoadedModel {
  std::unique_ptr<weft::LanguageModel> model;
  std::string type, format, cache;
  long vocab = 0, max_positions = 0;
  std::optional<weft::text::Tokenizer> tokenizer;  // nothing if there is none
};
// Warnings go to standard error. Throws weft::Error as all that loading does.
LoadedModel load(const std::filesystem::path& path, std::optional<weft::DType> format, std::optional<weft::DType> cache, int threads);

struct Evaluation {
  std::vector<std::int32_t> scored;          // the tokens, in the order of the text
  std::vector<double> loss, reference_loss;  // of each: minus the logarithm of its probability
  std::vector<double> divergence;            // of each: of the distribution it came from
  long same_choice = 0;                      // how often both models find the same token most probable
};

// `start` goes before each window and counts to its `context` tokens. `reference` may be nullptr. `progress(done, all)` is called after
// each window. Throws weft::Error for logits that are not finite.
Evaluation evaluate(LoadedModel& model, LoadedModel* reference, std::span<const std::int32_t> start, std::span<const std::int32_t> text,
                    long context, long stride, const std::function<void(std::size_t, std::size_t)>& progress);
