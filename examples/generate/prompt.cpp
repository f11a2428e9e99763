#include "prompt.hpp"

#include <iostream>
#include <iterator>

std::optional<weft::text::Tokenizer> load_tokenizer(const Options& options, const weft::ModelFiles& files) {
  if (options.ids && !files.has_tokenizer() && options.stop.empty()) return std::nullopt;
  return files.tokenizer();
}

std::vector<std::int32_t> read_prompt(const Options& options, const weft::text::Tokenizer* tokenizer, const weft::ModelFiles& files) {
  std::vector<std::int32_t> ids;
  if (options.ids) {
    ids = *options.ids;
  } else if (options.chat) {
    std::vector<weft::text::Message> messages;
    if (options.system) messages.push_back({"system", options.system, {}});
    messages.push_back({"user", options.chat, {}});
    ids = tokenizer->encode(files.chat_template().render(messages));
  } else {
    std::string text;
    if (options.prompt) {
      text = *options.prompt;
    } else {
      text.assign(std::istreambuf_iterator<char>(std::cin), {});
      if (text.ends_with('\n')) text.pop_back();  // the end of the line, not of the prompt
    }
    ids.assign(tokenizer->start().begin(), tokenizer->start().end());
    const auto of_text = tokenizer->encode(text);
    ids.insert(ids.end(), of_text.begin(), of_text.end());
  }
  if (ids.empty()) throw weft::Error("prompt: expected at least one token, found an empty one");
  return ids;
}

std::string TextStream::push(std::int32_t id) {
  if (!tokenizer_) {
    const std::string separator = is_first_ ? "" : ",";
    is_first_ = false;
    return shown(separator + std::to_string(id));
  }
  if (tokenizer_->is_special(id)) return "";
  return shown(stop_.push(characters_.push(tokenizer_->bytes(id))).emit);
}

std::string TextStream::finish() {
  if (!tokenizer_ || stop_.stopped()) return "";
  std::string last = stop_.push(characters_.finish()).emit;
  if (!stop_.stopped()) last += stop_.finish();
  return shown(std::move(last));
}
