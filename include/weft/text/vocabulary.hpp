// vocabulary: the regular tokens of a model by their text.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::text {

// Tokens and their ids, in the order of the file. A flat table of hashes finds them: the merges alone ask for half a million.
class Vocabulary {
 public:
  using Entry = std::pair<std::string, std::int32_t>;

  // False if the token is there already.
  bool insert(std::string token, std::int32_t id) {
    if (3 * (entries_.size() + 1) > 2 * slots_.size()) grow();
    const std::uint64_t hash = hash_of(token);
    Slot& slot = slots_[find_slot(token, hash)];
    if (slot.entry != nowhere) return false;
    slot = {static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(entries_.size())};
    entries_.emplace_back(std::move(token), id);
    return true;
  }
  std::optional<std::int32_t> find(std::string_view token) const {
    const Slot& slot = slots_[find_slot(token, hash_of(token))];
    return slot.entry == nowhere ? std::nullopt : std::optional(entries_[slot.entry].second);
  }
  std::size_t size() const { return entries_.size(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

 private:
  static constexpr std::uint32_t nowhere = 0xFFFFFFFF;
  struct Slot {
    std::uint32_t hash = 0, entry = nowhere;
  };

  static std::uint64_t hash_of(std::string_view token) { return std::hash<std::string_view>()(token); }
  std::size_t find_slot(std::string_view token, std::uint64_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      const Slot& slot = slots_[at];
      if (slot.entry == nowhere || (slot.hash == static_cast<std::uint32_t>(hash) && entries_[slot.entry].first == token)) return at;
    }
  }
  void grow() {
    std::vector<Slot> slots(2 * slots_.size());
    slots_.swap(slots);
    for (std::uint32_t i = 0; i < entries_.size(); ++i) {
      const std::uint64_t hash = hash_of(entries_[i].first);
      slots_[find_slot(entries_[i].first, hash)] = {static_cast<std::uint32_t>(hash), i};
    }
  }

  std::vector<Entry> entries_;
  std::vector<Slot> slots_ = std::vector<Slot>(1024);
};

}  // namespace weft::text
