// prompt: from what the user wrote to token ids, and from token ids to what the user reads.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <weft/generate/model_files.hpp>
#include <weft/generate/stop.hpp>

#include "options.hpp"

// The tokenizer of the model, where text is needed: nothing for --ids with a model that has none.
std::optional<weft::text::Tokenizer> load_tokenizer(const Options& options, const weft::ModelFiles& files);

// Throws weft::Error for an empty prompt, text that is not UTF-8, and a chat without a template.
std::vector<std::int32_t> read_prompt(const Options& options, const weft::text::Tokenizer* tokenizer, const weft::ModelFiles& files);

// Token by token to whole characters, up to a stop string. Without a tokenizer the text is the ids with commas between them.
class TextStream {
 public:
  TextStream(const weft::text::Tokenizer* tokenizer, std::vector<std::string> stop) : tokenizer_(tokenizer), stop_(std::move(stop)) {}

  std::string push(std::int32_t id);  // what can be shown now
  std::string finish();
  bool stopped() const { return stop_.stopped(); }
  const std::string& text() const { return text_; }  // everything shown so far

 private:
  std::string shown(std::string piece) {
    text_ += piece;
    return piece;
  }
  const weft::text::Tokenizer* tokenizer_;
  weft::text::Utf8Stream characters_;
  weft::StopStrings stop_;
  std::string text_;
  bool is_first_ = true;
};
