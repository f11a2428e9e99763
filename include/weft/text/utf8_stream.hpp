// utf8_stream: text from bytes that arrive in pieces, as the tokens of a model do. No half character ever leaves it.
#pragma once
#include <string>
#include <string_view>

#include "weft/text/unicode.hpp"

namespace weft::text {

// Joins bytes to characters. Each longest prefix of a character that never becomes one turns into U+FFFD, so the output is always UTF-8 and
// does not depend on how the bytes were cut.
class Utf8Stream {
 public:
  // The text that is complete after `bytes`; the start of an unfinished character waits for the next call.
  std::string push(std::string_view bytes) {
    pending_ += bytes;
    std::string text;
    std::size_t at = 0;
    while (at < pending_.size()) {
      const Utf8Character character = first_character(std::string_view(pending_).substr(at));
      if (character.kind == Utf8Character::unfinished) break;
      append_utf8(text, character.code);
      at += character.length;
    }
    pending_.erase(0, at);
    return text;
  }

  // What the end of the input leaves: U+FFFD if a character was cut off, else nothing. The stream can be used again.
  std::string finish() {
    std::string text;
    if (!pending_.empty()) append_utf8(text, 0xFFFD);
    pending_.clear();
    return text;
  }

 private:
  std::string pending_;
};

}  // namespace weft::text
