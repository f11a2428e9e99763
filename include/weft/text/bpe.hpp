// bpe: byte-level byte-pair encoding. The bytes of a piece are joined pair by pair, the pair that training joined first before the others.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/text/unicode.hpp"

namespace weft::text {

// The printable character by which vocabularies write each byte (GPT-2's bytes_to_unicode): printable Latin-1 stands for itself, the other
// 68 bytes for U+0100, U+0101 ... in order.
inline constexpr std::array<char32_t, 256> printable_of_byte = [] {
  std::array<char32_t, 256> table{};
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool is_printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    table[byte] = is_printable ? byte : next++;
  }
  return table;
}();

inline std::string to_printable(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(text, printable_of_byte[static_cast<unsigned char>(byte)]);
  return text;
}

// The bytes that `text` stands for, unless a character of it stands for none.
inline std::optional<std::string> from_printable(std::string_view text) {
  constexpr auto byte_of = [] {
    std::array<std::int16_t, 0x144> table{};
    table.fill(-1);
    for (std::size_t byte = 0; byte < 256; ++byte) table[printable_of_byte[byte]] = static_cast<std::int16_t>(byte);
    return table;
  }();
  std::string bytes;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Character character = first_character(text.substr(at));
    if (character.code >= byte_of.size() || byte_of[character.code] < 0) return std::nullopt;
    bytes += static_cast<char>(byte_of[character.code]);
    at += character.length;
  }
  return bytes;
}

// Which pairs of tokens merge, into what, and how early. Open addressing, because every byte of a text asks.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank;
    std::int32_t token;
  };

  // between a third and two thirds of the slots are taken
  explicit MergeTable(std::size_t count) : slots_(std::bit_ceil(count + count / 2 + 2)), shift_(64 - std::countr_zero(slots_.size())) {}

  // False if the pair has a merge already.
  bool insert(std::int32_t left, std::int32_t right, Merge merge) {
    Slot& slot = slots_[find_slot(left, right)];
    if (slot.left >= 0) return false;
    slot = {left, right, merge};
    return true;
  }
  const Merge* find(std::int32_t left, std::int32_t right) const {
    const Slot& slot = slots_[find_slot(left, right)];
    return slot.left < 0 ? nullptr : &slot.merge;
  }

 private:
  struct Slot {
    std::int32_t left = -1, right = -1;
    Merge merge{};
  };

  std::size_t find_slot(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
    auto at = static_cast<std::size_t>(key * 0x9E3779B97F4A7C15u >> shift_);  // the upper bits depend on all of the key
    while (slots_[at].left >= 0 && (slots_[at].left != left || slots_[at].right != right)) at = (at + 1) & (slots_.size() - 1);
    return at;
  }

  std::vector<Slot> slots_;
  int shift_;
};

// The merges of a vocabulary at work. `piece` costs O(n log n) for n bytes.
class BytePairEncoder {
 public:
  // The token of each byte, -1 for bytes that are left out, and the table of merges.
  BytePairEncoder(const std::array<std::int32_t, 256>& byte_tokens, MergeTable merges)
      : byte_tokens_(byte_tokens), merges_(std::move(merges)) {}

  // Room that one call after the other uses.
  struct Scratch {
    struct Symbol {
      std::int32_t token, previous, next;  // a list in text order; token is -1 once the symbol has joined its left neighbour
    };
    struct Candidate {
      std::uint32_t rank;
      std::int32_t at;
      bool operator>(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> candidates;  // a heap, the smallest rank and then the leftmost on top
  };

  // Appends the tokens of `piece`, which has less than 2^31 bytes.
  void encode(std::string_view piece, Scratch& scratch, std::vector<std::int32_t>& tokens) const {
    auto& symbols = scratch.symbols;
    auto& candidates = scratch.candidates;
    const auto merge_at = [&](std::int32_t at) {
      const auto& symbol = symbols[static_cast<std::size_t>(at)];
      return symbol.next < 0 ? nullptr : merges_.find(symbol.token, symbols[static_cast<std::size_t>(symbol.next)].token);
    };
    const auto propose = [&](std::int32_t at) {
      if (const auto* merge = merge_at(at)) {
        candidates.push_back({merge->rank, at});
        std::ranges::push_heap(candidates, std::greater{});
      }
    };

    symbols.clear();
    candidates.clear();
    std::int32_t count = 0;
    for (const char byte : piece) {
      const std::int32_t token = byte_tokens_[static_cast<unsigned char>(byte)];
      if (token < 0) continue;
      symbols.push_back({token, count - 1, count + 1});
      ++count;
    }
    if (count > 0) symbols.back().next = -1;
    for (std::int32_t i = 0; i < count; ++i) propose(i);
    while (!candidates.empty()) {
      const auto [rank, at] = candidates.front();
      std::ranges::pop_heap(candidates, std::greater{});
      candidates.pop_back();
      auto& symbol = symbols[static_cast<std::size_t>(at)];
      const auto* merge = symbol.token < 0 ? nullptr : merge_at(at);
      if (merge == nullptr || merge->rank != rank) continue;  // the pair of that time is gone
      auto& absorbed = symbols[static_cast<std::size_t>(symbol.next)];
      symbol.token = merge->token;
      symbol.next = absorbed.next;
      absorbed.token = -1;
      if (symbol.next >= 0) symbols[static_cast<std::size_t>(symbol.next)].previous = at;
      if (symbol.previous >= 0) propose(symbol.previous);
      propose(at);
    }
    for (const auto& symbol : symbols)
      if (symbol.token >= 0) tokens.push_back(symbol.token);
  }

 private:
  std::array<std::int32_t, 256> byte_tokens_;
  MergeTable merges_;
};

}  // namespace weft::text
