// The pre-tokenizers that GGUF files name, against Hugging Face tokenizers: data/tokenizers.json, made by make_tokenizers.py.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "../unit/text_support.hpp"
#include "weft/text/gguf_vocabulary.hpp"

using namespace weft::text;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;

namespace {

const json& golden() {
  static const json document = read_json(WEFT_SOURCE_DIR "/tests/golden/data/tokenizers.json");
  return document;
}

Tokenizer from_metadata(const std::string& pre) {
  GgufVocabulary vocabulary;
  vocabulary.source = "golden";
  vocabulary.model = "gpt2";
  vocabulary.pre = pre;
  for (const auto& token : golden()["tokens"]) vocabulary.tokens.push_back(token.get_ref<const std::string&>());
  for (const auto& merge : golden()["merges"]) vocabulary.merges.push_back(merge.get_ref<const std::string&>());
  const std::size_t regular = vocabulary.tokens.size() - golden()["special"].size();
  vocabulary.token_type.assign(regular, static_cast<std::int32_t>(GgufTokenType::normal));
  vocabulary.token_type.resize(vocabulary.tokens.size(), static_cast<std::int32_t>(GgufTokenType::control));
  vocabulary.add_bos = false;
  return Tokenizer(definition_of(vocabulary));
}

// The same tokenizer as a tokenizer.json, with the pre-tokenizer as models of that kind spell it.
Tokenizer from_tokenizer_json(const std::string& pre) {
  json document = text_test::tokenizer_json(golden()["tokens"].get<text_test::Tokens>(), {}, json::array());
  document["model"]["merges"] = golden()["merges"];
  int id = static_cast<int>(golden()["tokens"].size() - golden()["special"].size());
  for (const auto& special : golden()["special"]) document["added_tokens"].push_back(text_test::added_token(id++, special, true));
  if (pre != "qwen2") document["normalizer"] = nullptr;
  json& steps = document["pre_tokenizer"]["pretokenizers"];
  if (pre == "llama-bpe") {
    steps[0]["pattern"]["Regex"] = llama3_pattern;
    document["model"]["ignore_merges"] = true;
  }
  if (pre == "gpt-2" || pre == "smollm") steps[1]["use_regex"] = true;
  if (pre == "gpt-2") steps.erase(0);
  if (pre == "smollm") steps[0] = {{"type", "Digits"}, {"individual_digits", true}};
  const text_test::TemporaryDirectory directory;
  return Tokenizer::load(directory.write("tokenizer.json", document.dump()));
}

void check(const Tokenizer& tokenizer, const std::string& pre) {
  const json& texts = golden()["texts"];
  REQUIRE(texts.size() > 100);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    CAPTURE(texts[i].dump());
    CHECK(tokenizer.encode(texts[i].get<std::string>()) == golden()["ids"][pre][i].get<Ids>());
  }
}

}  // namespace

TEST_CASE("ids from the metadata of a GGUF file") {
  for (const char* pre : {"qwen2", "gpt-2", "llama-bpe", "smollm"}) {
    CAPTURE(pre);
    check(from_metadata(pre), pre);
  }
}

TEST_CASE("ids from a tokenizer.json") {
  for (const char* pre : {"qwen2", "gpt-2", "llama-bpe", "smollm"}) {
    CAPTURE(pre);
    check(from_tokenizer_json(pre), pre);
  }
}

TEST_CASE("the four differ on these texts") {
  const json& ids = golden()["ids"];
  for (const char* pre : {"qwen2", "gpt-2", "llama-bpe"}) CHECK(ids[pre] != ids["smollm"]);
  CHECK(ids["qwen2"] != ids["llama-bpe"]);
  CHECK(ids["gpt-2"] != ids["llama-bpe"]);
}
