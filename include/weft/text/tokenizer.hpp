// tokenizer: text to token ids and back, as Hugging Face tokenizers do it for byte-level BPE models (Qwen2, Qwen2.5, Llama 3, SmolLM2,
// GPT-2).
//
//   text -> added tokens, matched as written -> NFC of each stretch between them -> pieces -> bytes merged pair by pair -> ids
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "weft/text/bpe.hpp"
#include "weft/text/pretokenizer.hpp"
#include "weft/text/tokenizer_files.hpp"
#include "weft/text/unicode.hpp"
#include "weft/text/utf8_stream.hpp"

namespace weft::text {

// Which added tokens `encode` finds in a text.
enum class Special : std::uint8_t {
  parse,  // all of them
  split,  // those that are not special; special ones are cut up like other text (split_special_tokens of Hugging Face)
  none,   // none: nothing that an untrusted text says becomes a control token
};

// Finds the leftmost, and there the longest, of a set of strings.
class LiteralMatcher {
 public:
  struct Match {
    std::size_t begin, length, index;
  };

  // The index that the string has from now on, which is an earlier one if it was added before.
  std::size_t add(std::string text, std::size_t index) {
    starts_[static_cast<unsigned char>(text[0])] = true;
    lengths_.insert(text.size());
    return index_of_.emplace(std::move(text), index).first->second;
  }
  std::optional<Match> find(std::string_view text, std::size_t from) const {
    for (std::size_t at = from; at < text.size(); ++at) {
      if (!starts_[static_cast<unsigned char>(text[at])]) continue;
      for (const std::size_t length : lengths_) {
        if (length > text.size() - at) continue;
        if (const auto found = index_of_.find(text.substr(at, length)); found != index_of_.end()) return Match{at, length, found->second};
      }
    }
    return std::nullopt;
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::array<bool, 256> starts_{};
  std::set<std::size_t, std::greater<>> lengths_;
  std::unordered_map<std::string, std::size_t, Hash, std::equal_to<>> index_of_;
};

class Tokenizer {
 public:
  // From a model's directory or a tokenizer.json. Throws Error, which names the file and what is wrong with it.
  static Tokenizer load(const std::filesystem::path& file_or_directory) { return Tokenizer(read_tokenizer(file_or_directory)); }

  // Throws Error when the parts of the definition do not fit together.
  explicit Tokenizer(TokenizerDefinition definition)
      : definition_(std::move(definition)), pretokenizer_(definition_.patterns, definition_.patterns_source), encoder_(build()) {
    definition_.merges = {};
  }

  // The ids of `text`, without those of start(). Bytes that the vocabulary has no token for are left out. Throws Error when the text is not
  // valid UTF-8 (with the byte where it stops being so) or has 2^31 bytes or more.
  std::vector<std::int32_t> encode(std::string_view text, Special special = Special::parse) const {
    if (const auto at = first_invalid_byte(text)) throw Error("cannot encode text: it is not UTF-8 at byte " + std::to_string(*at));
    if (text.size() > std::numeric_limits<std::int32_t>::max())
      throw Error("cannot encode text: it has " + std::to_string(text.size()) + " bytes");
    std::vector<std::int32_t> ids;
    BytePairEncoder::Scratch scratch;
    each_stretch(text, literal_, special, ids, [&](std::string_view stretch) {
      const std::string normal = definition_.normalizes ? nfc(stretch) : std::string(stretch);
      each_stretch(normal, normalized_, special, ids, [&](std::string_view words) {
        pretokenizer_.split(words, [&](std::string_view piece) { encode_piece(piece, scratch, ids); });
      });
    });
    return ids;
  }

  // The ids that go before a text that stands by itself, usually none or the one that means its beginning. They do not go before a rendered
  // conversation: a chat template writes them itself.
  std::span<const std::int32_t> start() const { return definition_.start; }

  // The text of `ids`; what is not UTF-8 becomes U+FFFD (see Utf8Stream), ids beyond the vocabulary become nothing.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special = false) const {
    Utf8Stream stream;
    std::string text;
    for (const std::int32_t id : ids)
      if (!skip_special || !is_special(id)) text += stream.push(bytes(id));
    return text + stream.finish();
  }

  // The bytes that a token stands for, which need not be whole characters; none for an id that is no token.
  std::string_view bytes(std::int32_t id) const {
    return id < 0 || static_cast<std::size_t>(id) >= tokens_.size() ? std::string_view() : tokens_[static_cast<std::size_t>(id)].bytes;
  }

  // The id of the token that stands for these bytes, such as " world" or "<|im_end|>".
  std::optional<std::int32_t> id(std::string_view bytes) const {
    for (const AddedToken& token : definition_.added_tokens)
      if (token.content == bytes) return token.id;
    return regular_id(bytes);
  }

  bool is_special(std::int32_t id) const {
    return id >= 0 && static_cast<std::size_t>(id) < tokens_.size() && tokens_[static_cast<std::size_t>(id)].is_special;
  }

  // One more than the largest id. A model's vocabulary may be larger: it is often padded.
  std::size_t size() const { return tokens_.size(); }

 private:
  struct Token {
    std::string bytes;
    bool is_present = false, is_special = false;
  };

