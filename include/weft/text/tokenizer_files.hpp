// tokenizer_files: reads the files in which Hugging Face models keep their tokenizer: tokenizer.json, or vocab.json and merges.txt.
#pragma once
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "weft/text/json_field.hpp"
#include "weft/text/pretokenizer.hpp"
#include "weft/text/vocabulary_reader.hpp"

namespace weft::text {

namespace detail {

inline std::string choice(std::initializer_list<std::string_view> names) {
  std::string text;
  for (const auto name : names) text += (text.empty() ? "'" : " or '") + std::string(name) + "'";
  return text;
}
inline void expect_type(const JsonField& field, std::initializer_list<std::string_view> names) {
  const JsonField type = field["type"];
  if (type.is_absent() || std::ranges::find(names, type.string()) == names.end()) type.refuse(choice(names));
}
inline void expect_false(const JsonField& field) {
  if (field.boolean(false)) field.refuse("false");
}
inline void expect_empty(const JsonField& field) {
  if (!field.is_absent() && !field.string().empty()) field.refuse("an empty string");
}

inline bool reads_nfc(const JsonField& normalizer) {
  if (normalizer.is_absent()) return false;
  expect_type(normalizer, {"NFC", "Sequence"});
  if (normalizer["type"].string() == "NFC") return true;
  bool nfc = false;
  const JsonField parts = normalizer["normalizers"];
  for (std::size_t i = 0; i < parts.array_size(); ++i) nfc = reads_nfc(parts[i]) || nfc;
  return nfc;
}

inline void read_pretokenizer(const JsonField& field, bool& is_byte_level, std::vector<std::string>& patterns) {
  expect_type(field, {"Sequence", "Split", "Digits", "ByteLevel"});
  const std::string& type = field["type"].string();
  if (is_byte_level) field.refuse("nothing after ByteLevel");
  if (type == "Sequence") {
    const JsonField parts = field["pretokenizers"];
    for (std::size_t i = 0; i < parts.array_size(); ++i) read_pretokenizer(parts[i], is_byte_level, patterns);
  } else if (type == "Split") {
    if (field["behavior"].string() != "Isolated") field["behavior"].refuse("'Isolated'");
    expect_false(field["invert"]);
    patterns.push_back(field["pattern"]["Regex"].string());
  } else if (type == "Digits") {
    patterns.push_back(field["individual_digits"].boolean(false) ? digit_pattern : digits_pattern);
  } else {
    is_byte_level = true;
    expect_false(field["add_prefix_space"]);
    if (field["use_regex"].boolean(true)) patterns.push_back(gpt2_pattern);
  }
}

inline std::int32_t checked_id(std::int64_t id, const std::string& place) {
  if (id < 0 || id > std::numeric_limits<std::int32_t>::max())
    throw Error(place + ": expected an id below 2^31, found " + std::to_string(id));
  return static_cast<std::int32_t>(id);
}

// A post-processor may set offsets, which weft does not report, and put tokens before the text, which go to `start`, but none behind it.
inline void read_post_processor(const JsonField& field, std::vector<std::int32_t>& start) {
  if (field.is_absent()) return;
  expect_type(field, {"ByteLevel", "TemplateProcessing", "Sequence"});
  if (field["type"].string() == "Sequence") {
    const JsonField parts = field["processors"];
    for (std::size_t i = 0; i < parts.array_size(); ++i) read_post_processor(parts[i], start);
  } else if (field["type"].string() == "TemplateProcessing") {
    const JsonField single = field["single"];
    bool is_behind_text = false;
    for (std::size_t i = 0; i < single.array_size(); ++i) {
      if (!single[i]["Sequence"].is_absent()) {
        is_behind_text = true;
        continue;
      }
      if (is_behind_text) single[i].refuse("a template that adds tokens only before the text");
      const JsonField ids = field["special_tokens"][single[i]["SpecialToken"]["id"].string().c_str()]["ids"];
      for (std::size_t j = 0; j < ids.array_size(); ++j) start.push_back(checked_id(ids[j].integer(), ids[j].place()));
    }
  }
}

inline AddedToken read_added_token(const JsonField& field, std::int64_t id) {
  for (const char* flag : {"single_word", "lstrip", "rstrip"}) expect_false(field[flag]);
  AddedToken token{field["content"].string(), 0, field["special"].boolean(false), field["normalized"].boolean(false)};
  if (token.content.empty()) field["content"].refuse("some text");
  token.id = checked_id(id, field.place());
  return token;
}

inline std::int64_t read_id(const std::string& text, const std::string& place) {
  if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != text.npos)
    throw Error(place + ": expected an id, found '" + text + "'");
  return std::stoll(text);
}

// Every string of special_tokens_map.json: {"eos_token": "...", "pad_token": {"content": "..."}, "additional_special_tokens": [...]}.
inline void collect_strings(const nlohmann::json& value, std::set<std::string>& strings) {
  if (value.is_string()) strings.insert(value.get<std::string>());
  if (value.is_structured())
    for (const auto& part : value) collect_strings(part, strings);
}

// The added tokens where tokenizer.json has none: tokenizer_config.json (transformers 4.34 and newer), else added_tokens.json.
inline void read_added_tokens_beside(const std::filesystem::path& directory, TokenizerDefinition& definition) {
  if (const auto path = directory / "tokenizer_config.json"; std::filesystem::exists(path)) {
    const nlohmann::json document = read_json(path);
    const JsonField tokens = JsonField(document, path.string())["added_tokens_decoder"];
    if (!tokens.is_absent()) {
      if (!tokens.value().is_object()) tokens.refuse("an object");
      for (const auto& [id, token] : tokens.value().items())
        definition.added_tokens.push_back(read_added_token(tokens[id.c_str()], read_id(id, tokens.place())));
      return;
    }
  }
  const auto path = directory / "added_tokens.json";
  if (!std::filesystem::exists(path)) return;
  std::set<std::string> special;
  if (const auto map = directory / "special_tokens_map.json"; std::filesystem::exists(map)) collect_strings(read_json(map), special);
  const nlohmann::json document = read_json(path);
  const JsonField tokens(document, path.string());
  if (!document.is_object()) tokens.refuse("an object");
  for (const auto& [content, id] : document.items()) {
    const nlohmann::json token = {{"content", content}, {"special", special.contains(content)}};
    definition.added_tokens.push_back(read_added_token({token, path.string()}, tokens[content.c_str()].integer()));
  }
}

inline TokenizerDefinition read_tokenizer_json(const std::filesystem::path& file) {
  TokenizerDefinition definition;
  definition.source = file.string();
  const VocabularyReader reader(VocabularyReader::Kind::tokenizer_json, file, definition);
  const JsonField root(reader.document(), file.string());

  const JsonField model = root["model"];
  if (model.is_absent()) model.refuse("an object");
  expect_type(model, {"BPE"});
  for (const char* table : {"vocab", "merges"}) {
    const JsonField field = model[table];
    if (field.is_absent() || !field.value().is_structured() || field.value().is_array() != (table == std::string_view("merges")))
      field.refuse(table == std::string_view("merges") ? "an array" : "an object");
  }
  expect_false(model["byte_fallback"]);
  expect_empty(model["continuing_subword_prefix"]);
  expect_empty(model["end_of_word_suffix"]);
  if (const JsonField dropout = model["dropout"]; !dropout.is_absent() && dropout.value() != 0) dropout.refuse("null");
  definition.ignores_merges = model["ignore_merges"].boolean(false);
  definition.has_unknown_token = !model["unk_token"].is_absent();

  definition.normalizes = reads_nfc(root["normalizer"]);
  bool is_byte_level = false;
  const JsonField pretokenizer = root["pre_tokenizer"];
  if (pretokenizer.is_absent()) pretokenizer.refuse("an object");
  read_pretokenizer(pretokenizer, is_byte_level, definition.patterns);
  if (!is_byte_level) pretokenizer.refuse("a ByteLevel at the end");
  definition.patterns_source = pretokenizer.place();
  read_post_processor(root["post_processor"], definition.start);
  if (const JsonField decoder = root["decoder"]; !decoder.is_absent()) expect_type(decoder, {"ByteLevel"});

  const JsonField added = root["added_tokens"];
  if (added.is_absent() || added.array_size() == 0) {
    read_added_tokens_beside(file.parent_path(), definition);
  } else {
    for (std::size_t i = 0; i < added.array_size(); ++i)
      definition.added_tokens.push_back(read_added_token(added[i], added[i]["id"].integer()));
  }
  return definition;
}

inline void read_merges(const std::filesystem::path& file, TokenizerDefinition& definition) {
  const std::string text = read_file(file);
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    const std::size_t space = line.find(' ');
    if (space == 0 || space == line.npos || space + 1 == line.size() || line.find(' ', space + 1) != line.npos)
      throw Error(file.string() + ": line " + std::to_string(number) + ": expected two tokens with a space between, found '" +
                  std::string(line) + "'");
    definition.merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
}

// The files of Qwen2Tokenizer, which knows the normalization and the expression by itself.
inline TokenizerDefinition read_vocabulary_and_merges(const std::filesystem::path& directory) {
  if (const auto path = directory / "tokenizer_config.json"; std::filesystem::exists(path)) {
    const nlohmann::json document = read_json(path);
    const JsonField kind = JsonField(document, path.string())["tokenizer_class"];
    if (!kind.is_absent() && kind.string() != "Qwen2Tokenizer" && kind.string() != "Qwen2TokenizerFast")
      kind.refuse("'Qwen2Tokenizer', as there is no tokenizer.json");
  }
  TokenizerDefinition definition;
  definition.source = (directory / "vocab.json").string();
  const VocabularyReader reader(VocabularyReader::Kind::vocab_json, directory / "vocab.json", definition);
  read_merges(directory / "merges.txt", definition);
  definition.patterns = {qwen2_pattern};
  definition.patterns_source = "Qwen2's pre-tokenizer";
  read_added_tokens_beside(directory, definition);
  return definition;
}

}  // namespace detail

// Reads a tokenizer.json, or the tokenizer of a model's directory. Throws Error, which names the file and the field, where something is
// missing, of the wrong type, or of a kind that weft does not implement.
inline TokenizerDefinition read_tokenizer(const std::filesystem::path& file_or_directory) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(file_or_directory)) return detail::read_tokenizer_json(file_or_directory);
  if (fs::exists(file_or_directory / "tokenizer.json")) return detail::read_tokenizer_json(file_or_directory / "tokenizer.json");
  if (fs::exists(file_or_directory / "vocab.json") && fs::exists(file_or_directory / "merges.txt"))
    return detail::read_vocabulary_and_merges(file_or_directory);
  throw Error(file_or_directory.string() + ": expected tokenizer.json, or vocab.json and merges.txt; found neither");
}

}  // namespace weft::text
