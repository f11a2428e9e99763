// Tokenizers from the metadata of GGUF files: what each key means, and that each wrong one brings one clear error.
#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "text_support.hpp"
#include "weft/generate/gguf_tokenizer.hpp"
#include "weft/io/gguf_writer.hpp"

using namespace weft::text;
using Ids = std::vector<std::int32_t>;

namespace {

constexpr std::int32_t normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6;

// The tiny vocabulary of Hugging Face's tests as a file would say it, with tokens of every type at its end.
struct Metadata {
  text_test::Tokens tokens = text_test::tiny_tokens();
  std::vector<std::string> merges;
  GgufVocabulary vocabulary;

  Metadata() {
    for (const auto& [left, right] : text_test::tiny_merges()) merges.push_back(left + " " + right);
    vocabulary.source = "model.gguf";
    vocabulary.model = "gpt2";
    vocabulary.pre = "qwen2";
    vocabulary.token_type.assign(tokens.size(), normal);  // 0 to 269
    add("<|endoftext|>", control);                        // 270
    add("<call>", user_defined);
    add("<unk>", unknown);
    add("[PAD273]", unused);
    vocabulary.bos = 270;
  }
  Metadata(const Metadata&) = delete;
  void add(const std::string& token, std::int32_t type) {
    tokens.push_back(token);
    vocabulary.token_type.push_back(type);
  }
  const GgufVocabulary& whole() {
    vocabulary.tokens.assign(tokens.begin(), tokens.end());
    vocabulary.merges.assign(merges.begin(), merges.end());
    return vocabulary;
  }
  Tokenizer tokenizer() { return Tokenizer(definition_of(whole())); }
};

template <class F> std::string complaint(F&& f) {
  try {
    f();
  } catch (const weft::Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("tokens by their types") {
  Metadata metadata;
  const Tokenizer tokenizer = metadata.tokenizer();
  CHECK(tokenizer.encode(" lower 01<|endoftext|>\u03d2\u0301") == Ids{259, 260, 220, 15, 16, 270, 267});
  CHECK(tokenizer.encode("<call><unk>") == Ids{271, 272});
  CHECK(tokenizer.encode("<call><unk>", Special::split).front() == 271);
  CHECK(tokenizer.encode("<call><unk>", Special::split).size() == 6);
  CHECK(tokenizer.encode("[PAD273]").size() == 8);
  CHECK(tokenizer.decode(Ids{259, 273, 270, 271, 272, 260}) == " low<|endoftext|><call><unk>er");
  CHECK(tokenizer.decode(Ids{259, 273, 270, 271, 272, 260}, true) == " low<call>er");
  CHECK(tokenizer.bytes(273).empty());
  CHECK(tokenizer.id(" low") == 259);
  CHECK(tokenizer.start().empty());
}

TEST_CASE("without types all tokens are normal") {
  Metadata metadata;
  metadata.tokens = text_test::tiny_tokens();
  metadata.vocabulary.token_type.clear();
  CHECK(metadata.tokenizer().encode(" lower") == Ids{259, 260});
}

TEST_CASE("merges may lead to a token that is split out") {
  Metadata metadata;
  metadata.add("er##", user_defined);
  metadata.merges.emplace_back("er ##");
  const Tokenizer tokenizer = metadata.tokenizer();
  CHECK(tokenizer.encode("er##") == Ids{274});
  CHECK(tokenizer.encode("er##", Special::none) == Ids{260, 269});  // in two pieces, as the expression cuts between
}

TEST_CASE("the pre-tokenizer decides about normalization, merges and the beginning of a text") {
  Metadata metadata;
  const auto with = [&](const char* pre) {
    metadata.vocabulary.pre = pre;
    return metadata.tokenizer();
  };
  CHECK(with("gpt-2").encode("x01") == Ids{87, 264});
  CHECK(with("smollm").encode("x01") == Ids{87, 15, 16});
  CHECK(with("llama-bpe").encode("x01") == Ids{87, 264});
  CHECK(with("gpt-2").encode(" newer") == Ids{220, 77, 68, 86, 260});
  CHECK(with("llama-bpe").encode(" newer") == Ids{262});  // a token that no merge leads to
  CHECK(with("qwen2").encode("e\u0301") == with("gpt-2").encode("\u00e9"));
  CHECK(with("gpt-2").encode("e\u0301").front() == 68);
  CHECK(with("smollm").start().empty());
  REQUIRE(with("llama-bpe").start().size() == 1);
  CHECK(with("llama-bpe").start()[0] == 270);
  metadata.vocabulary.add_bos = false;
  CHECK(with("llama-bpe").start().empty());
  metadata.vocabulary.add_bos = true;
  CHECK(with("smollm").start().size() == 1);
}

TEST_CASE("metadata that weft does not read or that do not fit together") {
  struct Case {
    std::function<void(Metadata&)> change;
    const char* complaint;
  };
  const std::vector<Case> cases = {
      {[](Metadata& m) { m.vocabulary.model = "llama"; }, "key \"tokenizer.ggml.model\": expected 'gpt2' (byte-level BPE), found 'llama'"},
      {[](Metadata& m) { m.vocabulary.pre = "falcon"; },
       "key \"tokenizer.ggml.pre\": expected one of 'qwen2', 'gpt-2', 'llama-bpe', 'smollm', found 'falcon'"},
      {[](Metadata& m) { m.vocabulary.token_type.pop_back(); },
       "key \"tokenizer.ggml.token_type\": expected one for each of 274 tokens, found 273"},
      {[](Metadata& m) { m.vocabulary.token_type[1] = byte; },
       "key \"tokenizer.ggml.token_type\": expected 1 to 5 for token 1 ('\"'), found 6"},
      {[](Metadata& m) { m.vocabulary.token_type[1] = -7; },
       "key \"tokenizer.ggml.token_type\": expected 1 to 5 for token 1 ('\"'), found -7"},
      {[](Metadata& m) { m.tokens[271] = ""; }, "key \"tokenizer.ggml.tokens\": expected some text for token 271 ('')"},
      {[](Metadata& m) { m.tokens[271] = "er"; }, "key \"tokenizer.ggml.tokens\": token 271 ('er') is there twice"},
      {[](Metadata& m) { m.tokens[260] = "e r"; }, "the token 'e r' is not written in the alphabet of byte-level vocabularies"},
      {[](Metadata& m) { m.merges[1] = "abc"; },
       "key \"tokenizer.ggml.merges\": expected two tokens with a space between in merge 1, found 'abc'"},
      {[](Metadata& m) { m.merges[1] = "a b c"; },
       "key \"tokenizer.ggml.merges\": expected two tokens with a space between in merge 1, found 'a b c'"},
      {[](Metadata& m) { m.merges[1] = " ab"; },
       "key \"tokenizer.ggml.merges\": expected two tokens with a space between in merge 1, found ' ab'"},
      {[](Metadata& m) { m.merges[1] = "a b"; }, "merge 1, 'a' and 'b', needs the token 'ab', which the vocabulary does not have"},
      {[](Metadata& m) { m.vocabulary.add_eos = true; }, "key \"tokenizer.ggml.add_eos_token\": expected false, found true"},
      {[](Metadata& m) {
         m.vocabulary.add_bos = true;
         m.vocabulary.bos = {};
       },
       "key \"tokenizer.ggml.bos_token_id\": expected a token, as one goes before every text; found none"},
      {[](Metadata& m) {
         m.vocabulary.add_bos = true;
         m.vocabulary.bos = 274;
       },
       "key \"tokenizer.ggml.bos_token_id\": expected the id of one of 274 tokens, found 274"},
      {[](Metadata& m) {
         m.vocabulary.add_bos = true;
         m.vocabulary.bos = 273;
       },
       "expected a token to go before texts, found the id 273, which is none"},
  };
  for (const Case& wrong : cases) {
    Metadata metadata;
    wrong.change(metadata);
    CHECK(complaint([&] { metadata.tokenizer(); }) == std::string("model.gguf: ") + wrong.complaint);
  }
}

TEST_CASE("what ends a text") {
  Metadata metadata;
  CHECK(end_tokens(metadata.whole()) == Ids{270});  // by its name
  metadata.add("<|im_end|>", control);
  metadata.add("<|eot_id|>", user_defined);  // no control token
  metadata.add("<end>", control);
  metadata.vocabulary.eos = 276;
  CHECK(end_tokens(metadata.whole()) == Ids{276, 270, 274});
  metadata.vocabulary.eot = 274;
  metadata.vocabulary.eom = 275;
  CHECK(end_tokens(metadata.whole()) == Ids{276, 274, 275, 270});
  metadata.vocabulary.eos = -5;
  CHECK(complaint([&] { end_tokens(metadata.whole()); }) ==
        "model.gguf: key \"tokenizer.ggml.eos_token_id\": expected the id of one of 277 tokens, found -5");
}

TEST_CASE("from a file") {
  const text_test::TemporaryDirectory directory;
  Metadata metadata;
  metadata.add("<|begin_of_text|>", control);
  metadata.add("<|eot_id|>", control);
  const auto path = directory.path() / "model.gguf";
  const auto write = [&](std::optional<std::uint32_t> bos, const char* chat_template) {
    weft::GgufWriter file(path);
    file.add("tokenizer.ggml.model", "gpt2");
    file.add("tokenizer.ggml.pre", "llama-bpe");
    file.add("tokenizer.ggml.tokens", std::span<const std::string>(metadata.tokens));
    file.add("tokenizer.ggml.token_type", std::span<const std::int32_t>(metadata.vocabulary.token_type));
    file.add("tokenizer.ggml.merges", std::span<const std::string>(metadata.merges));
    if (bos) file.add("tokenizer.ggml.bos_token_id", *bos);
    file.add("tokenizer.ggml.eos_token_id", std::uint32_t{270});
    file.add("tokenizer.ggml.eot_token_id", std::uint32_t{275});
    file.add("tokenizer.ggml.eom_token_id", ~std::uint32_t{0});  // none
    file.add("tokenizer.ggml.add_bos_token", bos.has_value());
    if (chat_template) file.add("tokenizer.chat_template", chat_template);
    file.commit();
    return weft::GgufFile::open(path);
  };
  const char* jinja =
      "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + "
      "message['content'] | "
      "trim + '<|eot_id|>' %}{% if loop.first %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
      "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}";
  {
    const auto file = write(274, jinja);
    CHECK(weft::has_tokenizer(file));
    const Tokenizer tokenizer = weft::gguf_tokenizer(file);
    CHECK(tokenizer.encode(" lower<|eot_id|>") == Ids{259, 260, 275});
    CHECK(Ids(tokenizer.start().begin(), tokenizer.start().end()) == Ids{274});
    CHECK(weft::gguf_end_tokens(file) == Ids{270, 275});
    const std::vector<Message> messages = {{"user", "Hi", {}}};
    CHECK(weft::gguf_chat_template(file).render(messages) == ChatTemplate::llama3().render(messages));
  }
  {
    const auto file = write(std::nullopt, nullptr);
    CHECK(weft::gguf_tokenizer(file).start().empty());
    CHECK(complaint([&] { weft::gguf_chat_template(file); }) ==
          path.string() + ": key \"tokenizer.chat_template\": the model has no chat template");
  }
  CHECK(complaint([&] {
          weft::gguf_chat_template(write(274, "{{ messages }}"));
        }).starts_with(path.string() + ": key \"tokenizer.chat_template\": weft does not know this chat template: "));
  weft::GgufWriter(path).commit();
  const auto empty = weft::GgufFile::open(path);
  CHECK_FALSE(weft::has_tokenizer(empty));
  CHECK(complaint([&] { weft::gguf_tokenizer(empty); }) ==
        path.string() + ": key \"tokenizer.ggml.model\": expected a string, but the key is missing");
}
