// text_support: small tokenizers and a place for their files, for the tests of weft/text.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/text/bpe.hpp"
#include "weft/text/pretokenizer.hpp"

namespace text_test {

// A directory of its own, which vanishes with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "weft_text_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

using Tokens = std::vector<std::string>;
using Merges = std::vector<std::pair<std::string, std::string>>;

// The 256 tokens of single bytes, in the order of the published vocabularies: ids follow the printable characters.
inline Tokens byte_tokens() {
  Tokens printable, others;
  for (const char32_t code : weft::text::printable_of_byte) {
    std::string token;
    weft::text::append_utf8(token, code);
    (code < 0x100 ? printable : others).push_back(token);
  }
  printable.insert(printable.end(), others.begin(), others.end());
  return printable;
}

inline nlohmann::json added_token(int id, const std::string& content, bool special, bool normalized = false) {
  return {{"id", id},        {"content", content},       {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", normalized}, {"special", special}};
}

// A tokenizer.json of Qwen2's kind; the ids of `tokens` are their places.
inline nlohmann::json tokenizer_json(const Tokens& tokens, const Merges& merges, const nlohmann::json& added_tokens) {
  nlohmann::json vocabulary = nlohmann::json::object();
  for (std::size_t i = 0; i < tokens.size(); ++i) vocabulary[tokens[i]] = i;
  const nlohmann::json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", false}, {"use_regex", false}};
  const nlohmann::json split = {
      {"type", "Split"}, {"pattern", {{"Regex", weft::text::qwen2_pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_tokens},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}}},
          {"post_processor", byte_level},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", ""},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocabulary},
            {"merges", merges}}}};
}

// The vocabulary of tests/models/qwen2/test_tokenization_qwen2.py in Hugging Face transformers. Some of its tokens no merge makes.
inline Tokens tiny_tokens() {
  Tokens tokens = byte_tokens();
  for (const char* token : {"Ġl", "Ġn", "Ġlo", "Ġlow", "er", "Ġlowest", "Ġnewer", "Ġwider", "01", ";}", ";}Ċ", "Ïĵ", "Ġ#", "##"})
    tokens.emplace_back(token);
  return tokens;
}
inline Merges tiny_merges() {
  return {{"Ġ", "l"}, {"Ġl", "o"}, {"Ġlo", "w"}, {"e", "r"}, {"0", "1"}, {";", "}"}, {";}", "Ċ"}, {"Ï", "ĵ"}, {"Ġ", "#"}, {"#", "#"}};
}
inline nlohmann::json tiny_json() {
  return tokenizer_json(tiny_tokens(), tiny_merges(), nlohmann::json::array({added_token(270, "<|endoftext|>", true)}));
}

// Byte-pair merges learned the plain way: the most frequent pair of neighbours, again and again.
inline std::pair<Tokens, Merges> train(std::string_view corpus, std::size_t merge_count) {
  std::vector<Tokens> pieces;
  weft::text::Pretokenizer({weft::text::qwen2_pattern}, "train").split(corpus, [&](std::string_view piece) {
    Tokens symbols;
    for (const char byte : piece) symbols.push_back(weft::text::to_printable(std::string_view(&byte, 1)));
    pieces.push_back(symbols);
  });
  Tokens tokens = byte_tokens();
  Merges merges;
  while (merges.size() < merge_count) {
    std::map<std::pair<std::string, std::string>, int> counts;
    for (const Tokens& piece : pieces)
      for (std::size_t i = 0; i + 1 < piece.size(); ++i) ++counts[{piece[i], piece[i + 1]}];
    auto best = counts.begin();
    for (auto pair = counts.begin(); pair != counts.end(); ++pair)
      if (pair->second > best->second) best = pair;
    if (best == counts.end()) break;
    const auto [left, right] = best->first;
    if (std::find(tokens.begin(), tokens.end(), left + right) == tokens.end()) tokens.push_back(left + right);
    merges.emplace_back(left, right);
    for (Tokens& piece : pieces)
      for (std::size_t i = 0; i + 1 < piece.size(); ++i)
        if (piece[i] == left && piece[i + 1] == right) {
          piece[i] += right;
          piece.erase(piece.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
  }
  return {tokens, merges};
}

}  // namespace text_test
