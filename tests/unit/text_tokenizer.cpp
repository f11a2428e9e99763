// The tokenizer on small vocabularies: ids, added tokens, and laws that hold for every text.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "text_support.hpp"
#include "weft/text/tokenizer.hpp"

using namespace weft::text;
using text_test::added_token;
using Ids = std::vector<std::int32_t>;

namespace {

Tokenizer from_json(const nlohmann::json& document) {
  const text_test::TemporaryDirectory directory;
  return Tokenizer::load(directory.write("tokenizer.json", document.dump()));
}

constexpr std::string_view corpus =
    "The quick brown fox jumps over the lazy dog. The dog sleeps; the fox doesn't. I'll say it again: the fox, the dog!\n"
    "2x + 3 = 7\n2x = 4\nx = 2\n\n\tif (x == 2) { return \"two\"; }\n"
    "Füchse überqueren Straßen. Le renard était là, près de la forêt. Лиса и собака спят, собака и лиса.\n"
    "여우와 개가 잔다. 여우가 뛴다. 狐狸跳过懒狗。狗睡觉，狐狸跳。\U0001F98A\U0001F98A\U0001F436    \n   \n";

struct Trained {
  text_test::Tokens tokens;
  text_test::Merges merges;
};
const Trained& trained() {
  static const Trained result = [] {
    auto [tokens, merges] = text_test::train(corpus, 150);
    return Trained{tokens, merges};
  }();
  return result;
}
const Tokenizer& small() {
  static const Tokenizer tokenizer = [] {
    const auto& [tokens, merges] = trained();
    const int first = static_cast<int>(tokens.size());
    return from_json(
        text_test::tokenizer_json(tokens, merges, {added_token(first, "<|end|>", true), added_token(first + 1, "<call>", false)}));
  }();
  return tokenizer;
}

class RandomText {
 public:
  explicit RandomText(unsigned seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return random_() % n; }
  std::string next() {
    std::string text;
    for (std::size_t parts = below(8); parts > 0; --parts) {
      switch (below(6)) {
        case 0: text += slice(); break;
        case 1: text += words[below(std::size(words))]; break;
        case 2: append_utf8(text, static_cast<char32_t>(0x20 + below(0x60))); break;
        case 3: append_utf8(text, static_cast<char32_t>(0x300 + below(0x40))); break;
        case 4: append_utf8(text, static_cast<char32_t>(0xE000 + below(0x100000))); break;
        default: append_utf8(text, static_cast<char32_t>(below(0xD800)));
      }
    }
    return text;
  }

 private:
  static constexpr std::string_view words[] = {" the",    "fox ", "\n\n", "    ",    "don't",  "'LL", "2x + 3",
                                               "e\u0301", "여우", "狐狸", "<|end|>", "<call>", "<|en"};
  std::string slice() {  // of the corpus, cut between characters
    std::string text;
    for (std::size_t at = below(corpus.size()), end = std::min(at + 12, corpus.size()); at < end;) {
      const Utf8Character character = first_character(corpus.substr(at));
      if (character.kind == Utf8Character::valid) append_utf8(text, character.code);
      at += character.length;
    }
    return text;
  }
  std::mt19937 random_;
};

// What byte-pair encoding says: join the neighbours of the strongest merge, leftmost first, until there is none.
std::vector<std::string> merged(std::string_view piece, const text_test::Merges& merges) {
  std::vector<std::string> symbols;
  for (const char byte : piece) symbols.push_back(to_printable(std::string_view(&byte, 1)));
  for (std::size_t rank = 0; rank < merges.size();) {
    const auto& [left, right] = merges[rank];
    std::size_t i = 0;
    while (i + 1 < symbols.size() && (symbols[i] != left || symbols[i + 1] != right)) ++i;
    if (i + 1 >= symbols.size()) {
      ++rank;
      continue;
    }
    symbols[i] += right;
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    rank = 0;
  }
  return symbols;
}

}  // namespace

