// vocabulary_reader: what a tokenizer's files define, and a reader that brings their two large tables in without a document in between.
#pragma once
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "weft/text/json_field.hpp"
#include "weft/text/vocabulary.hpp"

namespace weft::text {

// A token that is matched as it is written, before the text is cut into pieces.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool special = false;     // a control token, which decoding may leave out
  bool normalized = false;  // matched after normalization instead of before
};

// What the files say; nothing in it has been checked against anything else.
struct TokenizerDefinition {
  std::string source;                                       // the file, for messages
  Vocabulary vocabulary;                                    // bytes are written as printable characters (see bpe.hpp)
  std::vector<std::pair<std::string, std::string>> merges;  // the earlier the stronger
  std::vector<AddedToken> added_tokens;
  std::vector<std::string> patterns;  // of the pre-tokenizer
  std::string patterns_source;
  std::vector<std::int32_t> start;  // goes before a text that stands by itself, such as Llama 3's <|begin_of_text|>
  bool normalizes = true;           // to NFC
  bool ignores_merges = false;      // a piece that is a token is that token, whatever the merges make of it
  bool has_unknown_token = false;   // stands for bytes that no token stands for; without one they are left out
};

namespace detail {

// Reads tokenizer.json or vocab.json. The two large tables, `model.vocab` and `model.merges`, go straight to where they belong: as a
// document they would take longer than everything else. All other fields become a document.
class VocabularyReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  enum class Kind { tokenizer_json, vocab_json };

  VocabularyReader(Kind kind, const std::filesystem::path& file, TokenizerDefinition& definition)
      : kind_(kind), file_(file.string()), definition_(definition) {
    nlohmann::json::sax_parse(read_file(file), this);
    if (kind == Kind::vocab_json && !root_.is_object()) throw Error(file_ + ": expected an object of tokens");
  }
  const nlohmann::json& document() const { return root_; }

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(std::int64_t value) override { return scalar(value); }
  bool number_float(double value, const std::string&) override { return scalar(value); }
  bool binary(binary_t&) override { return scalar(nullptr); }
  bool number_unsigned(std::uint64_t value) override {
    if (table_ != Table::vocabulary) return scalar(value);
    if (value > std::numeric_limits<std::int32_t>::max()) refuse("ids below 2^31");
    if (!definition_.vocabulary.insert(key_, static_cast<std::int32_t>(value))) refuse("no token twice");
    return true;
  }
  bool string(std::string& value) override {
    if (table_ == Table::merges) {
      add_merge(value);
    } else if (table_ == Table::pair) {
      pair_.push_back(std::move(value));
    } else {
      return scalar(std::move(value));
    }
    return true;
  }
  bool key(std::string& value) override {
    key_ = std::move(value);
    return true;
  }

  bool start_object(std::size_t) override {
    if (table_ != Table::none) refuse_entry();
    const bool is_vocabulary = kind_ == Kind::vocab_json ? open_.empty() : in_model("vocab");
    open(nlohmann::json::object());
    if (is_vocabulary) table_ = Table::vocabulary;
    return true;
  }
  bool start_array(std::size_t) override {
    if (table_ == Table::merges) {
      table_ = Table::pair;
      return true;
    }
    if (table_ != Table::none) refuse_entry();
    const bool is_merges = kind_ == Kind::tokenizer_json && in_model("merges");
    open(nlohmann::json::array());
    if (is_merges) table_ = Table::merges;
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override {
    if (table_ != Table::pair) return close();
    if (pair_.size() != 2) refuse_entry();
    definition_.merges.emplace_back(std::move(pair_[0]), std::move(pair_[1]));
    pair_.clear();
    table_ = Table::merges;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& problem) override {
    throw Error(file_ + ": not JSON: " + problem.what());
  }

 private:
  enum class Table { none, vocabulary, merges, pair };
  struct Open {
    nlohmann::json* value;
    std::string key;
  };

  bool in_model(const char* key) const { return open_.size() == 2 && open_.back().key == "model" && key_ == key; }
  void open(nlohmann::json container) {
    if (open_.size() == deepest_json) throw Error(file_ + ": nested deeper than " + std::to_string(deepest_json));
    open_.push_back({put(std::move(container)), key_});
  }
  nlohmann::json* put(nlohmann::json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    nlohmann::json& parent = *open_.back().value;
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }
  bool scalar(nlohmann::json value) {
    if (table_ != Table::none) refuse_entry();
    put(std::move(value));
    return true;
  }
  bool close() {
    table_ = Table::none;
    open_.pop_back();
    return true;
  }
  void add_merge(const std::string& line) {
    const std::size_t space = line.find(' ');
    if (space == 0 || space == line.npos || space + 1 == line.size() || line.find(' ', space + 1) != line.npos) refuse_entry();
    definition_.merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  [[noreturn]] void refuse_entry() const { refuse(table_ == Table::vocabulary ? "an id" : "two tokens"); }
  [[noreturn]] void refuse(const std::string& expected) const {
    if (table_ == Table::vocabulary) throw Error(file_ + ": vocabulary: expected " + expected + ", see the token '" + key_ + "'");
    throw Error(file_ + ": merges: expected " + expected + " in merge " + std::to_string(definition_.merges.size()));
  }

  Kind kind_;
  std::string file_;
  TokenizerDefinition& definition_;
  nlohmann::json root_;
  std::vector<Open> open_;
  std::string key_;
  Table table_ = Table::none;
  std::vector<std::string> pair_;
};

}  // namespace detail
}  // namespace weft::text
