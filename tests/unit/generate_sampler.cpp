// The sampler against a literal transcription of transformers' definitions, and its draws against the distribution they define.
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <new>
#include <numeric>
#include <set>

#include <weft/generate/sampler.hpp>

using namespace weft;

namespace {

long allocations = 0;

std::string error_of(auto&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}
bool contains(const std::string& text, std::initializer_list<const char*> parts) {
  return std::all_of(parts.begin(), parts.end(), [&](const char* part) { return text.find(part) != text.npos; });
}

std::vector<double> softmax(const std::vector<double>& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> result;
  for (const double logit : logits) result.push_back(std::exp(logit - largest));
  const double total = std::accumulate(result.begin(), result.end(), 0.0);
  for (double& value : result) value /= total;
  return result;
}

// the probabilities of transformers' chain of processors, one whole sort each, in double precision
std::vector<double> reference(std::span<const float> values, const SamplingSettings& settings, const std::set<std::int32_t>& seen) {
  constexpr double forbidden = -std::numeric_limits<double>::infinity();
  std::vector<double> logits(values.begin(), values.end());
  const double penalty = settings.repetition_penalty;
  for (const auto id : seen) logits[id] = logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty;
  for (double& logit : logits) logit /= settings.temperature;
  if (settings.top_k > 0) {
    auto sorted = logits;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    const double kth = sorted[std::min<std::size_t>(settings.top_k, sorted.size()) - 1];
    for (double& logit : logits)
      if (logit < kth) logit = forbidden;
  }
  if (settings.top_p < 1) {
    const auto probability = softmax(logits);
    std::vector<std::size_t> ascending(logits.size());
    std::iota(ascending.begin(), ascending.end(), 0);
    // of equals the higher ids come first here, so the lower ones stay
    std::sort(ascending.begin(), ascending.end(), [&](auto a, auto b) { return std::pair(logits[a], b) < std::pair(logits[b], a); });
    double sum = 0;
    for (std::size_t i = 0; i + 1 < ascending.size(); ++i) {  // the last one, the most probable, always stays
      sum += probability[ascending[i]];
      if (sum <= 1 - double(settings.top_p)) logits[ascending[i]] = forbidden;
    }
  }
  const auto probability = softmax(logits);
  const double largest = *std::max_element(probability.begin(), probability.end());
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (probability[i] < double(settings.min_p) * largest) logits[i] = forbidden;
  return softmax(logits);
}

std::vector<float> random_logits(std::mt19937_64& random, std::size_t count, float spread) {
  std::vector<float> logits(count);
  for (float& logit : logits) logit = (static_cast<float>(random() >> 40) * 0x1p-24f - 0.5f) * spread;
  return logits;
}

// the distribution that the sampler would draw from
std::vector<double> distribution(Sampler& sampler, std::vector<float> logits) {
  std::vector<double> result(logits.size());
  double total = 0;
  for (const auto& candidate : sampler.candidates(logits, 0)) total += result[candidate.id] = candidate.weight;
  for (double& value : result) value /= total;
  return result;
}
std::vector<std::int32_t> kept(const SamplingSettings& settings, std::vector<float> logits) {
  Sampler sampler(settings, logits.size());
  std::vector<std::int32_t> ids;
  for (const auto& candidate : sampler.candidates(logits, 0)) ids.push_back(candidate.id);
  return ids;
}
using Ids = std::vector<std::int32_t>;

}  // namespace

