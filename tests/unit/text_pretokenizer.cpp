// How text is cut into pieces, and which expressions are read.
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "weft/text/pretokenizer.hpp"

using namespace weft::text;
using Pieces = std::vector<std::string>;

namespace {

Pieces pieces(const std::vector<std::string>& patterns, std::string_view text) {
  Pieces out;
  Pretokenizer(patterns, "test").split(text, [&](std::string_view piece) { out.emplace_back(piece); });
  return out;
}
Pieces qwen2(std::string_view text) { return pieces({qwen2_pattern}, text); }

}  // namespace

TEST_CASE("the pieces of Qwen2's expression") {
  CHECK(qwen2("").empty());
  CHECK(qwen2("Hello world") == Pieces{"Hello", " world"});
  CHECK(qwen2("Hello, world!") == Pieces{"Hello", ",", " world", "!"});
  CHECK(qwen2("12345") == Pieces{"1", "2", "3", "4", "5"});
  CHECK(qwen2("w048 7") == Pieces{"w", "0", "4", "8", " ", "7"});
  CHECK(qwen2("4 \u00bd") == Pieces{"4", " ", "\u00bd"});  // one half is a number
  CHECK(qwen2("I'LL don't WE'RE") == Pieces{"I", "'LL", " don", "'t", " WE", "'RE"});
  CHECK(qwen2("' era") == Pieces{"'", " era"});
  CHECK(qwen2("'era") == Pieces{"'era"});
  CHECK(qwen2("it'\u017f") == Pieces{"it", "'\u017f"});  // the long s is an s in any case
  CHECK(qwen2(".cpp(x)") == Pieces{".cpp", "(x", ")"});
  CHECK(qwen2(";}\n\nx") == Pieces{";}\n\n", "x"});
  CHECK(qwen2("    Hello\n    Hello") == Pieces{"   ", " Hello", "\n", "   ", " Hello"});
  CHECK(qwen2("  \n  x") == Pieces{"  \n", " ", " x"});
  CHECK(qwen2("\t\tif x:\r\n") == Pieces{"\t", "\tif", " x", ":\r\n"});
  CHECK(qwen2("x   ") == Pieces{"x", "   "});
  CHECK(qwen2("\n =") == Pieces{"\n", " ="});
}