TEST_CASE("the tiny vocabulary of Hugging Face transformers' tests") {
  const Tokenizer tokenizer = from_json(text_test::tiny_json());
  const std::string text = "lower lower newer 010;}\n<|endoftext|>\u03d2\u0301";
  const Ids ids = {75, 78, 86, 260, 259, 260, 220, 77, 68, 86, 260, 220, 15, 16, 15, 266, 270, 267};
  CHECK(tokenizer.encode(text) == ids);
  CHECK(tokenizer.decode(ids) == "lower lower newer 010;}\n<|endoftext|>\u03d3");
  CHECK(tokenizer.decode(ids, true) == "lower lower newer 010;}\n\u03d3");
  CHECK(tokenizer.encode(" ###") == Ids{268, 269});
  CHECK(tokenizer.encode("").empty());
  CHECK(tokenizer.size() == 271);
  CHECK(tokenizer.id(" low") == 259);
  CHECK(tokenizer.id("<|endoftext|>") == 270);
  CHECK_FALSE(tokenizer.id(" lo we").has_value());
  CHECK(tokenizer.bytes(267) == "\u03d3");
  CHECK(tokenizer.bytes(271).empty());
  CHECK(tokenizer.bytes(-1).empty());
  CHECK(tokenizer.is_special(270));
  CHECK_FALSE(tokenizer.is_special(259));
}

TEST_CASE("a text of any kind decodes to its normal form") {
  RandomText random(3);
  for (int round = 0; round < 3000; ++round) {
    const std::string text = random.next();
    CAPTURE(text);
    REQUIRE(small().decode(small().encode(text, Special::none)) == nfc(text));
    for (const Special special : {Special::parse, Special::split}) {  // no composition across an added token
      const std::string decoded = small().decode(small().encode(text, special));
      REQUIRE(nfc(decoded) == nfc(text));
    }
  }
}

TEST_CASE("the encoder joins what the definition of byte-pair encoding joins") {
  RandomText random(4);
  const Pretokenizer pretokenizer({qwen2_pattern}, "test");
  for (int round = 0; round < 300; ++round) {
    const std::string text = random.next();
    CAPTURE(text);
    Ids expected;
    pretokenizer.split(nfc(text), [&](std::string_view piece) {
      for (const auto& token : merged(piece, trained().merges)) expected.push_back(*small().id(*from_printable(token)));
    });
    REQUIRE(small().encode(text, Special::none) == expected);
  }
  CHECK(small().encode("The quick brown fox").size() < 10);  // and it does join
}

TEST_CASE("any ids decode to UTF-8, and token by token to the same text") {
  RandomText random(5);
  for (int round = 0; round < 3000; ++round) {
    Ids ids(random.below(12));
    for (auto& id : ids) id = static_cast<std::int32_t>(random.below(small().size() + 20)) - 10;
    Utf8Stream stream;
    std::string text;
    for (const auto id : ids) {
      const std::string part = stream.push(small().bytes(id));
      REQUIRE_FALSE(first_invalid_byte(part).has_value());
      text += part;
    }
    text += stream.finish();
    REQUIRE(text == small().decode(ids));
  }
}

TEST_CASE("a long piece takes no time to speak of") {
  CHECK(small().decode(small().encode(std::string(300000, 'x'))) == std::string(300000, 'x'));
}

