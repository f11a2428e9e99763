// The files of a tokenizer: what is read from where, and that each wrong one brings one clear error.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "text_support.hpp"
#include "weft/text/tokenizer.hpp"

using namespace weft::text;
using nlohmann::json;
using text_test::added_token;
using text_test::TemporaryDirectory;
using Ids = std::vector<std::int32_t>;

namespace {

// What loading says, or nothing if it succeeds.
std::string complaint(const std::filesystem::path& path) {
  try {
    Tokenizer::load(path);
  } catch (const weft::Error& error) {
    return error.what();
  }
  return "";
}

// A post-processor that puts tokens before the text, as that of Llama 3.
json start_template(const std::vector<int>& ids, const json& single = {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
                                                                       {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}) {
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", ids}, {"tokens", {"<s>"}}}}}}};
}

void write_vocabulary_and_merges(const TemporaryDirectory& directory) {
  directory.write("vocab.json", text_test::tiny_json()["model"]["vocab"].dump());
  std::string merges = "#version: 0.2\n";
  for (const auto& [left, right] : text_test::tiny_merges()) merges += left + " " + right + "\n";
  directory.write("merges.txt", merges);
}

}  // namespace

TEST_CASE("a tokenizer.json that weft does not read is refused with the file and the field") {
  struct Case {
    std::function<void(json&)> change;
    const char* complaint;  // behind the path of the file
  };
  const std::vector<Case> cases = {
      {[](json& j) { j = json::array(); }, ": expected an object, found []"},
      {[](json& j) { j = 7; }, ": expected an object, found 7"},
      {[](json& j) { j.erase("model"); }, ": model: expected an object, found nothing"},
      {[](json& j) { j["model"]["type"] = "WordPiece"; }, ": model.type: expected 'BPE', found \"WordPiece\""},
      {[](json& j) { j["model"]["type"] = 3; }, ": model.type: expected a string, found 3"},
      {[](json& j) { j["model"].erase("vocab"); }, ": model.vocab: expected an object, found nothing"},
      {[](json& j) {
         j["model"]["vocab"] = {"a", "b"};
       },
       ": model.vocab: expected an object, found [\"a\",\"b\"]"},
      {[](json& j) { j["model"]["vocab"]["er"] = "260"; }, ": vocabulary: expected an id, see the token 'er'"},
      {[](json& j) { j["model"]["vocab"]["er"] = -1; }, ": vocabulary: expected an id, see the token 'er'"},
      {[](json& j) { j["model"]["vocab"]["er"] = 1.5; }, ": vocabulary: expected an id, see the token 'er'"},
      {[](json& j) { j["model"]["vocab"]["er"] = json::object(); }, ": vocabulary: expected an id, see the token 'er'"},
      {[](json& j) { j["model"]["vocab"]["er"] = 5000000000; }, ": vocabulary: expected ids below 2^31, see the token 'er'"},
      {[](json& j) { j["model"]["vocab"]["er"] = 2000000000; }, ": expected ids near the number of tokens, 271; found 2000000000"},
      {[](json& j) { j["model"]["vocab"]["er"] = 259; }, ": two tokens have the id 259: '"},
      {[](json& j) { j["model"]["vocab"]["a b"] = 271; }, ": the token 'a b' is not written in the alphabet of byte-level vocabularies"},
      {[](json& j) { j["model"]["vocab"][""] = 271; }, ": the token '' is not written in the alphabet of byte-level vocabularies"},
      {[](json& j) { j["model"]["vocab"].erase("Ġ"); }, ": the vocabulary has no token for the byte 32, so it cannot write every text"},
      {[](json& j) {
         j["model"]["vocab"].erase("Ā");
         j["model"]["unk_token"] = "<|endoftext|>";
       },
       ": the vocabulary has no token for the byte 0, and weft does not write unknown tokens"},
      {[](json& j) { j["model"].erase("merges"); }, ": model.merges: expected an array, found nothing"},
      {[](json& j) { j["model"]["merges"] = json::object(); }, ": model.merges: expected an array, found {}"},
      {[](json& j) { j["model"]["merges"][1] = "abc"; }, ": merges: expected two tokens in merge 1"},
      {[](json& j) { j["model"]["merges"][1] = "a b c"; }, ": merges: expected two tokens in merge 1"},
      {[](json& j) {
         j["model"]["merges"][1] = {"a", "b", "c"};
       },
       ": merges: expected two tokens in merge 1"},
      {[](json& j) { j["model"]["merges"][1] = 5; }, ": merges: expected two tokens in merge 1"},
      {[](json& j) {
         j["model"]["merges"][1] = {"a", 5};
       },
       ": merges: expected two tokens in merge 1"},
      {[](json& j) {
         j["model"]["merges"][1] = {"a", {"b"}};
       },
       ": merges: expected two tokens in merge 1"},
      {[](json& j) {
         j["model"]["merges"][1] = {"a", "b"};
       },
       ": merge 1, 'a' and 'b', needs the token 'ab', which the vocabulary does not have"},
      {[](json& j) {
         j["model"]["merges"][1] = {"é!", "b"};
       },
       ": merge 1, 'é!' and 'b', needs the token 'é!', which the vocabulary does not have"},
      {[](json& j) {
         j["model"]["merges"][4] = {"e", "r"};
       },
       ": merge 4, 'e' and 'r', is there twice"},
      {[](json& j) { j["model"]["byte_fallback"] = true; }, ": model.byte_fallback: expected false, found true"},
      {[](json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }, ": model.end_of_word_suffix: expected an empty string, found \"</w>\""},
      {[](json& j) { j["model"]["continuing_subword_prefix"] = "##"; },
       ": model.continuing_subword_prefix: expected an empty string, found \"##\""},
      {[](json& j) { j["model"]["dropout"] = 0.1; }, ": model.dropout: expected null, found 0.1"},
      {[](json& j) { j["model"]["ignore_merges"] = "no"; }, ": model.ignore_merges: expected true or false, found \"no\""},
      {[](json& j) {
         j["normalizer"] = {{"type", "NFKC"}};
       },
       ": normalizer.type: expected 'NFC' or 'Sequence', found \"NFKC\""},
      {[](json& j) {
         j["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "Lowercase"}}}}};
       },
       ": normalizer.normalizers[0].type: expected 'NFC' or 'Sequence', found \"Lowercase\""},
      {[](json& j) { j["pre_tokenizer"] = nullptr; }, ": pre_tokenizer: expected an object, found nothing"},
      {[](json& j) {
         j["pre_tokenizer"] = {{"type", "Whitespace"}};
       },
       ": pre_tokenizer.type: expected 'Sequence' or 'Split' or 'Digits' or 'ByteLevel', found \"Whitespace\""},
      {[](json& j) { j["pre_tokenizer"]["pretokenizers"][1]["type"] = "Metaspace"; },
       ": pre_tokenizer.pretokenizers[1].type: expected 'Sequence' or 'Split' or 'Digits' or 'ByteLevel', found \"Metaspace\""},
      {[](json& j) { j["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; },
       ": pre_tokenizer.pretokenizers[0].behavior: expected 'Isolated', found \"Removed\""},
      {[](json& j) { j["pre_tokenizer"]["pretokenizers"][0]["invert"] = true; },
       ": pre_tokenizer.pretokenizers[0].invert: expected false, found true"},
      {[](json& j) {
         j["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"String", " "}};
       },
       ": pre_tokenizer.pretokenizers[0].pattern.Regex: expected a string, found nothing"},
      {[](json& j) {
         j["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", "\\w+"}};
       },
       ": pre_tokenizer: weft does not read '\\w' at byte 0"},
      {[](json& j) {
         j["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {{"Regex", "(a"}};
       },
       ": pre_tokenizer: not a regular expression: (a: "},
      {[](json& j) { j["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; },
       ": pre_tokenizer.pretokenizers[1].add_prefix_space: expected false, found true"},
      {[](json& j) { j["pre_tokenizer"]["pretokenizers"].erase(1); }, ": pre_tokenizer: expected a ByteLevel at the end, found {"},
      {[](json& j) {
         j["pre_tokenizer"]["pretokenizers"].push_back({{"type", "Split"}});
       },
       ": pre_tokenizer.pretokenizers[2]: expected nothing after ByteLevel, found {"},
      {[](json& j) {
         j["post_processor"] = {{"type", "RobertaProcessing"}};
       },
       ": post_processor.type: expected 'ByteLevel' or 'TemplateProcessing' or 'Sequence', found \"RobertaProcessing\""},
      {[](json& j) {
         j["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {{{"SpecialToken", {{"id", "<s>"}}}}}}};
       },
       ": post_processor.special_tokens: expected an object, found nothing"},
      {[](json& j) {
         j["post_processor"] = start_template({270}, {{{"Sequence", {{"id", "A"}}}}, {{"SpecialToken", {{"id", "<s>"}}}}});
       },
       ": post_processor.single[1]: expected a template that adds tokens only before the text, found {"},
      {[](json& j) { j["post_processor"] = start_template({-3}); },
       ": post_processor.special_tokens.<s>.ids[0]: expected an id below 2^31, found -3"},
      {[](json& j) { j["post_processor"] = start_template({300}); },
       ": expected a token to go before texts, found the id 300, which is none"},
      {[](json& j) {
         j["decoder"] = {{"type", "Metaspace"}};
       },
       ": decoder.type: expected 'ByteLevel', found \"Metaspace\""},
      {[](json& j) { j["added_tokens"] = "none"; }, ": added_tokens: expected an array, found \"none\""},
      {[](json& j) { j["added_tokens"][0]["id"] = "270"; }, ": added_tokens[0].id: expected an integer, found \"270\""},
      {[](json& j) { j["added_tokens"][0]["id"] = -2; }, ": added_tokens[0]: expected an id below 2^31, found -2"},
      {[](json& j) { j["added_tokens"][0]["id"] = 260; }, ": two tokens have the id 260: '<|endoftext|>' and 'er'"},
      {[](json& j) { j["added_tokens"][0]["content"] = ""; }, ": added_tokens[0].content: expected some text, found \"\""},
      {[](json& j) { j["added_tokens"][0].erase("content"); }, ": added_tokens[0].content: expected a string, found nothing"},
      {[](json& j) { j["added_tokens"][0]["content"] = "er"; }, ": the token 'er' has two ids, 260 and 270"},
      {[](json& j) { j["added_tokens"][0]["lstrip"] = true; }, ": added_tokens[0].lstrip: expected false, found true"},
      {[](json& j) { j["added_tokens"][0]["single_word"] = true; }, ": added_tokens[0].single_word: expected false, found true"},
      {[](json& j) { j["added_tokens"].push_back(j["added_tokens"][0]); },
       ": two added tokens have the id 270: '<|endoftext|>' and '<|endoftext|>'"},
      {[](json& j) { j["added_tokens"].push_back(added_token(271, "<|endoftext|>", true)); },
       ": the added token '<|endoftext|>' has two ids, 270 and 271"},
  };
  for (const Case& wrong : cases) {
    CAPTURE(wrong.complaint);
    const TemporaryDirectory directory;
    json document = text_test::tiny_json();
    wrong.change(document);
    const auto file = directory.write("tokenizer.json", document.dump());
    const std::string found = complaint(directory.path());
    CAPTURE(found);
    CHECK(found.starts_with(file.string() + wrong.complaint));
  }
}

TEST_CASE("files that are no JSON, cut off at any place, or not there") {
  const TemporaryDirectory directory;
  CHECK(complaint(directory.path()) ==
        directory.path().string() + ": expected tokenizer.json, or vocab.json and merges.txt; found neither");
  const auto file = directory.path() / "tokenizer.json";
  CHECK(complaint(file) == file.string() + ": cannot be read");
  directory.write("tokenizer.json", "");
  CHECK(complaint(file).starts_with(file.string() + ": not JSON: "));
  const std::string whole = text_test::tiny_json().dump();
  for (std::size_t size = 1; size < whole.size(); size += 97) {
    directory.write("tokenizer.json", std::string_view(whole).substr(0, size));
    CAPTURE(size);
    CHECK(complaint(file).starts_with(file.string() + ": "));
  }
  directory.write("tokenizer.json", whole + "}");
  CHECK(complaint(file).starts_with(file.string() + ": not JSON: "));
  directory.write("tokenizer.json", std::string(1000000, '['));
  CHECK(complaint(file) == file.string() + ": nested deeper than 64");
  directory.write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0, "a": 1}}})");
  CHECK(complaint(file) == file.string() + ": vocabulary: expected no token twice, see the token 'a'");
  directory.write("tokenizer.json", whole);
  CHECK(complaint(file).empty());
}

TEST_CASE("what does not change ids is not asked for") {
  const std::vector<std::function<void(json&)>> changes = {
      [](json& j) { j.erase("post_processor"); },
      [](json& j) {
        j["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}}};
      },
      [](json& j) {
        j["post_processor"] = {{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}}}}};
      },
      [](json& j) {
        j["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
      },
      [](json& j) { j["model"]["dropout"] = 0.0; },
      [](json& j) { j["model"]["unk_token"] = "<|endoftext|>"; },
      [](json& j) { j["model"].erase("end_of_word_suffix"); },
      [](json& j) { j["model"]["continuing_subword_prefix"] = nullptr; },
      [](json& j) {
        j["truncation"] = {{"max_length", 3}};
      },
      [](json& j) {
        j["model"]["merges"] = {"Ġ l", "Ġl o", "Ġlo w", "e r"};
      },  // as tokenizers before 0.20 wrote them
  };
  for (const auto& change : changes) {
    const TemporaryDirectory directory;
    json document = text_test::tiny_json();
    change(document);
    directory.write("tokenizer.json", document.dump());
    CHECK(Tokenizer::load(directory.path()).encode(" lower<|endoftext|>\u03d2\u0301").front() == 259);
  }
}

TEST_CASE("tokens that go before a text are told, but not encoded") {
  const TemporaryDirectory directory;
  json document = text_test::tiny_json();
  const auto load = [&] {
    directory.write("tokenizer.json", document.dump());
    return Tokenizer::load(directory.path());
  };
  CHECK(load().start().empty());
  const json byte_level = document["post_processor"];
  document["post_processor"] = {{"type", "Sequence"}, {"processors", {byte_level, start_template({270})}}};
  const Tokenizer tokenizer = load();
  CHECK(Ids(tokenizer.start().begin(), tokenizer.start().end()) == Ids{270});
  CHECK(tokenizer.encode(" lower") == Ids{259, 260});
}

TEST_CASE("digits may be cut out before GPT-2's expression") {
  const TemporaryDirectory directory;
  json document = text_test::tiny_json();
  auto& steps = document["pre_tokenizer"]["pretokenizers"];
  steps[0] = {{"type", "Digits"}, {"individual_digits", true}};
  steps[1]["use_regex"] = true;
  const auto ids = [&] { return Tokenizer::load(directory.write("tokenizer.json", document.dump())).encode("a01 ##"); };
  CHECK(ids() == Ids{64, 15, 16, 268, 2});
  steps[0]["individual_digits"] = false;
  CHECK(ids() == Ids{64, 264, 268, 2});  // "0 1" merges
}

TEST_CASE("vocab.json and merges.txt, with the added tokens beside them") {
  const TemporaryDirectory directory;
  write_vocabulary_and_merges(directory);
  const std::string text = " lower<|end|>";
  CHECK(Tokenizer::load(directory.path()).encode(text).size() > 3);

  directory.write("added_tokens.json", R"({"<|end|>": 270, "<|pad|>": 271, "<call>": 272})");
  directory.write("special_tokens_map.json", R"({"eos_token": "<|end|>", "pad_token": {"content": "<|pad|>", "lstrip": false}})");
  {
    const Tokenizer tokenizer = Tokenizer::load(directory.path());
    CHECK(tokenizer.encode(text) == Ids{259, 260, 270});
    CHECK(tokenizer.is_special(270));
    CHECK(tokenizer.is_special(271));
    CHECK_FALSE(tokenizer.is_special(272));
  }
  directory.write("tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer", "model_max_length": 1e30})");
  CHECK(Tokenizer::load(directory.path()).encode(text) == Ids{259, 260, 270});
  directory.write("tokenizer_config.json", json{{"added_tokens_decoder", {{"300", {{"content", "<|end|>"}, {"special", true}}}}}}.dump());
  CHECK(Tokenizer::load(directory.path()).encode(text) == Ids{259, 260, 300});
}

TEST_CASE("a tokenizer.json without added tokens takes those beside it") {
  const TemporaryDirectory directory;
  json document = text_test::tiny_json();
  document["added_tokens"] = json::array();
  directory.write("tokenizer.json", document.dump());
  directory.write("added_tokens.json", R"({"<|end|>": 270})");
  CHECK(Tokenizer::load(directory.path()).encode(" lower<|end|>") == Ids{259, 260, 270});
  CHECK(Tokenizer::load(directory.path() / "tokenizer.json").encode(" lower<|end|>") == Ids{259, 260, 270});
}

TEST_CASE("files beside vocab.json that are wrong") {
  struct Case {
    const char *file, *content, *complaint;
  };
  const std::string deep(100000, '[');
  const std::vector<Case> cases = {
      {"vocab.json", "[]", ": expected an object of tokens"},
      {"vocab.json", "{\"a\": []}", ": vocabulary: expected an id, see the token 'a'"},
      {"vocab.json", "{\"a\"", ": not JSON: "},
      {"merges.txt", "#version: 0.2\nĠ l\nĠlo\n", ": line 3: expected two tokens with a space between, found 'Ġlo'"},
      {"merges.txt", "a b c\n", ": line 1: expected two tokens with a space between, found 'a b c'"},
      {"tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer"})",
       ": tokenizer_class: expected 'Qwen2Tokenizer', as there is no tokenizer.json, found \"LlamaTokenizer\""},
      {"tokenizer_config.json", R"({"added_tokens_decoder": {"x": {"content": "a"}}})",
       ": added_tokens_decoder: expected an id, found 'x'"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": []})", ": added_tokens_decoder: expected an object, found []"},
      {"tokenizer_config.json", "{", ": not JSON: "},
      {"added_tokens.json", R"({"<a>": "5"})", ": <a>: expected an integer, found \"5\""},
      {"added_tokens.json", "[]", ": expected an object, found []"},
      {"added_tokens.json", deep.c_str(), ": nested deeper than 64"},
  };
  for (const Case& wrong : cases) {
    CAPTURE(wrong.complaint);
    const TemporaryDirectory directory;
    write_vocabulary_and_merges(directory);
    const auto file = directory.write(wrong.file, wrong.content);
    const std::string found = complaint(directory.path());
    CAPTURE(found);
    CHECK(found.starts_with(file.string() + wrong.complaint));
  }
  const TemporaryDirectory directory;
  write_vocabulary_and_merges(directory);
  directory.write("merges.txt", "a b\n");
  CHECK(complaint(directory.path()) ==
        (directory.path() / "vocab.json").string() + ": merge 0, 'a' and 'b', needs the token 'ab', which the vocabulary does not have");
}
