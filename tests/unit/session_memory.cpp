// A session: its limits, its memory, and that a generated token allocates nothing.
#include <doctest/doctest.h>

#include "../support/small_checkpoint.hpp"

#include <cstdlib>
#include <new>
#include <weft/generate/compiled_model.hpp>
#include <weft/generate/generate.hpp>
#include <weft/models/qwen2.hpp>

namespace {
std::atomic<long> allocations = 0;
void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  if (void* p = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment + alignment)) return p;
  throw std::bad_alloc();
}
}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) { return counted(bytes, static_cast<std::size_t>(alignment)); }
// not inlined: beside a call of new that is not inlined either, g++ would take free() for a mistake
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

using namespace weft;
using weft::test::SmallCheckpoint;

namespace {

struct Small : Qwen2<SmallCheckpoint::dims> {
  static constexpr Name name = "Small";
};

std::unique_ptr<LanguageModel> small_model() {
  const SmallCheckpoint checkpoint(Small::parameters());
  ModelConfig config = qwen2_config_of(Small::dims);
  config.rope_theta = 1e4;
  config.window = {0, 5};
  return load_model(compiled_model<Small, Stored<bf16>>(), config, Checkpoint::open(checkpoint.write()), 2);
}
const auto model = small_model();
const std::vector<std::int32_t> prompt = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
std::vector<float> after(Session& session, std::span<const std::int32_t> ids) {
  std::vector<float> logits(50);
  session.forward(ids, logits);
  return logits;
}

}  // namespace

TEST_CASE("a generated token allocates nothing") {
  const auto session = model->start({.context = 64, .chunk = 4});
  for (const bool is_greedy : {true, false}) {
    SamplingSettings settings;
    settings.temperature = is_greedy ? 0 : 1;
    settings.top_k = 20;
    settings.top_p = 0.9f;
    settings.repetition_penalty = 1.1f;
    Sampler sampler(settings, 50);
    std::vector<float> logits(50);
    session->reset();
    const long before = allocations;
    prefill(*session, prompt, logits, [] { return true; });
    const auto result =
        generate(*session, sampler, logits, {.max_tokens = 1000, .end_tokens = {}}, [](std::int32_t) { return Continue::yes; });
    CHECK(allocations == before);
    CHECK(result.forwarded == 64 - static_cast<long>(prompt.size()));
    CHECK(result.finish_reason == FinishReason::length);
  }
}

TEST_CASE("generation ends where it should") {
  const auto session = model->start({.context = 64});
  std::vector<float> logits(50);
  const auto continued = [&](const GenerationLimits& limits, auto on_token) {
    Sampler greedy({.temperature = 0}, 50);
    session->reset();
    prefill(*session, prompt, logits, [] { return true; });
    return generate(*session, greedy, logits, limits, on_token);
  };
  std::vector<std::int32_t> ids;
  const auto all = continued({.max_tokens = 20, .end_tokens = {}}, [&](std::int32_t id) {
    ids.push_back(id);
    return Continue::yes;
  });
  CHECK(ids.size() == 20);
  CHECK(all.finish_reason == FinishReason::length);
  CHECK(all.forwarded == 19);
  CHECK_FALSE(all.end_token);

  const std::vector<std::int32_t> end = {ids[7]};
  const auto first = static_cast<std::size_t>(std::find(ids.begin(), ids.end(), ids[7]) - ids.begin());
  std::size_t seen = 0;
  const auto stopped = continued({.max_tokens = 20, .end_tokens = end}, [&](std::int32_t) {
    ++seen;
    return Continue::yes;
  });
  CHECK(stopped.finish_reason == FinishReason::stop);
  CHECK(stopped.end_token == ids[7]);
  CHECK(seen == first);

  CHECK(continued({.max_tokens = 20, .end_tokens = {}}, [](std::int32_t) { return Continue::interrupt; }).finish_reason ==
        FinishReason::interrupted);
  CHECK(continued({.max_tokens = 20, .end_tokens = {}}, [](std::int32_t) { return Continue::stop; }).finish_reason == FinishReason::stop);
  CHECK(continued({.max_tokens = 0, .end_tokens = {}}, [](std::int32_t) { return Continue::yes; }).forwarded == 0);
  session->reset();
  CHECK_FALSE(prefill(*session, prompt, logits, [] { return false; }));
  CHECK(session->position() == 0);
  CHECK_THROWS_AS(prefill(*session, {}, logits, [] { return true; }), Error);
}

TEST_CASE("truncate goes back, and sessions do not disturb each other") {
  const auto session = model->start({.context = 32}), other = model->start({.context = 32, .chunk = 3});
  const auto head = std::span(prompt).first(6), tail = std::span(prompt).subspan(6);
  after(*session, head);
  const auto expected = after(*session, tail);
  after(*other, tail);
  session->truncate(6);
  CHECK(session->position() == 6);
  CHECK(after(*session, tail) == expected);
  session->reset();
  after(*session, head);
  CHECK(after(*session, tail) == expected);
}

TEST_CASE("what does not fit is refused, and the text stays as it was") {
  const auto session = model->start({.context = 12});
  after(*session, prompt);
  std::vector<float> logits(50);
  const std::vector<std::int32_t> two = {1, 2}, beyond = {50}, negative = {-1};
  CHECK_THROWS_WITH_AS(session->forward(two, logits), "context: it holds 12 tokens; 11 are in it and 2 more do not fit", Error);
  CHECK_THROWS_WITH_AS(session->forward(beyond, logits), "token id: expected one from 0 to 49, found 50", Error);
  CHECK_THROWS_WITH_AS(session->forward(negative, logits), "token id: expected one from 0 to 49, found -1", Error);
  CHECK_THROWS_AS(session->forward(std::span(two).first(1), std::span(logits).first(49)), Error);
  CHECK_THROWS_AS(session->truncate(12), Error);
  CHECK_THROWS_AS(session->truncate(-1), Error);
  CHECK(session->position() == 11);
  CHECK_NOTHROW(session->forward(std::span(two).first(1), logits));
  CHECK_THROWS_AS(model->start({.context = 0}), Error);
  CHECK_THROWS_AS(model->start({.context = 8, .chunk = 0}), Error);
}
