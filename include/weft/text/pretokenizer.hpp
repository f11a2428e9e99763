// pretokenizer: cuts text into the pieces that byte-pair merges never cross, by the regular expressions of a tokenizer.
#pragma once
#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/core/error.hpp"

namespace weft::text {

// The expression of Qwen2 and Qwen2.5: contractions; a word with the character before it; one digit; punctuation; line ends; other spaces.
inline constexpr char qwen2_pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Llama 3's: as Qwen2's, but up to three digits stay together.
inline constexpr char llama3_pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// What a Digits pre-tokenizer cuts out: SmolLM's each digit by itself (`individual_digits`), before GPT-2's expression sees the text.
inline constexpr char digit_pattern[] = R"(\p{N})", digits_pattern[] = R"(\p{N}+)";
// GPT-2's, which a ByteLevel pre-tokenizer applies by itself when it says `use_regex`.
inline constexpr char gpt2_pattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// tokenizer.json writes expressions in Oniguruma's syntax. What means the same in PCRE2 is kept, `\s` becomes the characters with the
// Unicode property White_Space (PCRE2 adds U+180E), `\p{L}` and `\p{N}` gain what newer versions of Unicode added, and what might mean
// something else is refused. Throws Error, which begins with `place`.
class PatternTranslator {
 public:
  static std::string translate(std::string_view pattern, const std::string& place) { return PatternTranslator(pattern, place).run(); }

 private:
  static constexpr std::string_view spaces =
      R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

  // Letters and numbers that Unicode 15.0 to 16.0 added. Hugging Face tokenizers 0.23 know them, PCRE2 10.42 has the tables of Unicode 14.
  static constexpr std::string_view later_letters =
      R"(\x{1C89}\x{1C8A}\x{A7CB}-\x{A7CD}\x{A7DA}-\x{A7DC}\x{105C0}-\x{105F3}\x{10D4A}-\x{10D65}\x{10D6F}-\x{10D85}\x{10EC2}-\x{10EC4})"
      R"(\x{1123F}\x{11240}\x{11380}-\x{11389}\x{1138B}\x{1138E}\x{11390}-\x{113B5}\x{113B7}\x{113D1}\x{113D3}\x{11BC0}-\x{11BE0}\x{11F02})"
      R"(\x{11F04}-\x{11F10}\x{11F12}-\x{11F33}\x{1342F}\x{13441}-\x{13446}\x{13460}-\x{143FA}\x{16100}-\x{1611D}\x{16D40}-\x{16D6C})"
      R"(\x{18CFF}\x{1B132}\x{1B155}\x{1DF25}-\x{1DF2A}\x{1E030}-\x{1E06D}\x{1E4D0}-\x{1E4EB}\x{1E5D0}-\x{1E5ED}\x{1E5F0}\x{2B739})"
      R"(\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";
  static constexpr std::string_view later_numbers =
      R"(\x{10D40}-\x{10D49}\x{116D0}-\x{116E3}\x{11BF0}-\x{11BF9}\x{11F50}-\x{11F59}\x{16130}-\x{16139}\x{16D70}-\x{16D79})"
      R"(\x{1CCF0}-\x{1CCF9}\x{1D2C0}-\x{1D2D3}\x{1E4F0}-\x{1E4F9}\x{1E5F1}-\x{1E5FA})";

