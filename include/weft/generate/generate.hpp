// generate: the loop that continues a text: prefill the prompt, then choose a token, append it, and so on until something ends it.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

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
  std::span<const std::int32_t> end_tokens;  // any of these ends the text; it is not part of it
};

struct GenerationResult {
  FinishReason finish_reason = FinishReason::length;
  long prefill_tokens = 0, decode_tokens = 0;  // decode: tokens that went through the model one by one
  double prefill_seconds = 0, decode_seconds = 0;
};

// What the caller answers to a token.
enum class Continue { yes, stop, interrupt };

// Continues the text of `session` by the prompt and then by what `sampler` chooses. `on_token(id)` gets every token but the one that ends the
// text. `logits` [vocab] is the caller's, so that nothing is allocated. `during_prefill` is asked between chunks of the prompt. `prompt` holds at
// least one token. Throws Error as Session::forward and Sampler do.
template <class OnToken, class DuringPrefill>
GenerationResult generate(Session& session, Sampler& sampler, std::span<const std::int32_t> prompt, const GenerationLimits& limits, std::span<float> logits,
                          OnToken&& on_token, DuringPrefill&& during_prefill) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); };
  constexpr std::size_t piece = 512;  // between two looks at the caller
  GenerationResult result;
  if (prompt.empty()) throw Error("prompt: expected at least one token");
  for (const auto id : prompt) sampler.seen(id);

  auto start = Clock::now();
  for (std::size_t begin = 0; begin < prompt.size(); begin += piece) {
    if (!during_prefill()) {
      result.finish_reason = FinishReason::interrupted;
      result.prefill_seconds = seconds_since(start);
      return result;
    }
    const auto count = std::min(piece, prompt.size() - begin);
    const bool is_last = begin + count == prompt.size();
    session.forward(prompt.subspan(begin, count), is_last ? logits : std::span<float>());
    result.prefill_tokens += static_cast<long>(count);
  }
  result.prefill_seconds = seconds_since(start);

  start = Clock::now();
  for (long made = 0; made < limits.max_tokens; ++made) {
    const std::int32_t id = sampler(logits, session.position());
    if (std::find(limits.end_tokens.begin(), limits.end_tokens.end(), id) != limits.end_tokens.end()) {
      result.finish_reason = FinishReason::stop;
      break;
    }
    if (const Continue answer = on_token(id); answer != Continue::yes) {
      result.finish_reason = answer == Continue::stop ? FinishReason::stop : FinishReason::interrupted;
      break;
    }
    if (made + 1 == limits.max_tokens || session.position() == session.context()) break;
    session.forward(std::span(&id, 1), logits);
    ++result.decode_tokens;
  }
  result.decode_seconds = seconds_since(start);
  return result;
}

}  // namespace weft
