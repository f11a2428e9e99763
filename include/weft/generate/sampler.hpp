// sampler: from the logits of one position to the next token, in the order of transformers: repetition penalty, temperature, top-k, top-p,
// min-p, draw. A token costs no heap allocation and never a sort of the vocabulary.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <weft/generate/settings.hpp>

namespace weft {

class Sampler {
 public:
  struct Candidate {
    std::int32_t id;
    float logit;    // after the repetition penalty
    double weight;  // in proportion to its probability; 1 for the most probable token
  };

  // Allocates what all later calls need. Throws Error for settings out of range.
  Sampler(const SamplingSettings& settings, std::size_t vocab_size) : settings_(settings), vocab_size_(vocab_size), random_(settings.seed) {
    validate(settings);
    if (vocab_size == 0) throw Error("sampler: expected a vocabulary of at least one token");
    if (settings.temperature > 0) candidates_.resize(vocab_size);
    if (settings.temperature > 0 && drops_by_rank()) ranked_.resize(vocab_size);
    if (settings.repetition_penalty != 1) {
      is_seen_.resize(vocab_size);
      seen_.reserve(vocab_size);
    }
  }

  // Marks a token of the prompt for the repetition penalty; tokens that the sampler returns mark themselves. Once or often is the same.
  void seen(std::int32_t id) {
    if (id < 0 || static_cast<std::size_t>(id) >= vocab_size_)
      throw Error("token id: expected one from 0 to " + std::to_string(vocab_size_ - 1) + ", found " + std::to_string(id));
    if (is_seen_.empty() || is_seen_[static_cast<std::size_t>(id)]) return;
    is_seen_[static_cast<std::size_t>(id)] = true;
    seen_.push_back(id);
  }

  // The next token. `logits` [vocabulary] are changed by the repetition penalty; -infinity forbids a token. Of equals greedy takes the
  // lowest id.
  // Throws Error naming `position` (the caller's number of this token in the text) and the token when a logit is NaN or +infinity, or when
  // every token is forbidden.
  std::int32_t operator()(std::span<float> logits, long position) {
    std::int32_t id;
    if (settings_.temperature == 0) {
      penalize(logits, position);
      id = most_probable(logits, position);
    } else {
      id = draw(candidates(logits, position));
    }
    seen(id);
    return id;
  }

  // The tokens that may be drawn, in the order of ids, valid until the next call. For settings with a temperature above 0.
  // Of tokens with the same logit at the border of top-p, those with lower ids stay.
  std::span<const Candidate> candidates(std::span<float> logits, long position) {
    if (settings_.temperature == 0) throw Error("sampler: a greedy sampler (temperature 0) has no candidates");
    penalize(logits, position);
    const float largest = logits[static_cast<std::size_t>(most_probable(logits, position))];
    const float least = drops_by_rank() ? kth_largest(logits) : -std::numeric_limits<float>::infinity();
    const double temperature = settings_.temperature;
    std::size_t count = 0;
    double total = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (logits[i] < least || logits[i] == -std::numeric_limits<float>::infinity()) continue;
      // relative to the largest, so that neither a huge logit nor a tiny temperature overflows
      const double weight = std::exp((static_cast<double>(logits[i]) - static_cast<double>(largest)) / temperature);
      candidates_[count++] = {static_cast<std::int32_t>(i), logits[i], weight};
      total += weight;
    }
    std::span kept(candidates_.data(), count);
    if (settings_.top_p < 1) kept = nucleus(kept, total);
    return drop(kept, settings_.min_p);
  }

 private:
  bool drops_by_rank() const { return settings_.top_k > 0 && static_cast<std::size_t>(settings_.top_k) < vocab_size_; }

  void penalize(std::span<float> logits, long position) const {
    if (logits.size() != vocab_size_)
      throw Error("logits at position " + std::to_string(position) + ": expected one for each of " + std::to_string(vocab_size_) +
                  " tokens, found " + std::to_string(logits.size()));
    for (const auto id : seen_) {
      float& logit = logits[static_cast<std::size_t>(id)];
      logit = logit < 0 ? logit * settings_.repetition_penalty : logit / settings_.repetition_penalty;
    }
  }

