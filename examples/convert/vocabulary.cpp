#include "vocabulary.hpp"

#include <algorithm>
#include <fstream>

#include <weft/text/bpe.hpp>
#include <weft/text/gguf_vocabulary.hpp>
#include <weft/text/tokenizer_files.hpp>

namespace {

namespace text = weft::text;
using Json = nlohmann::ordered_json;

// the text of the token with this id; empty if there is none
std::string token_of(const text::TokenizerDefinition& definition, std::int32_t id) {
  for (const auto& token : definition.added_tokens)
    if (token.id == id) return token.content;
  for (const auto& [token, other] : definition.vocabulary)
    if (other == id) return token;
  return "";
}
std::optional<std::int32_t> id_of(const text::TokenizerDefinition& definition, const std::string& token) {
  for (const auto& added : definition.added_tokens)
    if (added.content == token) return added.id;
  return definition.vocabulary.find(token);
}

// what tokenizer_config.json says under this key: a text, or a token with its flags
std::optional<std::int32_t> special_token(const text::JsonField& config, const char* key, const text::TokenizerDefinition& definition) {
  const auto field = config[key];
  if (field.is_absent()) return std::nullopt;
  return id_of(definition, field.value().is_object() ? field["content"].string() : field.string());
}
std::optional<std::string> chat_template_of(const std::filesystem::path& directory, const text::JsonField& config) {
  if (const auto jinja = directory / "chat_template.jinja"; std::filesystem::exists(jinja)) return text::read_file(jinja);
  const auto field = config["chat_template"];
  if (field.is_absent()) return std::nullopt;
  if (!field.value().is_array()) return field.string();
  for (std::size_t i = 0; i < field.array_size(); ++i)
    if (field[i]["name"].string() == "default") return field[i]["template"].string();
  return std::nullopt;
}

Vocabulary vocabulary_of_directory(const weft::ModelFiles& files) {
  Vocabulary v;
  v.definition = files.tokenizer_definition();
  v.bos = files.config().bos;
  v.pad = files.config().pad;
  if (!files.generation().eos.empty()) v.eos = files.generation().eos[0];
  const auto path = files.path() / "tokenizer_config.json";
  const nlohmann::json document = std::filesystem::exists(path) ? text::read_json(path) : nlohmann::json::object();
  const text::JsonField config(document, path.string());
  for (const auto& [key, id] : {std::pair("bos_token", &v.bos), {"eos_token", &v.eos}, {"pad_token", &v.pad}})
    if (const auto stated = special_token(config, key, v.definition)) *id = stated;
  if (!v.definition.start.empty()) v.bos = v.definition.start.front();
  v.chat_template = chat_template_of(files.path(), config);
  return v;
}
Vocabulary vocabulary_of_gguf(const weft::ModelFiles& files) {
  Vocabulary v{files.tokenizer_definition(), files.config().bos, {}, files.config().pad, {}};
  if (!files.config().eos.empty()) v.eos = files.config().eos[0];
  if (const auto chat = files.gguf_file()->find<std::string_view>("tokenizer.chat_template")) v.chat_template = *chat;
  return v;
}

// the pre-tokenizer of GGUF that does what the definition says
std::string_view pretokenizer_of(const text::TokenizerDefinition& definition) {
  for (const std::string_view name : {"qwen2", "gpt-2", "llama-bpe", "smollm"}) {
    const auto& known = text::detail::pretokenizer_named(name, definition.source);
    if (known.patterns == definition.patterns && known.normalizes == definition.normalizes &&
        known.ignores_merges == definition.ignores_merges)
      return name;
  }
  throw weft::Error(definition.source +
                    ": expected the pre-tokenizer and the normalizer of qwen2, gpt-2, llama-bpe or smollm, for which GGUF has " +
                    "a name; found others");
}

void write_file(const std::filesystem::path& path, const std::string& content) {
  weft::AtomicFile file(path);
  file.write(content);
  file.commit();
}

Json split(const std::string& pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}
Json byte_level(bool is_decoder) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", is_decoder}, {"trim_offsets", is_decoder}, {"use_regex", is_decoder}};
}
// puts the tokens before a text that belong before every text
Json post_processor(const text::TokenizerDefinition& definition) {
  if (definition.start.empty()) return byte_level(false);
  Json single = Json::array(), pair = Json::array(), tokens = Json::object();
  for (const auto id : definition.start) {
    const std::string token = token_of(definition, id);
    single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
    tokens[token] = {{"id", token}, {"ids", {id}}, {"tokens", {token}}};
  }
  pair = single;
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  for (const auto& [name, type] : {std::pair("A", 0), {"B", 1}}) pair.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

}  // namespace

Vocabulary read_vocabulary(const weft::ModelFiles& files) {
  return files.gguf_file() ? vocabulary_of_gguf(files) : vocabulary_of_directory(files);
}