  PatternTranslator(std::string_view pattern, const std::string& place) : pattern_(pattern), place_(place) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape();
      } else if (in_class_) {
        if (c == '[' || rest().starts_with("&&")) refuse(rest().substr(0, 2));
        in_class_ = c != ']';
        copy(1);
      } else if (c == '[') {
        copy(rest().starts_with("[^") ? 2 : 1);
        if (rest().starts_with(']')) refuse("[]");
        in_class_ = true;
      } else if (c == '(') {
        group();
      } else if (c == '{') {
        counts();
      } else if (c == '^' || c == '$' || c == '.') {
        refuse(rest().substr(0, 1));
      } else {
        copy(1);
      }
    }
    return std::move(out_);
  }

  void escape() {
    const char c = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
    const bool is_alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (c == 's' && in_class_) {
      replace(2, spaces);
    } else if (c == 's') {
      replace(2, "[" + std::string(spaces) + "]");
    } else if (c == 'S' && !in_class_) {
      replace(2, "[^" + std::string(spaces) + "]");
    } else if (c == 'p' || c == 'P') {
      property();
    } else if (c > ' ' && c < 0x7F && (!is_alphanumeric || c == 'r' || c == 'n' || c == 't' || c == 'f' || c == 'd' || c == 'D')) {
      copy(2);
    } else {
      refuse(rest().substr(0, 2));
    }
  }

  void property() {  // a general category, such as \p{L} or \p{Lu}
    const std::size_t close = rest().find('}');
    if (close == std::string_view::npos) refuse(rest().substr(0, 2));
    const std::string_view name = rest().substr(0, close + 1), category = name.substr(2);
    const bool is_category = category.size() >= 3 && category.size() <= 4 && category[0] == '{' &&
                             std::string_view("CLMNPSZ").find(category[1]) != std::string_view::npos &&
                             (category.size() == 3 || (category[2] >= 'a' && category[2] <= 'z'));
    const std::string_view later = category == "{L}" ? later_letters : category == "{N}" ? later_numbers : "";
    if (!is_category || (in_class_ && name[1] == 'P' && !later.empty())) refuse(name);
    if (in_class_ || later.empty()) {
      replace(name.size(), std::string(name) + std::string(later));
    } else {
      replace(name.size(), (name[1] == 'P' ? "[^\\p" : "[\\p") + std::string(category) + std::string(later) + "]");
    }
  }

  void group() {
    if (!rest().starts_with("(?")) return copy(1);
    for (const std::string_view kind : {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"})
      if (rest().starts_with(kind)) return copy(kind.size());
    refuse(rest().substr(0, 3));
  }

  void counts() {  // {2}, {2,} or {2,4}; a plus behind it repeats in one syntax and is possessive in the other
    const std::size_t close = rest().find('}');
    const std::string_view count = rest().substr(0, close == std::string_view::npos ? close : close + 1);
    const std::size_t comma = count.find(',');
    const bool is_count = count.size() > 2 && count.back() == '}' && comma != 1 && (comma == count.npos || comma == count.rfind(',')) &&
                          count.substr(1, count.size() - 2).find_first_not_of("0123456789,") == count.npos;
    if (!is_count || rest().substr(count.size()).starts_with('+')) refuse(count);
    copy(count.size());
  }

  std::string_view rest() const { return pattern_.substr(at_); }
  void copy(std::size_t length) { replace(length, rest().substr(0, length)); }
  void replace(std::size_t length, std::string_view by) {
    out_ += by;
    at_ += length;
  }
  [[noreturn]] void refuse(std::string_view what) const {
    throw Error(place_ + ": weft does not read '" + std::string(what) + "' at byte " + std::to_string(at_) + " of the expression " +
                std::string(pattern_));
  }

  std::string_view pattern_;
  const std::string& place_;
  std::size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

// Letters and numbers are those of Unicode 16.0, as in Hugging Face tokenizers 0.23, or those of the PCRE2 that is linked if it knows more.
class Pretokenizer {
 public:
  // Expressions to be applied one after the other, each to the pieces of those before it. `place` says where they were read.
  Pretokenizer(const std::vector<std::string>& patterns, const std::string& place) : place_(place) {
    for (const std::string& pattern : patterns) expressions_.push_back(compile(pattern, place));
  }

  // Calls piece(std::string_view) for each piece of `text`, which must be valid UTF-8, from left to right. Together they are the text.
  template <class Piece> void split(std::string_view text, Piece&& piece) const { split(text, 0, piece); }

 private:
  struct Free {
    void operator()(pcre2_code_8* code) const { pcre2_code_free_8(code); }
    void operator()(pcre2_match_data_8* match) const { pcre2_match_data_free_8(match); }
  };
  using Expression = std::unique_ptr<pcre2_code_8, Free>;

  static std::string message(int error) {
    PCRE2_UCHAR8 text[256];
    pcre2_get_error_message_8(error, text, sizeof text);
    return reinterpret_cast<const char*>(text);
  }

  static Expression compile(const std::string& pattern, const std::string& place) {
    const std::string translated = PatternTranslator::translate(pattern, place);
    int error = 0;
    PCRE2_SIZE at = 0;
    Expression code(
        pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(translated.data()), translated.size(), PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr));
    if (!code) throw Error(place + ": not a regular expression: " + pattern + ": " + message(error));
    std::uint32_t matches_empty = 0;
    pcre2_pattern_info_8(code.get(), PCRE2_INFO_MATCHEMPTY, &matches_empty);
    if (matches_empty != 0) throw Error(place + ": an expression that matches the empty string cuts nothing: " + pattern);
    pcre2_jit_compile_8(code.get(), PCRE2_JIT_COMPLETE);  // where there is no JIT the interpreter does the same
    return code;
  }

  template <class Piece> void split(std::string_view text, std::size_t level, Piece&& piece) const {
    if (text.empty()) return;
    if (level == expressions_.size()) return piece(text);
    pcre2_code_8* code = expressions_[level].get();
    const std::unique_ptr<pcre2_match_data_8, Free> match(pcre2_match_data_create_8(1, nullptr));
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer_8(match.get());
    for (std::size_t at = 0; at < text.size();) {
      const auto find = [&](std::uint32_t options) {  // the caller has checked the UTF-8; PCRE2 would check all of it for every piece
        return pcre2_match_8(code, reinterpret_cast<PCRE2_SPTR8>(text.data()), text.size(), at, options | PCRE2_NO_UTF_CHECK, match.get(),
                             nullptr);
      };
      int found = find(0);
      if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = find(PCRE2_NO_JIT);
      if (found < 0 && found != PCRE2_ERROR_NOMATCH) throw Error(place_ + ": the expression gives up on the text: " + message(found));
      if (found == PCRE2_ERROR_NOMATCH) return split(text.substr(at), level + 1, piece);
      split(text.substr(at, bounds[0] - at), level + 1, piece);  // what no match covers is a piece too
      split(text.substr(bounds[0], bounds[1] - bounds[0]), level + 1, piece);
      at = bounds[1];
    }
  }

  std::vector<Expression> expressions_;
  std::string place_;
};

}  // namespace weft::text
