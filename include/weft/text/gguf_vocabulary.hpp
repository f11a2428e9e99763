// gguf_vocabulary: the tokenizer that the metadata of a GGUF file define ("tokenizer.ggml.*"), whoever reads them.
//
// Only byte-level BPE (the model "gpt2") is known. A file does not carry the expressions that cut a text into pieces, but the name of a
// pre-tokenizer, and what goes with the name is known here.
#pragma once
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/error.hpp"
#include "weft/text/pretokenizer.hpp"
#include "weft/text/tokenizer.hpp"
#include "weft/text/vocabulary_reader.hpp"

namespace weft::text {

// Each member is the key of its name behind "tokenizer.ggml.", where no other is given. The views need to live as long as this does.
struct GgufVocabulary {
  std::string source;                             // the file, for messages
  std::string_view model, pre;                    // the kind of vocabulary, the name of the pre-tokenizer
  std::vector<std::string_view> tokens;           // by id
  std::vector<std::int32_t> token_type;           // of each token, or empty: all are normal
  std::vector<std::string_view> merges;           // "A B", the earlier the stronger
  std::optional<std::int64_t> bos, eos;           // bos_token_id, eos_token_id: beginning and end of a text
  std::optional<std::int64_t> eot, eom;           // eot_token_id, eom_token_id: end of a turn, of a message to a tool
  std::optional<bool> add_bos, add_eos;           // add_bos_token, add_eos_token
  std::optional<std::string_view> chat_template;  // tokenizer.chat_template
};

// What stands for what in `token_type`.
enum class GgufTokenType : std::int32_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

namespace detail {

struct NamedPretokenizer {
  std::string_view name;
  std::vector<std::string> patterns;
  bool normalizes, ignores_merges, adds_bos;  // adds_bos: where the file does not say
};

inline const NamedPretokenizer& pretokenizer_named(std::string_view name, const std::string& source) {
  static const NamedPretokenizer known[] = {
      {"qwen2", {qwen2_pattern}, true, false, false},
      {"gpt-2", {gpt2_pattern}, false, false, false},
      {"llama-bpe", {llama3_pattern}, false, true, true},
      {"smollm", {digit_pattern, gpt2_pattern}, false, false, false},
  };
  const auto* found = std::ranges::find(known, name, &NamedPretokenizer::name);
  if (found != std::end(known)) return *found;
  std::string names;
  for (const auto& each : known) names += (names.empty() ? "'" : ", '") + std::string(each.name) + "'";
  throw Error(source + ": key \"tokenizer.ggml.pre\": expected one of " + names + ", found '" + std::string(name) + "'");
}

// A token id of the metadata. Throws Error when it names no token.
inline std::int32_t gguf_token_id(const GgufVocabulary& vocabulary, std::int64_t id, const char* key) {
  if (id < 0 || id >= static_cast<std::int64_t>(vocabulary.tokens.size()))
    throw Error(vocabulary.source + ": key \"tokenizer.ggml." + key + "\": expected the id of one of " +
                std::to_string(vocabulary.tokens.size()) + " tokens, found " + std::to_string(id));
  return static_cast<std::int32_t>(id);
}

}  // namespace detail

// Throws Error, which names the file and the key, for a kind of tokenizer that weft does not know and for parts that do not fit together.
inline TokenizerDefinition definition_of(const GgufVocabulary& vocabulary) {
  const auto refuse = [&](const char* key, const std::string& problem) {
    throw Error(vocabulary.source + ": key \"tokenizer.ggml." + key + "\": " + problem);
  };
  if (vocabulary.model != "gpt2") refuse("model", "expected 'gpt2' (byte-level BPE), found '" + std::string(vocabulary.model) + "'");
  const auto& pretokenizer = detail::pretokenizer_named(vocabulary.pre, vocabulary.source);
  if (!vocabulary.token_type.empty() && vocabulary.token_type.size() != vocabulary.tokens.size())
    refuse("token_type", "expected one for each of " + std::to_string(vocabulary.tokens.size()) + " tokens, found " +
                             std::to_string(vocabulary.token_type.size()));
  if (vocabulary.add_eos.value_or(false)) refuse("add_eos_token", "expected false, found true");

  TokenizerDefinition definition;
  definition.source = vocabulary.source;
  definition.patterns = pretokenizer.patterns;
  definition.patterns_source = "the pre-tokenizer '" + std::string(pretokenizer.name) + "'";
  definition.normalizes = pretokenizer.normalizes;
  definition.ignores_merges = pretokenizer.ignores_merges;
  if (vocabulary.add_bos.value_or(pretokenizer.adds_bos)) {
    if (!vocabulary.bos) refuse("bos_token_id", "expected a token, as one goes before every text; found none");
    definition.start.push_back(detail::gguf_token_id(vocabulary, *vocabulary.bos, "bos_token_id"));
  }

  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string_view text = vocabulary.tokens[id];
    const auto place = [&] { return "token " + std::to_string(id) + " ('" + std::string(text) + "')"; };
    const auto type = vocabulary.token_type.empty() ? GgufTokenType::normal : GgufTokenType(vocabulary.token_type[id]);
    switch (type) {
      case GgufTokenType::normal: break;
      case GgufTokenType::unused: continue;  // a row that only pads the embedding
      case GgufTokenType::unknown:
      case GgufTokenType::control:
      case GgufTokenType::user_defined:
        if (text.empty()) refuse("tokens", "expected some text for " + place());
        definition.added_tokens.push_back({std::string(text), static_cast<std::int32_t>(id), type != GgufTokenType::user_defined, false});
        break;
      default: refuse("token_type", "expected 1 to 5 for " + place() + ", found " + std::to_string(vocabulary.token_type[id]));
    }
    // tokens that are split out count among the others, too: a merge may lead to one
    if (!definition.vocabulary.insert(std::string(text), static_cast<std::int32_t>(id))) refuse("tokens", place() + " is there twice");
  }

  definition.merges.reserve(vocabulary.merges.size());
  for (const std::string_view merge : vocabulary.merges) {
    const std::size_t space = merge.find(' ');
    if (space == 0 || space == merge.npos || space + 1 == merge.size() || merge.find(' ', space + 1) != merge.npos)
      refuse("merges", "expected two tokens with a space between in merge " + std::to_string(definition.merges.size()) + ", found '" +
                           std::string(merge) + "'");
    definition.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  return definition;
}

// The ids that end what a model says: those that the file names, and the tokens that mean an end wherever they are control tokens (files
// name a single end of text, yet chat models also end turns, and models of code also end texts).
inline std::vector<std::int32_t> end_tokens(const GgufVocabulary& vocabulary) {
  std::vector<std::int32_t> ids;
  const auto add = [&](std::int32_t id) {
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
  };
  if (vocabulary.eos) add(detail::gguf_token_id(vocabulary, *vocabulary.eos, "eos_token_id"));
  if (vocabulary.eot) add(detail::gguf_token_id(vocabulary, *vocabulary.eot, "eot_token_id"));
  if (vocabulary.eom) add(detail::gguf_token_id(vocabulary, *vocabulary.eom, "eom_token_id"));
  constexpr std::string_view ends[] = {"<|endoftext|>", "<|im_end|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>"};
  for (std::size_t id = 0; id < vocabulary.token_type.size() && id < vocabulary.tokens.size(); ++id)
    if (GgufTokenType(vocabulary.token_type[id]) == GgufTokenType::control &&
        std::ranges::find(ends, vocabulary.tokens[id]) != std::end(ends))
      add(static_cast<std::int32_t>(id));
  return ids;
}

}  // namespace weft::text
