// generate: continues a text: the prompt goes through the model, then a token is chosen and appended, and so on until something ends it.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include "weft/generate/sampler.hpp"
#include "weft/generate/session.hpp"

namespace weft {

enum class FinishReason { stop, length, interrupted };  // an end token or a stop string; max_tokens or the context; the caller
constexpr const char* name_of(FinishReason r) {
  constexpr const char* names[] = {"stop", "length", "interrupted"};
  return names[static_cast<int>(r)];
}

struct GenerationLimits {
  long max_tokens = 0;
  std::span<const std::int32_t> end_tokens;  // any of these ends the text
};

struct GenerationResult {
  FinishReason finish_reason = FinishReason::length;
  std::optional<std::int32_t> end_token;  // the one that ended the text; on_token has not seen it
  long forwarded = 0;                     // tokens that went through the model, one by one
};

// What the caller answers to a token.
enum class Continue { yes, stop, interrupt };

// Appends `prompt` to the session and leaves the logits of its last token in `logits` [vocab]. `goes_on()` is asked between pieces of the
// prompt; once it says no, the rest is left out and the answer is false. Throws Error for an empty prompt, and as Session::forward does.
template <class GoesOn> bool prefill(Session& session, std::span<const std::int32_t> prompt, std::span<float> logits, GoesOn&& goes_on) {
  constexpr std::size_t piece = 512;
  if (prompt.empty()) throw Error("prompt: expected at least one token, found none");
  for (std::size_t begin = 0; begin < prompt.size(); begin += piece) {
    if (!goes_on()) return false;
    const auto count = std::min(piece, prompt.size() - begin);
    session.forward(prompt.subspan(begin, count), begin + count == prompt.size() ? logits : std::span<float>());
  }
  return true;
}

// Continues a text whose last logits are at hand: `sampler` chooses a token from `logits` [vocab], `on_token(id)` gets it and answers how
// to go on, and the token goes through the model. Allocates nothing. Throws Error as Session::forward and Sampler do.
template <class OnToken>
GenerationResult generate(Session& session, Sampler& sampler, std::span<float> logits, const GenerationLimits& limits, OnToken&& on_token) {
  GenerationResult result;
  for (long made = 0; made < limits.max_tokens; ++made) {
    const std::int32_t id = sampler(logits, session.position());
    if (std::find(limits.end_tokens.begin(), limits.end_tokens.end(), id) != limits.end_tokens.end()) {
      result.finish_reason = FinishReason::stop;
      result.end_token = id;
      break;
    }
    if (const Continue answer = on_token(id); answer != Continue::yes) {
      result.finish_reason = answer == Continue::stop ? FinishReason::stop : FinishReason::interrupted;
      break;
    }
    if (made + 1 == limits.max_tokens || session.position() == session.context()) break;
    session.forward(std::span(&id, 1), logits);
    ++result.forwarded;
  }
  return result;
}

}  // namespace weft