Vocabulary placeholder_vocabulary(const weft::ModelConfig& config) {
  Vocabulary v;
  v.definition.source = "placeholder";
  v.definition.patterns = {text::qwen2_pattern};
  for (int byte = 0; byte < 256; ++byte) v.definition.vocabulary.insert(text::to_printable(std::string(1, static_cast<char>(byte))), byte);
  const auto space = text::to_printable(" ");  // one merge, as readers may not expect that there is none
  v.definition.vocabulary.insert(space + space, 256);
  v.definition.merges.emplace_back(space, space);
  v.eos = v.pad = config.eos.at(0);
  v.definition.added_tokens.push_back({"<|endoftext|>", *v.eos, true, false});
  return v;
}

void add_vocabulary(weft::GgufWriter& writer, const Vocabulary& v, long rows) {
  using Type = text::GgufTokenType;
  const auto& definition = v.definition;
  std::vector<std::string> tokens(static_cast<std::size_t>(rows));
  std::vector<std::int32_t> types(tokens.size(), static_cast<std::int32_t>(Type::unused));
  const auto place = [&](std::int32_t id, const std::string& token, Type type) {
    if (id < 0 || id >= rows)
      throw weft::Error(definition.source + ": token '" + token + "': expected an id below the " + std::to_string(rows) +
                        " rows of the embedding, found " + std::to_string(id));
    tokens[static_cast<std::size_t>(id)] = token;
    types[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(type);
  };
  for (const auto& [token, id] : definition.vocabulary) place(id, token, Type::normal);
  for (const auto& token : definition.added_tokens) place(token.id, token.content, token.special ? Type::control : Type::user_defined);
  for (std::size_t id = 0; id < tokens.size(); ++id)
    if (types[id] == static_cast<std::int32_t>(Type::unused)) tokens[id] = "[PAD" + std::to_string(id) + "]";
  std::vector<std::string> merges;
  for (const auto& [left, right] : definition.merges) merges.push_back(left + " " + right);

  writer.add("tokenizer.ggml.model", "gpt2");
  writer.add("tokenizer.ggml.pre", pretokenizer_of(definition));
  writer.add("tokenizer.ggml.tokens", std::span<const std::string>(tokens));
  writer.add("tokenizer.ggml.token_type", std::span<const std::int32_t>(types));
  writer.add("tokenizer.ggml.merges", std::span<const std::string>(merges));
  const auto add_id = [&](const char* key, std::optional<std::int32_t> id) {
    if (id) writer.add(std::string("tokenizer.ggml.") + key, static_cast<std::uint32_t>(*id));
  };
  add_id("bos_token_id", v.bos);
  add_id("eos_token_id", v.eos);
  add_id("padding_token_id", v.pad);
  writer.add("tokenizer.ggml.add_bos_token", !definition.start.empty());
  if (v.chat_template) writer.add("tokenizer.chat_template", *v.chat_template);
}

void write_vocabulary(const std::filesystem::path& directory, const Vocabulary& v) {
  const auto& definition = v.definition;
  Json added = Json::array(), merges = Json::array(), splits = Json::array();
  for (const auto& token : definition.added_tokens)
    added.push_back({{"id", token.id},
                     {"content", token.content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", token.normalized},
                     {"special", token.special}});
  for (const auto& pattern : definition.patterns) splits.push_back(split(pattern));
  splits.push_back(byte_level(false));
  std::vector<std::pair<std::int32_t, const std::string*>> by_id;
  for (const auto& [token, id] : definition.vocabulary) by_id.emplace_back(id, &token);
  std::sort(by_id.begin(), by_id.end());
  Json vocabulary = Json::object();
  for (const auto& [id, token] : by_id) vocabulary.get_ref<Json::object_t&>().emplace_back(*token, id);  // operator[] would look for each
  for (const auto& [left, right] : definition.merges) merges.push_back({left, right});
  Json model = {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", definition.ignores_merges}};
  model["vocab"] = std::move(vocabulary);
  model["merges"] = std::move(merges);
  Json document = {{"version", "1.0"},
                   {"truncation", nullptr},
                   {"padding", nullptr},
                   {"added_tokens", std::move(added)},
                   {"normalizer", definition.normalizes ? Json{{"type", "NFC"}} : Json(nullptr)},
                   {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", std::move(splits)}}},
                   {"post_processor", post_processor(definition)},
                   {"decoder", byte_level(true)}};
  document["model"] = std::move(model);
  write_file(directory / "tokenizer.json", document.dump(2) + "\n");

  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  for (const auto& [key, id] : {std::pair("bos_token", v.bos), {"eos_token", v.eos}, {"pad_token", v.pad}})
    config[key] = id ? Json(token_of(definition, *id)) : Json(nullptr);
  if (v.chat_template) config["chat_template"] = *v.chat_template;
  write_file(directory / "tokenizer_config.json", config.dump(2) + "\n");
}