// every allocation of this program is counted; not inlined, lest the compiler take malloc and free for the wrong pair
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size ? size : 1)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE("the distribution is the one of transformers' processors in their order") {
  std::mt19937_64 random(1);
  const auto choose = [&](std::initializer_list<float> values) { return values.begin()[random() % values.size()]; };
  for (int round = 0; round < 3000; ++round) {
    const std::size_t vocab = 1 + random() % 50;
    const SamplingSettings settings{.temperature = choose({0.3f, 0.7f, 1.f, 2.f}),
                                    .top_k = static_cast<int>(choose({0, 1, 2, 5, 20, 100})),
                                    .top_p = choose({0.f, 0.1f, 0.5f, 0.8f, 0.95f, 1.f}),
                                    .min_p = choose({0.f, 0.02f, 0.3f, 1.f}),
                                    .repetition_penalty = choose({1.f, 1.1f, 0.8f, 3.f})};
    const auto logits = random_logits(random, vocab, 12);
    Sampler sampler(settings, vocab);
    std::set<std::int32_t> seen;
    for (std::size_t i = random() % 10; i > 0; --i) {
      const auto id = static_cast<std::int32_t>(random() % vocab);
      seen.insert(id);
      sampler.seen(id);
    }
    const auto expected = reference(logits, settings, seen), found = distribution(sampler, logits);
    double difference = 0;
    bool same_support = true;
    for (std::size_t i = 0; i < vocab; ++i) {
      difference = std::max(difference, std::abs(expected[i] - found[i]));
      same_support &= (expected[i] > 0) == (found[i] > 0);
    }
    CAPTURE(round);
    CHECK(same_support);
    CHECK(difference < 1e-6);  // the penalty is applied in single precision
  }
}

