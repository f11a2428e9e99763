// measures: where a text is cut, how probable a model found what came, and how far two models are apart.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

// The tokens [begin, end) of the text, of which those from `first` on are scored.
struct Window {
  long begin, end, first;
};

// All windows of a text of `tokens`, such that every token is scored once, but for those that nothing precedes in their window.
// `has_start`: something goes before each window, so that there are none of these.
inline std::vector<Window> windows_of(long tokens, long window, long stride, bool has_start) {
  std::vector<Window> windows;
  for (long begin = 0, scored = 0; scored < tokens; begin += stride) {
    const long end = std::min(begin + window, tokens);
    windows.push_back({begin, end, std::max(scored, has_start ? begin : begin + 1)});
    scored = end;
  }
  return windows;
}

// log(sum(exp(logits))), not finite if a logit is not.
inline double log_sum_exp(std::span<const float> logits) {
  const float largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float x : logits) sum += static_cast<double>(std::exp(x - largest));
  return static_cast<double>(largest) + std::log(sum);
}

// Kullback-Leibler divergence of softmax(logits) from softmax(reference), in nats: sum(p log(p / q)), p of the reference. Each log_sum is
// the log_sum_exp of its logits. Rounding may leave a few 1e-8 of either sign where the two are equal.
inline double divergence_from(std::span<const float> reference, double reference_log_sum, std::span<const float> logits, double log_sum) {
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double log_p = static_cast<double>(reference[i]) - reference_log_sum, log_q = static_cast<double>(logits[i]) - log_sum;
    sum += static_cast<double>(std::exp(static_cast<float>(log_p))) * (log_p - log_q);
  }
  return sum;
}

struct Mean {
  double value = 0, error = 0;  // the standard error of the mean
};
inline Mean mean_of(std::span<const double> values) {
  const auto count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double x : values) sum += x;
  const double mean = sum / count;
  for (const double x : values) squares += (x - mean) * (x - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (count - 1) / count) : 0};
}

// The value that the fraction `q` of all is below, interpolated between neighbours; sorts the values.
inline double quantile(std::vector<double>& values, double q) {
  std::ranges::sort(values);
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place), above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}