TEST_CASE("added tokens: leftmost, then longest, then split from what is special") {
  auto document = text_test::tiny_json();
  document["added_tokens"] = {added_token(270, "<a>", true), added_token(271, "<a>b", false), added_token(272, "c<a", false),
                              added_token(275, "d e", true)};
  const Tokenizer tokenizer = from_json(document);
  CHECK(tokenizer.encode("<a>") == Ids{270});
  CHECK(tokenizer.encode("<a>b") == Ids{271});
  CHECK(tokenizer.encode("<a>bc<a><a>") == Ids{271, 272, 29, 270});  // 29 is '>'
  CHECK(tokenizer.encode("d e") == Ids{275});
  CHECK(tokenizer.encode("<a>d e<a>b", Special::split) == Ids{27, 64, 29, 67, 220, 68, 271});
  CHECK(tokenizer.encode("<a>b", Special::none) == Ids{27, 64, 29, 65});
  CHECK(tokenizer.encode("e<a>\u0301") == Ids{68, 270, 136, 223});  // each stretch is normalized by itself
  CHECK(tokenizer.size() == 276);
  CHECK(tokenizer.bytes(273).empty());  // ids may leave gaps
  CHECK(tokenizer.decode(Ids{270, 273, 275}) == "<a>d e");
  CHECK(tokenizer.decode(Ids{270, 271, 275}, true) == "<a>b");
}

TEST_CASE("an added token may be matched after normalization") {
  auto document = text_test::tiny_json();
  document["added_tokens"] = {added_token(270, "caf\u00e9", false, true), added_token(271, "e\u0301!", false, false)};
  const Tokenizer tokenizer = from_json(document);
  CHECK(tokenizer.encode("cafe\u0301") == Ids{270});
  CHECK(tokenizer.encode("caf\u00e9") == Ids{270});
  CHECK(tokenizer.encode("cafe\u0301!") == Ids{66, 64, 69, 271});  // that which is matched as written comes first
}

TEST_CASE("a token may be both in the vocabulary and added") {
  auto document = text_test::tiny_json();
  document["model"]["vocab"]["<|endoftext|>"] = 270;
  CHECK(from_json(document).encode("x<|endoftext|>") == Ids{87, 270});
}

TEST_CASE("without a normalizer text stays as it is") {
  auto document = text_test::tiny_json();
  document["normalizer"] = nullptr;
  const Tokenizer tokenizer = from_json(document);
  CHECK(tokenizer.decode(tokenizer.encode("\u03d2\u0301")) == "\u03d2\u0301");
}

TEST_CASE("merges may be ignored for pieces that are tokens") {
  auto document = text_test::tiny_json();
  CHECK(from_json(document).encode(" newer") == Ids{220, 77, 68, 86, 260});
  document["model"]["ignore_merges"] = true;
  CHECK(from_json(document).encode(" newer x") == Ids{262, 220, 87});
}

TEST_CASE("a ByteLevel pre-tokenizer may bring GPT-2's expression") {
  auto document = text_test::tiny_json();
  document["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  CHECK(from_json(document).encode("x01") == Ids{87, 264});  // digits stay together, so "0 1" merges
  CHECK(from_json(text_test::tiny_json()).encode("x01") == Ids{87, 15, 16});
}

TEST_CASE("bytes that no token stands for are left out, and their neighbours merge") {
  auto document = text_test::tiny_json();
  CHECK(from_json(document).encode("\x01").size() == 1);
  document["model"]["vocab"].erase("ā");  // the byte 1
  const Tokenizer tokenizer = from_json(document);
  CHECK(tokenizer.encode("\x01").empty());
  CHECK(tokenizer.encode("#\x01\x01#\x01") == Ids{269});
  CHECK(tokenizer.encode("\x01##") == Ids{269});
}

TEST_CASE("text that is not UTF-8 is refused with the byte") {
  const Tokenizer tokenizer = from_json(text_test::tiny_json());
  CHECK_THROWS_WITH_AS(tokenizer.encode("ab\xFF"), "cannot encode text: it is not UTF-8 at byte 2", weft::Error);
  CHECK_THROWS_WITH_AS(tokenizer.encode("\xED\xA0\x80", Special::none), "cannot encode text: it is not UTF-8 at byte 0", weft::Error);
  CHECK_THROWS_WITH_AS(tokenizer.encode("caf\xC3"), "cannot encode text: it is not UTF-8 at byte 3", weft::Error);
}
