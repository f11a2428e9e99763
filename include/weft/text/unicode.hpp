// unicode: UTF-8 one character at a time, and the canonical composition (NFC) that tokenizers apply to text.
#pragma once
#include <utf8proc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weft/core/error.hpp"

namespace weft::text {

// What stands at the start of a string: a character, or the longest prefix that could have begun one ("maximal subpart" in the Unicode
// Standard, section 3.9), which a decoder replaces by one U+FFFD.
struct Utf8Character {
  enum Kind : std::uint8_t { valid, invalid, unfinished };  // unfinished: more bytes could still make it valid
  char32_t code = 0xFFFD;
  std::size_t length = 1;
  Kind kind = invalid;
};

// The first character of `text`, which must not be empty.
constexpr Utf8Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1, Utf8Character::valid};
  if (lead < 0xC2 || lead > 0xF4) return {};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // the second byte excludes overlong forms, surrogates and what lies beyond U+10FFFF
  unsigned lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80, highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t code = lead & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i, lowest = 0x80, highest = 0xBF) {
    if (i == text.size()) return {0xFFFD, i, Utf8Character::unfinished};
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < lowest || byte > highest) return {0xFFFD, i, Utf8Character::invalid};
    code = code << 6 | (byte & 0x3Fu);
  }
  return {code, length, Utf8Character::valid};
}

// Where `text` stops being UTF-8, if it does.
constexpr std::optional<std::size_t> first_invalid_byte(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = first_character(text.substr(at));
    if (character.kind != Utf8Character::valid) return at;
    at += character.length;
  }
  return std::nullopt;
}

constexpr void append_utf8(std::string& out, char32_t code) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80u | (code >> shift & 0x3Fu)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += {static_cast<char>(0xC0u | code >> 6), tail(0)};
  } else if (code < 0x10000) {
    out += {static_cast<char>(0xE0u | code >> 12), tail(6), tail(0)};
  } else {
    out += {static_cast<char>(0xF0u | code >> 18), tail(12), tail(6), tail(0)};
  }
}

// The normalizer of Hugging Face tokenizers knows Unicode 9. Characters that came later and that a newer NFC would reorder or compose are
// left alone by it, and so they are here. First and last code point of each run; unassigned code points lie between some.
constexpr bool normalizes_since_unicode_10(char32_t code) {
  constexpr char32_t runs[][2] = {
      {0x05C8, 0x05C9},   {0x07FD, 0x07FD},   {0x0897, 0x089F},   {0x08CA, 0x08D3},   {0x09FE, 0x09FE},   {0x0C3C, 0x0C3C},
      {0x0D3B, 0x0D3C},   {0x0EBA, 0x0EBA},   {0x1715, 0x1715},   {0x1ABF, 0x1AF0},   {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},
      {0x105C9, 0x105C9}, {0x105D2, 0x105D2}, {0x105DA, 0x105DA}, {0x105E4, 0x105E4}, {0x10D24, 0x10D27}, {0x10D69, 0x10D6D},
      {0x10EAB, 0x10EAC}, {0x10ECB, 0x10ECF}, {0x10EF0, 0x10EFB}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85},
      {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x11382, 0x11385}, {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x11391},
      {0x113B8, 0x113B8}, {0x113BB, 0x113BB}, {0x113C2, 0x113C2}, {0x113C5, 0x113C5}, {0x113C7, 0x113C9}, {0x113CE, 0x113D0},
      {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11935, 0x11935}, {0x11938, 0x11938}, {0x1193D, 0x1193E},
      {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42},
      {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x1611E, 0x16129}, {0x1612F, 0x1612F}, {0x16D63, 0x16D63},
      {0x16D67, 0x16D6A}, {0x16FF0, 0x16FF1}, {0x1D127, 0x1D128}, {0x1D250, 0x1D252}, {0x1D25B, 0x1D25C}, {0x1D25F, 0x1D25F},
      {0x1D280, 0x1D281}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
      {0x1E5EE, 0x1E5EF}, {0x1E6E3, 0x1E6E3}, {0x1E6E6, 0x1E6E6}, {0x1E6EE, 0x1E6EF}, {0x1E6F5, 0x1E6F5}};
  const auto run = std::ranges::lower_bound(runs, code, {}, [](const auto& r) { return r[1]; });
  return run != std::end(runs) && (*run)[0] <= code;
}

namespace detail {

// Canonical decomposition, ordering and composition of code points, in place. utf8proc orders by swapping neighbours, which is quadratic in
// a run of marks; a stable sort of each run gives it text that is in order.
inline void compose(std::vector<utf8proc_int32_t>& codes, std::string& out) {
  const auto combining_class = [](utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; };
  const auto is_starter = [&](utf8proc_int32_t code) { return combining_class(code) == 0; };
  for (auto run = codes.begin(); run != codes.end();) {
    const auto mark = std::find_if_not(run, codes.end(), is_starter);
    run = std::find_if(mark, codes.end(), is_starter);
    std::stable_sort(mark, run, [&](auto a, auto b) { return combining_class(a) < combining_class(b); });
  }
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE);
  const utf8proc_ssize_t count = utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()), options);
  if (count < 0) throw Error(std::string("cannot normalize text: ") + utf8proc_errmsg(count));
  for (utf8proc_ssize_t i = 0; i < count; ++i) append_utf8(out, static_cast<char32_t>(codes[static_cast<std::size_t>(i)]));
  codes.clear();
}

}  // namespace detail

// Normalization form C of valid UTF-8, as Hugging Face tokenizers compute it.
inline std::string nfc(std::string_view text) {
  // below U+0300, whose first byte is 0xCC, there are neither marks nor anything that composes with what precedes it
  if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0xCC; })) return std::string(text);
  std::string out;
  out.reserve(text.size());
  std::vector<utf8proc_int32_t> codes;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = first_character(text.substr(at));
    if (character.kind != Utf8Character::valid) throw Error("cannot normalize text: no UTF-8 at byte " + std::to_string(at));
    at += character.length;
    // Starters that compose with nothing, so that the text before them is complete: to Unicode 9 the later ones, and always U+11A7, which
    // utf8proc 2.8 takes for the trailing consonant of a Hangul syllable and swallows.
    if (normalizes_since_unicode_10(character.code) || character.code == 0x11A7) {
      detail::compose(codes, out);
      append_utf8(out, character.code);
      continue;
    }
    constexpr utf8proc_ssize_t longest = 4;  // of a canonical decomposition
    utf8proc_int32_t parts[longest];
    int last_boundclass = 0;
    const auto options = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE);
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(character.code), parts, longest, options, &last_boundclass);
    if (count < 0 || count > longest) throw Error("cannot normalize text: no decomposition of the character at byte " + std::to_string(at));
    codes.insert(codes.end(), parts, parts + count);
  }
  detail::compose(codes, out);
  return out;
}

}  // namespace weft::text