TEST_CASE("large vocabularies, for few and many of top-k and for top-p") {
  std::mt19937_64 random(2);
  const std::size_t vocab = 20'000;
  const auto logits = random_logits(random, vocab, 30);
  for (const SamplingSettings settings :
       {SamplingSettings{.top_k = 20, .top_p = 0.8f}, SamplingSettings{.top_k = 1024}, SamplingSettings{.top_k = 1025},
        SamplingSettings{.top_k = 15'000}, SamplingSettings{.top_p = 0.9f}, SamplingSettings{.temperature = 5, .top_p = 0.99f},
        SamplingSettings{.min_p = 0.1f}, SamplingSettings{}}) {
    CAPTURE(settings.top_k);
    CAPTURE(settings.top_p);
    Sampler sampler(settings, vocab);
    const auto expected = reference(logits, settings, {}), found = distribution(sampler, logits);
    long differences = 0;
    for (std::size_t i = 0; i < vocab; ++i) differences += std::abs(expected[i] - found[i]) > 1e-9 || (expected[i] > 0) != (found[i] > 0);
    CHECK(differences == 0);
  }
}

TEST_CASE("draws follow the distribution") {
  std::mt19937_64 random(3);
  const std::size_t vocab = 30;
  const int draws = 20'000;
  const auto logits = random_logits(random, vocab, 6);
  for (const SamplingSettings settings :
       {SamplingSettings{.seed = 1}, SamplingSettings{.temperature = 0.5f, .seed = 2},
        SamplingSettings{.temperature = 2, .top_k = 7, .seed = 3}, SamplingSettings{.top_p = 0.7f, .seed = 4},
        SamplingSettings{.min_p = 0.1f, .seed = 5}, SamplingSettings{.temperature = 0.7f, .top_k = 20, .top_p = 0.8f, .seed = 6}}) {
    CAPTURE(settings.seed);
    Sampler sampler(settings, vocab);
    std::vector<int> count(vocab);
    for (int i = 0; i < draws; ++i) {
      auto copy = logits;
      ++count[static_cast<std::size_t>(sampler(copy, i))];
    }
    const auto expected = reference(logits, settings, {});
    double chi_square = 0;
    int kinds = 0, outside = 0;
    for (std::size_t i = 0; i < vocab; ++i) {
      if (expected[i] == 0) outside += count[i];
      if (expected[i] * draws < 5) continue;
      chi_square += std::pow(count[i] - expected[i] * draws, 2) / (expected[i] * draws);
      ++kinds;
    }
    CHECK(outside == 0);
    CHECK(kinds >= 3);
    // mean n - 1, variance 2(n - 1): four standard deviations above
    CHECK(chi_square < kinds - 1 + 4 * std::sqrt(2.0 * (kinds - 1)));
  }
}

TEST_CASE("temperature 0 takes the largest logit, of equals the lowest id") {
  Sampler sampler({.temperature = 0}, 4);
  std::vector<float> logits = {1, 3, 3, 2};
  CHECK(sampler(logits, 0) == 1);
  logits = {-1, -1, -1, -1};
  CHECK(sampler(logits, 1) == 0);
  logits = {-INFINITY, -INFINITY, -3, -INFINITY};
  CHECK(sampler(logits, 2) == 2);
  CHECK(contains(error_of([&] { sampler.candidates(logits, 0); }), {"greedy"}));
}

TEST_CASE("top-k keeps what equals the k-th") {
  CHECK(kept({.top_k = 2}, {1, 1, 1, 0}) == Ids{0, 1, 2});
  CHECK(kept({.top_k = 1}, {0, 2, 1, 2}) == Ids{1, 3});
  CHECK(kept({.top_k = 3}, {0, 2, 1, 2}) == Ids{1, 2, 3});
  CHECK(kept({.top_k = 4}, {0, 2, 1, 2}) == Ids{0, 1, 2, 3});
  CHECK(kept({.top_k = 100}, {0, 2, 1, 2}) == Ids{0, 1, 2, 3});
  CHECK(kept({.top_k = 3}, {0, -INFINITY, -INFINITY, 2}) == Ids{0, 3});
}

TEST_CASE("top-p keeps the smallest set that reaches p, at least one token, of equals the lowest ids") {
  CHECK(kept({.top_p = 0}, {0, 1, 0, 1}) == Ids{1});
  CHECK(kept({.top_p = 0}, {0, 0, 0, 0}) == Ids{0});
  CHECK(kept({.top_p = 0.25f}, {0, 0, 0, 0}) == Ids{0});
  CHECK(kept({.top_p = 0.5f}, {0, 0, 0, 0}) == Ids{0, 1});
  CHECK(kept({.top_p = 0.51f}, {0, 0, 0, 0}) == Ids{0, 1, 2});
  CHECK(kept({.top_p = 1}, {0, 0, 0, -100}) == Ids{0, 1, 2, 3});
  const float ln2 = std::log(2.f);  // probabilities 4/7, 1/7, 2/7
  CHECK(kept({.top_p = 0.57f}, {2 * ln2, 0, ln2}) == Ids{0});
  CHECK(kept({.top_p = 0.58f}, {2 * ln2, 0, ln2}) == Ids{0, 2});
  CHECK(kept({.top_p = 0.86f}, {2 * ln2, 0, ln2}) == Ids{0, 1, 2});
}

TEST_CASE("top-p counts in what top-k left, min-p in what both left") {
  // without top-k token 1 would be needed to reach 0.6
  CHECK(kept({.top_p = 0.6f}, {1, 1, 0.9f, 0.9f}) == Ids{0, 1, 2});
  CHECK(kept({.top_k = 2, .top_p = 0.5f}, {1, 1, 0.9f, 0.9f}) == Ids{0});
  CHECK(kept({.min_p = 0.5f}, {0, -0.69f, -0.7f}) == Ids{0, 1});
  CHECK(kept({.min_p = 1}, {0, 1, 1, 0.99f}) == Ids{1, 2});
  CHECK(kept({.temperature = 0.5f, .min_p = 0.5f}, {0, -0.34f, -0.35f}) == Ids{0, 1});
}

TEST_CASE("the repetition penalty changes every seen token once, however often it was seen") {
  Sampler sampler({.temperature = 0, .repetition_penalty = 2}, 4);
  sampler.seen(0);
  sampler.seen(1);
  sampler.seen(0);
  std::vector<float> logits = {4, -1, 1, 1.5f};
  CHECK(sampler(logits, 0) == 0);
  CHECK(logits == std::vector<float>{2, -2, 1, 1.5f});
  logits = {2.9f, -1, 1, 1.5f};
  CHECK(sampler(logits, 1) == 3);  // 2.9 / 2 < 1.5
  logits = {0, -1, 1.4f, 2.5f};    // token 3 has been returned, so it is seen
  CHECK(sampler(logits, 2) == 2);
  CHECK(logits == std::vector<float>{0, -2, 1.4f, 1.25f});
}

TEST_CASE("a seed decides all draws, by arithmetic that is the same everywhere") {
  const std::size_t vocab = 1024;
  const std::vector<float> equal(vocab, 0.5f);
  Sampler first({.seed = 42}, vocab), second({.seed = 42}, vocab), other({.seed = 43}, vocab);
  std::mt19937_64 random(42);
  int same_as_other = 0;
  for (int i = 0; i < 200; ++i) {
    auto logits = equal;
    const auto id = first(logits, i);
    CHECK(id == second(logits, i));
    CHECK(id == static_cast<std::int32_t>(random() >> 54));  // the upper 10 bits choose one of 1024 equals
    same_as_other += id == other(logits, i);
  }
  CHECK(same_as_other < 10);
  Sampler fixed({.temperature = 0.7f, .top_k = 20, .top_p = 0.8f, .seed = 7}, 100);
  Ids drawn;
  for (int i = 0; i < 12; ++i) {
    std::vector<float> logits(100);
    for (int t = 0; t < 100; ++t) logits[static_cast<std::size_t>(t)] = static_cast<float>(t * 37 % 101) / 16;
    drawn.push_back(fixed(logits, i));
  }
  CHECK(drawn == Ids{79, 98, 19, 90, 19, 8, 87, 90, 30, 68, 79, 60});  // computed by an independent implementation
}

TEST_CASE("extreme logits and temperatures neither overflow nor forget the largest") {
  CHECK(kept({.temperature = 1e-30f, .min_p = 0.5f}, {1, 2, 3, 3}) == Ids{2, 3});
  CHECK(kept({.temperature = 1e-45f, .top_p = 0.9f}, {-3e38f, 3e38f}) == Ids{1});
  CHECK(kept({.temperature = 3e38f, .min_p = 0.9f}, {-1e30f, 1e30f}) == Ids{0, 1});
  Sampler cold({.temperature = 1e-30f}, 3);
  for (int i = 0; i < 100; ++i) {
    std::vector<float> logits = {1, -INFINITY, 1.001f};
    CHECK(cold(logits, i) == 2);
  }
  Sampler one({.top_k = 5, .top_p = 0.5f}, 1);
  std::vector<float> single = {-7};
  CHECK(one(single, 0) == 0);
}

TEST_CASE("logits that cannot be compared are an error that names position and token") {
  for (const float temperature : {0.f, 1.f}) {
    Sampler sampler({.temperature = temperature, .top_k = 2, .repetition_penalty = 1.5f}, 5);
    sampler.seen(1);
    std::vector<float> logits = {1, 2, NAN, 3, NAN};
    CHECK(contains(error_of([&] { sampler(logits, 17); }), {"position 17", "NaN", "token 2"}));
    logits = {1, 2, 3, 4, -NAN};
    CHECK(contains(error_of([&] { sampler(logits, 18); }), {"position 18", "NaN", "token 4"}));
    logits = {1, INFINITY, 3, 4, 5};
    CHECK(contains(error_of([&] { sampler(logits, 19); }), {"position 19", "infinity", "token 1"}));
    logits.assign(5, -INFINITY);
    CHECK(contains(error_of([&] { sampler(logits, 20); }), {"position 20", "all are -infinity"}));
    logits.assign(4, 0);
    CHECK(contains(error_of([&] { sampler(logits, 21); }), {"position 21", "5 tokens", "found 4"}));
    CHECK(contains(error_of([&] { sampler.seen(5); }), {"from 0 to 4", "found 5"}));
    CHECK(contains(error_of([&] { sampler.seen(-1); }), {"from 0 to 4", "found -1"}));
    logits = {0, 0, 0, 9, 0};
    CHECK(sampler(logits, 22) >= 0);  // an error leaves the sampler usable
  }
}

TEST_CASE("choosing a token allocates nothing") {
  std::mt19937_64 random(5);
  const std::size_t vocab = 3000;
  const auto logits = random_logits(random, vocab, 20);
  for (const SamplingSettings settings :
       {SamplingSettings{.temperature = 0, .repetition_penalty = 1.1f},
        SamplingSettings{.temperature = 0.7f, .top_k = 20, .top_p = 0.8f, .repetition_penalty = 1.1f},
        SamplingSettings{.top_k = 2000, .min_p = 0.1f}, SamplingSettings{.temperature = 3, .top_p = 0.99f}}) {
    Sampler sampler(settings, vocab);
    auto copy = logits;
    const long before = allocations;
    for (int i = 0; i < 50; ++i) {
      std::copy(logits.begin(), logits.end(), copy.begin());
      sampler.seen(i * 7);
      sampler(copy, i);
    }
    CHECK(allocations == before);
  }
  const long before = allocations;
  std::vector<float> one_more(1);
  CHECK(allocations == before + 1);  // the counter counts
}
