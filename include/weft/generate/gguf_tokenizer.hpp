// gguf_tokenizer: the tokenizer, the chat template and the end tokens that a GGUF file carries.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/io/gguf.hpp"
#include "weft/text/chat.hpp"
#include "weft/text/gguf_vocabulary.hpp"
#include "weft/text/tokenizer.hpp"

namespace weft {

// Whether the file says how to turn text into ids at all.
inline bool has_tokenizer(const GgufFile& file) {  // "no_vocab" is llama.cpp's word for none
  return file.find<std::string_view>("tokenizer.ggml.model").value_or("no_vocab") != "no_vocab";
}

// The metadata of the tokenizer; its views refer to the file. Throws Error for a key that is missing or of another kind than expected.
inline text::GgufVocabulary gguf_vocabulary(const GgufFile& file) {
  using Strings = std::span<const std::string_view>;
  const auto id = [&](std::string_view key) -> std::optional<std::int64_t> {
    const auto value = file.find<std::int64_t>(key);
    if (value == -1 || value == std::numeric_limits<std::uint32_t>::max()) return std::nullopt;  // how files say that there is none
    return value;
  };
  text::GgufVocabulary vocabulary;
  vocabulary.source = file.path().string();
  vocabulary.model = file.require<std::string_view>("tokenizer.ggml.model");
  vocabulary.pre = file.find<std::string_view>("tokenizer.ggml.pre").value_or("");
  const auto tokens = file.require<Strings>("tokenizer.ggml.tokens");
  vocabulary.tokens.assign(tokens.begin(), tokens.end());
  vocabulary.token_type = file.find<std::vector<std::int32_t>>("tokenizer.ggml.token_type").value_or(std::vector<std::int32_t>());
  const auto merges = file.find<Strings>("tokenizer.ggml.merges").value_or(Strings());
  vocabulary.merges.assign(merges.begin(), merges.end());
  vocabulary.bos = id("tokenizer.ggml.bos_token_id");
  vocabulary.eos = id("tokenizer.ggml.eos_token_id");
  vocabulary.eot = id("tokenizer.ggml.eot_token_id");
  vocabulary.eom = id("tokenizer.ggml.eom_token_id");
  vocabulary.add_bos = file.find<bool>("tokenizer.ggml.add_bos_token");
  vocabulary.add_eos = file.find<bool>("tokenizer.ggml.add_eos_token");
  vocabulary.chat_template = file.find<std::string_view>("tokenizer.chat_template");
  return vocabulary;
}

// Throws Error, which names the file and the key, for a tokenizer that weft does not know.
inline text::Tokenizer gguf_tokenizer(const GgufFile& file) { return text::Tokenizer(text::definition_of(gguf_vocabulary(file))); }

// Throws Error when the file has no chat template, or none that weft knows.
inline text::ChatTemplate gguf_chat_template(const GgufFile& file) {
  const auto vocabulary = gguf_vocabulary(file);
  const char* key = "tokenizer.chat_template";
  if (!vocabulary.chat_template) throw Error(file.place_of(key) + ": the model has no chat template");
  const bool has_bos = vocabulary.bos && *vocabulary.bos >= 0 && static_cast<std::uint64_t>(*vocabulary.bos) < vocabulary.tokens.size();
  const std::string beginning(has_bos ? vocabulary.tokens[static_cast<std::size_t>(*vocabulary.bos)] : "");
  return text::ChatTemplate::recognise(*vocabulary.chat_template, file.place_of(key), beginning);
}

// The ids that end what the model says; see text::end_tokens.
inline std::vector<std::int32_t> gguf_end_tokens(const GgufFile& file) { return text::end_tokens(gguf_vocabulary(file)); }

}  // namespace weft
