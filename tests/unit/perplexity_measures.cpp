// What examples/perplexity computes from logits, against the definitions; and how it cuts a text.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <vector>

#include "../../examples/perplexity/measures.hpp"

namespace {

std::vector<float> random_logits(std::mt19937& random, std::size_t count, float scale) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> logits(count);
  for (float& x : logits) x = normal(random);
  return logits;
}

}  // namespace

TEST_CASE("windows score every token once, with as much before it as there is") {
  for (const bool has_start : {false, true})
    for (const long tokens : {1, 2, 5, 12, 13, 40})
      for (const long window : {2, 3, 8, 64})
        for (long stride = 1; stride <= window; ++stride) {
          CAPTURE(has_start);
          CAPTURE(tokens);
          CAPTURE(window);
          CAPTURE(stride);
          std::vector<int> scored(static_cast<std::size_t>(tokens));
          long next = 0;
          for (const auto& [begin, end, first] : windows_of(tokens, window, stride, has_start)) {
            CHECK(begin == next);
            CHECK(end == std::min(begin + window, tokens));
            next = begin + stride;
            for (long t = first; t < end; ++t) {
              ++scored[static_cast<std::size_t>(t)];
              CHECK((has_start || t > begin));
              if (begin > 0) CHECK(t - begin >= window - stride);
            }
          }
          for (long t = 0; t < tokens; ++t) {
            const bool has_nothing_before = !has_start && (t == 0 || (stride == window && t % stride == 0));
            CHECK(scored[static_cast<std::size_t>(t)] == (has_nothing_before ? 0 : 1));
          }
        }
}

TEST_CASE("log_sum_exp") {
  CHECK(log_sum_exp(std::vector<float>{0, 0, 0, 0}) == doctest::Approx(std::log(4.0)));
  CHECK(log_sum_exp(std::vector<float>{1000, 1000}) == doctest::Approx(1000 + std::log(2.0)));
  CHECK(log_sum_exp(std::vector<float>{-1000, -1000}) == doctest::Approx(-1000 + std::log(2.0)));
  std::mt19937 random(1);
  const auto logits = random_logits(random, 5000, 8);
  long double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<long double>(x));
  CHECK(std::abs(log_sum_exp(logits) - static_cast<double>(std::log(sum))) < 1e-7);
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_FALSE(std::isfinite(log_sum_exp(std::vector<float>{1, infinity})));
  CHECK_FALSE(std::isfinite(log_sum_exp(std::vector<float>{1, nan, 2})));
}

TEST_CASE("divergence") {
  std::mt19937 random(2);
  for (const float noise : {0.0F, 0.01F, 1.0F}) {
    const auto reference = random_logits(random, 3000, 5), change = random_logits(random, 3000, noise);
    std::vector<float> logits(reference);
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] += change[i] + 3;  // a shift of all changes nothing
    long double z_p = 0, z_q = 0, expected = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      z_p += std::exp(static_cast<long double>(reference[i]));
      z_q += std::exp(static_cast<long double>(logits[i]));
    }
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const long double p = std::exp(static_cast<long double>(reference[i])) / z_p, q = std::exp(static_cast<long double>(logits[i])) / z_q;
      expected += p * std::log(p / q);
    }
    const double found = divergence_from(reference, log_sum_exp(reference), logits, log_sum_exp(logits));
    CHECK(std::abs(found - static_cast<double>(expected)) <= 1e-7 + 1e-6 * static_cast<double>(expected));
  }
  CHECK(divergence_from(std::vector<float>{0, 0}, std::log(2.0), std::vector<float>{0, std::log(3.0F)}, std::log(4.0)) ==
        doctest::Approx(0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3)));
}

TEST_CASE("means and quantiles") {
  std::vector<double> values = {4, 1, 3, 2};
  CHECK(mean_of(values).value == 2.5);
  CHECK(mean_of(values).error == doctest::Approx(std::sqrt(5.0 / 3 / 4)));
  CHECK(quantile(values, 0.5) == 2.5);
  CHECK(quantile(values, 0) == 1);
  CHECK(quantile(values, 1) == 4);
  CHECK(quantile(values, 0.99) == doctest::Approx(3.97));
  std::vector<double> one = {7};
  CHECK(mean_of(one).error == 0);
  CHECK(quantile(one, 0.99) == 7);
}