TEST_CASE("a space is a character with the property White_Space") {
  for (const char* space :
       {"\t", "\v", "\f", " ", "\u0085", "\u00a0", "\u1680", "\u2000", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"}) {
    CAPTURE(space);
    CHECK(pieces({R"(\s+)"}, std::string("a") + space + space + "b") == Pieces{"a", std::string(space) + space, "b"});
    CHECK(pieces({R"(\S+)"}, std::string("a") + space + "b") == Pieces{"a", space, "b"});
    CHECK(pieces({R"([^\s]+)"}, std::string("a") + space + "b") == Pieces{"a", space, "b"});
  }
  for (const char* other : {"\x1c", "\x1f", "\u180e", "\u200b", "\u2060", "\ufeff"}) {
    CAPTURE(other);
    CHECK(pieces({R"(\s+)"}, std::string("a") + other + "b") == Pieces{std::string("a") + other + "b"});
    CHECK(pieces({R"(\S+)"}, std::string("a") + other + "b") == Pieces{std::string("a") + other + "b"});
  }
}

TEST_CASE("letters and numbers are those of Unicode 16") {
  CHECK(qwen2("a\U000323AFb") == Pieces{"a\U000323AFb"});                      // an ideograph of Unicode 15.0
  CHECK(qwen2("\U0002EBF0'Ll") == Pieces{"\U0002EBF0", "'Ll"});                // of 15.1
  CHECK(qwen2("!!\U00011385") == Pieces{"!!", "\U00011385"});                  // a letter of 16.0
  CHECK(qwen2("\U00010D40\U00010D41") == Pieces{"\U00010D40", "\U00010D41"});  // digits of 16.0
  CHECK(pieces({R"(\P{L}+)"}, "ab\U0002EBF012") == Pieces{"ab\U0002EBF0", "12"});
  CHECK(pieces({R"(\P{N}+)"}, "ab\U00010D40") == Pieces{"ab", "\U00010D40"});
  CHECK(pieces({R"(\p{Lu}+)"}, "ABc") == Pieces{"AB", "c"});
}

TEST_CASE("GPT-2's expression, and several one after the other") {
  CHECK(pieces({gpt2_pattern}, "We'll see  123 x") == Pieces{"We", "'ll", " see", " ", " 123", " x"});
  CHECK(pieces({R"(\p{N}{1,3})", R"([a-c]+|\p{L}+)"}, "abxyz12345") == Pieces{"ab", "xyz", "123", "45"});
  CHECK(pieces({llama3_pattern}, "a12345 67'LL") == Pieces{"a", "123", "45", " ", "67", "'LL"});
  CHECK(pieces({digit_pattern, gpt2_pattern}, "ab 12x'll") == Pieces{"ab", " ", "1", "2", "x", "'ll"});
  CHECK(pieces({digits_pattern, gpt2_pattern}, "ab 12x") == Pieces{"ab", " ", "12", "x"});
  CHECK(pieces({}, "not cut") == Pieces{"not cut"});
}

TEST_CASE("pieces together are the text, whatever it holds") {
  using namespace std::string_literals;
  const std::string text = "a\0b \U0001F680\u0300\u0301 \r\n\r\n \u4f60\u597d\uff0c 3.14 \t\t"s;
  std::string joined;
  for (const auto& piece : qwen2(text)) joined += piece;
  CHECK(joined == text);
  const std::string spaces(1000000, ' ');
  CHECK(qwen2(spaces + "x") == Pieces{std::string(999999, ' '), " x"});
}

TEST_CASE("expressions that weft does not read are refused by name") {
  struct Case {
    const char *pattern, *part;
  };
  const std::vector<Case> cases = {
      {R"(\w+)", R"(does not read '\w' at byte 0)"},
      {R"(a\h)", R"(does not read '\h' at byte 1)"},
      {R"([\S])", R"(does not read '\S' at byte 1)"},
      {R"(\p{Han}+)", R"(does not read '\p{Han}')"},
      {R"(\p{^L}+)", R"(does not read '\p{^L}')"},
      {R"(\pL)", R"(does not read '\p')"},
      {R"([\P{L}])", R"(does not read '\P{L}' at byte 1)"},
      {R"(^a)", "does not read '^' at byte 0"},
      {R"(a$)", "does not read '$' at byte 1"},
      {R"(a.)", "does not read '.' at byte 1"},
      {R"([a[b]])", "does not read '[b' at byte 2"},
      {R"([a&&b])", "does not read '&&' at byte 2"},
      {R"([]a])", "does not read '[]' at byte 1"},
      {R"((?m:a))", "does not read '(?m' at byte 0"},
      {R"((?<name>a))", "does not read '(?<' at byte 0"},
      {R"(a{,3})", "does not read '{,3}' at byte 1"},
      {R"(a{2}+)", "does not read '{2}' at byte 1"},
      {R"(a{2)", "does not read '{2' at byte 1"},
      {R"(a\)", R"(does not read '\' at byte 1)"},
      {R"((a)", "not a regular expression"},
      {R"([a-c)", "not a regular expression"},
      {R"(a*)", "matches the empty string"},
  };
  for (const Case& wrong : cases) {
    CAPTURE(wrong.pattern);
    std::string message;
    try {
      Pretokenizer({wrong.pattern}, "file.json: pre_tokenizer");
    } catch (const weft::Error& error) {
      message = error.what();
    }
    CHECK(message.starts_with("file.json: pre_tokenizer: "));
    CHECK(message.find(wrong.part) != message.npos);
  }
}

TEST_CASE("an expression that would search for ever gives up with an error") {
  const Pretokenizer hopeless({R"((?:a+)+[bc])"}, "test");
  CHECK_THROWS_WITH_AS(hopeless.split(std::string(200, 'a'), [](std::string_view) {}),
                       "test: the expression gives up on the text: match limit exceeded", weft::Error);
}