  // Appends the ids of the added tokens in `text`, and calls rest(stretch) for what lies between them.
  template <class Rest> void each_stretch(std::string_view text, const LiteralMatcher& matcher, Special special,
                                          std::vector<std::int32_t>& ids, Rest&& rest) const {
    std::size_t done = 0;
    if (special != Special::none) {
      for (auto match = matcher.find(text, 0); match; match = matcher.find(text, match->begin + match->length)) {
        const AddedToken& token = definition_.added_tokens[match->index];
        if (special == Special::split && token.special) continue;
        if (match->begin > done) rest(text.substr(done, match->begin - done));
        ids.push_back(token.id);
        done = match->begin + match->length;
      }
    }
    if (done < text.size()) rest(text.substr(done));
  }

  void encode_piece(std::string_view piece, BytePairEncoder::Scratch& scratch, std::vector<std::int32_t>& ids) const {
    if (definition_.ignores_merges) {
      if (const auto whole = regular_id(piece)) return ids.push_back(*whole);
    }
    encoder_.encode(piece, scratch, ids);
  }

  std::optional<std::int32_t> regular_id(std::string_view bytes) const { return definition_.vocabulary.find(to_printable(bytes)); }

  [[noreturn]] void refuse(const std::string& problem) const { throw Error(definition_.source + ": " + problem); }

  // Fills in tokens_ and the matchers, and returns the encoder.
  BytePairEncoder build() {
    std::int64_t largest = -1;
    for (const auto& [text, id] : definition_.vocabulary) largest = std::max<std::int64_t>(largest, id);
    for (const AddedToken& token : definition_.added_tokens) largest = std::max<std::int64_t>(largest, token.id);
    // ids may leave gaps, but a single wrong one must not cost gigabytes
    const auto count = static_cast<std::int64_t>(definition_.vocabulary.size() + definition_.added_tokens.size());
    if (largest > 2 * count + (1 << 20))
      refuse("expected ids near the number of tokens, " + std::to_string(count) + "; found " + std::to_string(largest));
    tokens_.resize(static_cast<std::size_t>(largest + 1));
    build_added_tokens();
    for (const auto& [text, id] : definition_.vocabulary) {
      Token& token = tokens_[static_cast<std::size_t>(id)];
      if (token.is_present && token.bytes == text) continue;  // an added token that the vocabulary lists as well
      if (token.is_present) refuse("two tokens have the id " + std::to_string(id) + ": '" + token.bytes + "' and '" + text + "'");
      auto bytes = from_printable(text);
      if (!bytes || bytes->empty()) refuse("the token '" + text + "' is not written in the alphabet of byte-level vocabularies");
      token = {std::move(*bytes), true, false};
    }
    for (const std::int32_t id : definition_.start)
      if (id < 0 || id > largest || !tokens_[static_cast<std::size_t>(id)].is_present)
        refuse("expected a token to go before texts, found the id " + std::to_string(id) + ", which is none");
    return {byte_tokens(), merge_table()};
  }

  void build_added_tokens() {
    for (std::size_t i = 0; i < definition_.added_tokens.size(); ++i) {
      const AddedToken& added = definition_.added_tokens[i];
      Token& token = tokens_[static_cast<std::size_t>(added.id)];
      if (token.is_present)
        refuse("two added tokens have the id " + std::to_string(added.id) + ": '" + token.bytes + "' and '" + added.content + "'");
      if (const auto regular = definition_.vocabulary.find(added.content); regular && *regular != added.id)
        refuse("the token '" + added.content + "' has two ids, " + std::to_string(*regular) + " and " + std::to_string(added.id));
      token = {added.content, true, added.special};
      const bool matches_normalized = added.normalized && definition_.normalizes;
      LiteralMatcher& matcher = added.normalized ? normalized_ : literal_;
      if (const std::size_t holder = matcher.add(matches_normalized ? nfc(added.content) : added.content, i); holder != i)
        refuse("the added token '" + added.content + "' has two ids, " + std::to_string(definition_.added_tokens[holder].id) + " and " +
               std::to_string(added.id));
    }
  }

  // Vocabularies that were trained without the whole alphabet lack a few control characters and bytes that hardly occur in UTF-8.
  std::array<std::int32_t, 256> byte_tokens() const {
    std::array<std::int32_t, 256> ids{};
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const auto id = regular_id(std::string(1, static_cast<char>(byte)));
      const bool is_printable = byte >= 0x20 && byte < 0x7F;
      if (!id && (is_printable || definition_.has_unknown_token))
        refuse("the vocabulary has no token for the byte " + std::to_string(byte) +
               (is_printable ? ", so it cannot write every text" : ", and weft does not write unknown tokens"));
      ids[byte] = id.value_or(-1);
    }
    return ids;
  }

  MergeTable merge_table() const {
    MergeTable table(definition_.merges.size());
    const auto name = [&](std::uint32_t rank) {
      const auto& [left, right] = definition_.merges[rank];
      return "merge " + std::to_string(rank) + ", '" + left + "' and '" + right + "'";
    };
    std::uint32_t rank = 0;
    const auto id_of = [&](const std::string& text) {
      const auto id = definition_.vocabulary.find(text);
      if (!id) refuse(name(rank) + ", needs the token '" + text + "', which the vocabulary does not have");
      return *id;
    };
    for (const auto& [left, right] : definition_.merges) {
      const std::int32_t left_id = id_of(left), right_id = id_of(right);
      if (!table.insert(left_id, right_id, {rank, id_of(left + right)})) refuse(name(rank) + ", is there twice");
      ++rank;
    }
    return table;
  }

  TokenizerDefinition definition_;
  Pretokenizer pretokenizer_;
  std::vector<Token> tokens_;            // by id
  LiteralMatcher literal_, normalized_;  // of the added tokens, before and after normalization
  BytePairEncoder encoder_;
};

}  // namespace weft::text
