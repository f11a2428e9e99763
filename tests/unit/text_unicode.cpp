// UTF-8, canonical composition and the stream that joins bytes to characters.
#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "weft/text/bpe.hpp"
#include "weft/text/unicode.hpp"
#include "weft/text/utf8_stream.hpp"

using namespace weft::text;

namespace {

std::string decoded(std::string_view bytes) {
  Utf8Stream stream;
  std::string text = stream.push(bytes);
  return text += stream.finish();
}

}  // namespace

TEST_CASE("every character reads back as it was written, and nothing else is a character") {
  for (char32_t code = 0; code < 0x110000; ++code) {
    std::string text;
    append_utf8(text, code);
    const Utf8Character character = first_character(text);
    const bool is_surrogate = code >= 0xD800 && code < 0xE000;
    if (character.kind != (is_surrogate ? Utf8Character::invalid : Utf8Character::valid)) FAIL("code point ", static_cast<int>(code));
    if (!is_surrogate && (character.code != code || character.length != text.size())) FAIL("code point ", static_cast<int>(code));
  }
  for (const char* text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF"})
    CHECK(first_character(text).kind == Utf8Character::invalid);
}

TEST_CASE("the first byte that is not UTF-8") {
  CHECK_FALSE(first_invalid_byte("").has_value());
  CHECK_FALSE(first_invalid_byte("a\u00e9\ud55c\U0001F999").has_value());
  CHECK(first_invalid_byte("a\xFFz") == 1);
  CHECK(first_invalid_byte("\u00e9\xE0\x80\x80") == 2);
  CHECK(first_invalid_byte("abc\xF0\x9F\xA6") == 3);  // cut off
}

TEST_CASE("each longest prefix of no character becomes one U+FFFD") {
  // the examples of table 3-8 to 3-11 of the Unicode Standard, chapter 3
  CHECK(decoded("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41") == "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\x41");
  CHECK(decoded("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41") == "\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\x41");
  CHECK(decoded("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42") == "\ufffd\ufffd\ufffd\ufffd\ufffd\x41\ufffd\ufffd\x42");
  CHECK(decoded("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41") == "\ufffd\ufffd\ufffd\ufffd\x41");
  CHECK(decoded("\xF0\x9F\xA6") == "\ufffd");
}

TEST_CASE("a stream never ends within a character, and cuts do not matter") {
  std::mt19937 random(1);
  const auto below = [&](unsigned n) { return random() % n; };
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (unsigned n = below(12); n > 0; --n) {
      if (below(2) == 0) {
        append_utf8(bytes, below(4) == 0 ? 0x1F300 + below(0x400) : 0x20 + below(0x2000));
      } else {
        bytes += static_cast<char>(0x70 + below(0x90));
      }
    }
    Utf8Stream stream;
    std::string text;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t length = std::min<std::size_t>(1 + below(3), bytes.size() - at);
      const std::string part = stream.push(std::string_view(bytes).substr(at, length));
      REQUIRE_FALSE(first_invalid_byte(part).has_value());
      text += part;
      at += length;
    }
    text += stream.finish();
    REQUIRE(text == decoded(bytes));
    if (!first_invalid_byte(bytes)) REQUIRE(text == bytes);
  }
}

TEST_CASE("normalization form C") {
  struct Case {
    const char *text, *normal;
  };
  const std::vector<Case> cases = {
      {"", ""},
      {"plain ASCII", "plain ASCII"},
      {"e\u0301", "\u00e9"},
      {"\u03d2\u0301\u03d2\u0308\u017f\u0307", "\u03d3\u03d4\u1e9b"},  // the four normalization forms of these all differ
      {"q\u0307\u0323", "q\u0323\u0307"},                              // marks are put in order of their class
      {"a\u0301\u0323", "\u1ea1\u0301"},
      {"\u1100\u1161\u11a8", "\uac01"},  // Hangul
      {"\uac00\u11a8", "\uac01"},
      {"\uac00\u11a7", "\uac00\u11a7"},  // a vowel that looks like a trailing consonant
      {"\u212b", "\u00c5"},              // a singleton: ANGSTROM SIGN
      {"\u0958", "\u0915\u093c"},        // excluded from composition
      {"a\u0300\u0315\u0334", "\u00e0\u0334\u0315"},
      {"a\u0301\n\u0301", "\u00e1\n\u0301"},
  };
  for (const Case& known : cases) {
    CAPTURE(known.text);
    CHECK(nfc(known.text) == known.normal);
    CHECK(nfc(known.normal) == known.normal);
  }
  CHECK_THROWS_WITH(nfc("\u0300\xFF"), "cannot normalize text: no UTF-8 at byte 2");
}

TEST_CASE("what Unicode 9 did not know is left as it is") {
  CHECK(nfc("a\u0898\u0334") == "a\u0898\u0334");                // a mark of Unicode 14, which does not move
  CHECK(nfc("\U00011935\U00011930") == "\U00011935\U00011930");  // a composition of Unicode 13, which does not happen
  CHECK(nfc("\U00011938") == "\U00011938");
  CHECK(nfc("a\u0323\u0898\u0301") == "\u1ea1\u0898\u0301");  // nothing composes across it
  CHECK(normalizes_since_unicode_10(0x05C8));
  CHECK(normalizes_since_unicode_10(0x1E6F5));
  CHECK_FALSE(normalizes_since_unicode_10(0x0300));
  CHECK_FALSE(normalizes_since_unicode_10(0x05C7));
  CHECK_FALSE(normalizes_since_unicode_10(0x10FFFF));
}

TEST_CASE("a long run of marks is put in order in one go") {
  std::string marks, above, below;
  for (int i = 0; i < 100000; ++i) {
    above += "\u0301";
    below += "\u0323";
    marks += "\u0301\u0323";
  }
  CHECK(nfc("q" + marks) == "q" + below + above);
}

TEST_CASE("the printable alphabet of bytes") {
  CHECK(to_printable(" ") == "\u0120");
  CHECK(to_printable("\n") == "\u010a");
  CHECK(to_printable("!~") == "!~");
  CHECK(to_printable("\xA1\xAC\xAE\xFF") == "\u00a1\u00ac\u00ae\u00ff");
  CHECK(to_printable(std::string_view("\0", 1)) == "\u0100");
  CHECK(to_printable("\xAD") == "\u0143");  // the last of the 68 that are not printable
  CHECK(to_printable("\u03d3") == "\u00cf\u0135");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  CHECK(from_printable(to_printable(all)) == all);
  CHECK_FALSE(from_printable("a b").has_value());
  CHECK_FALSE(from_printable("\u0144").has_value());
}