  // The first of the largest logits, once it is certain that all of them can be compared. By their bits, since -ffast-math would remove a
  // test for NaN.
  std::int32_t most_probable(std::span<const float> logits, long position) const {
    constexpr std::uint32_t infinity = 0x7f800000u, all_but_sign = 0x7fffffffu;
    bool wrong = false;
    for (const float logit : logits) {
      const auto bits = std::bit_cast<std::uint32_t>(logit);
      wrong |= bits == infinity || (bits & all_but_sign) > infinity;
    }
    if (wrong) {
      const auto first = std::find_if(logits.begin(), logits.end(), [&](float logit) {
        const auto bits = std::bit_cast<std::uint32_t>(logit);
        return bits == infinity || (bits & all_but_sign) > infinity;
      });
      throw Error("logits at position " + std::to_string(position) + ": expected finite numbers, found " +
                  (std::bit_cast<std::uint32_t>(*first) == infinity ? "infinity" : "NaN") + " for token " +
                  std::to_string(first - logits.begin()));
    }
    const auto largest = std::max_element(logits.begin(), logits.end());
    if (std::bit_cast<std::uint32_t>(*largest) == (infinity | ~all_but_sign))
      throw Error("logits at position " + std::to_string(position) + ": all are -infinity, so no token may follow");
    return static_cast<std::int32_t>(largest - logits.begin());
  }

  float kth_largest(std::span<const float> logits) {
    constexpr std::ptrdiff_t few = 1024;  // up to here a heap of the k largest so far, which nearly every logit meets with one comparison
    const std::ptrdiff_t k = settings_.top_k;
    const auto kth = ranked_.begin() + k - 1;
    if (k <= few) {
      std::partial_sort_copy(logits.begin(), logits.end(), ranked_.begin(), ranked_.begin() + k, std::greater<>());
    } else {
      std::copy(logits.begin(), logits.end(), ranked_.begin());
      std::nth_element(ranked_.begin(), kth, ranked_.end(), std::greater<>());
    }
    return *kth;
  }

  static std::span<Candidate> drop(std::span<Candidate> all, double lighter_than) {
    return {all.begin(), std::remove_if(all.begin(), all.end(), [=](const Candidate& c) { return c.weight < lighter_than; })};
  }

  // The most probable tokens until their weight reaches p of the total, found by halving the range that holds the last of them.
  std::span<Candidate> nucleus(std::span<Candidate> all, double total) const {
    const auto more_probable = [](const Candidate& a, const Candidate& b) {
      return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
    };
    const double p = settings_.top_p, reached_at = p * total;
    // most of a vocabulary is so improbable that all such tokens together cannot weigh 1 - p; the largest weight, 1, always stays
    const double negligible = std::min((1 - p) * total / static_cast<double>(all.size()), 1.0);
    all = drop(all, negligible);
    auto first = all.begin(), last = all.end();
    double before = 0;  // the weight of all before `first`; it does not reach p
    while (last - first > 1) {
      const auto middle = first + (last - first) / 2;
      std::nth_element(first, middle, last, more_probable);
      double half = 0;
      for (auto c = first; c != middle; ++c) half += c->weight;
      if (before + half >= reached_at) {
        last = middle;
      } else {
        before += half;
        first = middle;
      }
    }
    // back to the order of ids: the selection leaves an order that differs between standard libraries, and with it the token that is drawn
    std::sort(all.begin(), last, [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
    return {all.begin(), last};
  }

  std::int32_t draw(std::span<const Candidate> kept) {
    double total = 0;
    for (const auto& candidate : kept) total += candidate.weight;
    // 53 random bits make a number of [0, 1) on every platform; the standard's distributions differ between libraries
    double rest = static_cast<double>(random_() >> 11) * 0x1p-53 * total;
    std::int32_t id = kept.front().id;
    for (const auto& candidate : kept) {
      if (candidate.weight == 0) continue;  // so improbable that its weight vanished
      id = candidate.id;                    // also the answer if rounding lets the walk end late
      if (rest < candidate.weight) break;
      rest -= candidate.weight;
    }
    return id;
  }

  SamplingSettings settings_;
  std::size_t vocab_size_;
  std::mt19937_64 random_;
  std::vector<Candidate> candidates_;
  std::vector<float> ranked_;  // the logits again, for selecting by rank
  std::vector<bool> is_seen_;
  std::vector<std::int32_t> seen_;
};

}  // namespace weft
