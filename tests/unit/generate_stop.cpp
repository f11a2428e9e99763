// Stop strings end a text at the same place however it is cut, and no part of them is ever emitted.
#include <doctest/doctest.h>

#include <random>

#include <weft/generate/stop.hpp>

using weft::StopStrings;

namespace {

struct Outcome {
  std::string text;
  bool stopped;
  bool operator==(const Outcome&) const = default;
};
Outcome feed(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopStrings stop(stops);
  Outcome outcome{"", false};
  for (const auto& piece : pieces) {
    const auto result = stop.push(piece);
    outcome.text += result.emit;
    outcome.stopped = result.stopped;
  }
  outcome.text += stop.finish();
  return outcome;
}
// byte by byte: at the first byte that completes a stop string, cut before the longest one
Outcome reference(const std::vector<std::string>& stops, const std::string& text) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const auto& stop : stops)
      if (std::string_view(text).substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    if (longest) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

}  // namespace

TEST_CASE("without stop strings text passes at once") {
  StopStrings stop({});
  CHECK(stop.push("hello").emit == "hello");
  CHECK(stop.push("").emit == "");
  CHECK_FALSE(stop.push(" world").stopped);
  CHECK(stop.finish() == "");
}

TEST_CASE("a stop string across pieces is cut off, and nothing follows it") {
  StopStrings stop({"\nUser:"});
  CHECK(stop.push("Hello.").emit == "Hello.");
  CHECK(stop.push("\nUs").emit == "");
  const auto result = stop.push("er: more");
  CHECK(result.emit == "");
  CHECK(result.stopped);
  CHECK(stop.stopped());
  CHECK(stop.push("even more").emit == "");
  CHECK(stop.push("even more").stopped);
  CHECK(stop.finish() == "");
}

TEST_CASE("text that only began like a stop string is emitted as soon as that is certain, or at the end") {
  StopStrings stop({"<end>"});
  CHECK(stop.push("a<en").emit == "a");
  CHECK(stop.push("e").emit == "<ene");
  CHECK(stop.push("<<").emit == "<");
  CHECK(stop.push("end").emit == "");
  CHECK(stop.finish() == "<end");
  CHECK(stop.finish() == "");
}

TEST_CASE("only what may still become a stop string is held back") {
  StopStrings stop({"abab", "b!"});
  CHECK(stop.push("xaba").emit == "x");
  CHECK(stop.push("c").emit == "abac");
  CHECK(stop.push("abaab").emit == "aba");
  const auto result = stop.push("!");
  CHECK(result.emit == "a");
  CHECK(result.stopped);
}

TEST_CASE("several stop strings: the first that is complete, of those that end together the longest") {
  CHECK(feed({"bcd", "abcde"}, {"xabcde"}) == Outcome{"xa", true});
  CHECK(feed({"c", "abc"}, {"xabc"}) == Outcome{"x", true});
  CHECK(feed({"abc", "c"}, {"xab", "c"}) == Outcome{"x", true});
  CHECK(feed({"world", "hello"}, {"say hello world"}) == Outcome{"say ", true});
  CHECK(feed({"x"}, {"x"}) == Outcome{"", true});
}

TEST_CASE("characters of several bytes are never cut") {
  StopStrings stop({"\xe2\x82\xac"});              // the euro sign
  const auto other = stop.push("5 \xe2\x82\xa4");  // the lira sign begins with the same two bytes
  CHECK(other.emit == "5 \xe2\x82\xa4");
  CHECK(stop.push("6 \xe2\x82\xac").emit == "6 ");
}

TEST_CASE("an empty stop string is refused") {
  std::string message;
  try {
    StopStrings stop({"fine", ""});
  } catch (const weft::Error& error) {
    message = error.what();
  }
  CHECK(message.starts_with("stop: "));
}

TEST_CASE("random texts and stop strings over a small alphabet, cut at random, end where the byte-by-byte definition says") {
  std::mt19937 random(1);
  const auto text_of = [&](std::size_t length) {
    std::string text;
    while (text.size() < length) text += static_cast<char>('a' + random() % 3);
    return text;
  };
  int stopped = 0;
  for (int round = 0; round < 5000; ++round) {
    std::vector<std::string> stops, pieces;
    for (auto count = random() % 4; count > 0; --count) stops.push_back(text_of(1 + random() % 6));
    const auto text = text_of(random() % 30);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = random() % 5;
      pieces.push_back(text.substr(at, size));
      at += size;
    }
    const auto expected = reference(stops, text);
    CAPTURE(text);
    CHECK(feed(stops, pieces) == expected);
    stopped += expected.stopped;
  }
  CHECK(stopped > 1000);
  CHECK(stopped < 4900);
}
