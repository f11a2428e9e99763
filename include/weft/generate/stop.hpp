// stop: ends a streamed text at a stop string, wherever the pieces of the stream are cut.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>

namespace weft {

// Text that may become a stop string is held back until more text decides, so no part of a stop string is ever emitted. The text ends at
// the stop string that is complete first; of several that end together, before the longest. How the text is cut makes no difference.
class StopStrings {
 public:
  struct Result {
    std::string emit;
    bool stopped = false;
  };

  // Throws Error for an empty string: every text would stop at once.
  explicit StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
    for (const auto& string : strings_)
      if (string.empty()) throw Error("stop: expected a string of at least one character, found an empty one");
  }

  // The next piece of text. After a stop nothing more is emitted.
  Result push(std::string_view text) {
    if (stopped_) return {"", true};
    held_ += text;
    std::size_t begin = held_.size(), end = held_.npos;
    for (const auto& string : strings_) {
      const auto found = held_.find(string);
      if (found == held_.npos) continue;
      // the one that ends first; of those the one that begins first
      if (std::pair(found + string.size(), found) < std::pair(end, begin)) std::tie(begin, end) = std::pair(found, found + string.size());
    }
    stopped_ = end != held_.npos;
    if (!stopped_) begin = held_.size() - undecided();
    Result result{held_.substr(0, begin), stopped_};
    held_.erase(0, stopped_ ? held_.npos : begin);
    return result;
  }
  // The end of the text: what was held back is text after all.
  std::string finish() { return std::exchange(held_, {}); }
  bool stopped() const { return stopped_; }

 private:
  // how many bytes at the end of held_ are the beginning of a stop string
  std::size_t undecided() const {
    std::size_t longest = 0;
    for (const auto& string : strings_)
      for (std::size_t size = std::min(string.size() - 1, held_.size()); size > longest; --size)
        if (std::string_view(held_).substr(held_.size() - size) == std::string_view(string).substr(0, size)) longest = size;
    return longest;
  }

  std::vector<std::string> strings_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace weft
