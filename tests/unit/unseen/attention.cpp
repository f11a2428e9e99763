// What the CPU computes for attention_formulas.hpp is what double precision says.
#include <doctest/doctest.h>

#include "../../support/trial.hpp"
#include "attention_formulas.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>

using namespace weft;
using namespace weft::unseen::attention;

// exponentials of sums: the relative error of a weight is the absolute error of its score, so it grows with the size of scores
template <class P> void check(double tolerance = 3e-6) {
  for (const long tokens : {1, 2, 4, 11, 40})
    for (const long past : {0, 3, 63, 64, 300}) {
      CAPTURE(tokens);
      CAPTURE(past);
      CHECK(trial<P>({{"token", tokens}, {"key", tokens + past}}, static_cast<unsigned>(past + tokens), 1.f,
                     static_cast<std::int32_t>(past)) < tolerance);
    }
}
TEST_CASE("soft cap") { check<SoftCap>(); }
TEST_CASE("ALiBi") { check<Alibi>(340 * 0x1p-24); }  // distances to 340: scores of that size
TEST_CASE("sink") { check<Sink>(); }
TEST_CASE("no maximum") { check<Unguarded>(); }
TEST_CASE("band") { check<Banded>(); }
TEST_CASE("sigmoid") { check<Sigmoid>(); }

namespace {

// the same bits, whether rows of the cache lie in one piece or anywhere
void check_paged(long tokens, long past) {
  CAPTURE(tokens);
  CAPTURE(past);
  const long keys = past + tokens, slots = 2 * keys + 3, row = KvHead::extent * cached::Wide::extent;
  RandomProgram<Contiguous> whole({{"token", tokens}, {"key", keys}}, 1, static_cast<std::int32_t>(past));
  RandomProgram<Paged> paged({{"token", tokens}, {"key", keys}, {"slot", slots}}, 2, static_cast<std::int32_t>(past));
  std::vector<std::int32_t> slot(static_cast<std::size_t>(slots));
  std::iota(slot.begin(), slot.end(), 0);
  std::shuffle(slot.begin(), slot.end(), std::mt19937(3));
  std::copy_n(slot.data(), keys, paged.data<std::int32_t>("slot"));
  std::copy_n(slot.data() + past, tokens, paged.data<std::int32_t>("new_slot"));
  for (const char* same : {"q", "k", "v"}) {
    const Memory& from = whole.memory(leaf_number<Contiguous>(same));
    std::copy_n(from.data(), from.size(), paged.data<std::byte>(same));
  }
  const auto row_in_slot = [&](const char* cache, long key) { return paged.data<bf16>(cache) + slot[static_cast<std::size_t>(key)] * row; };
  for (const char* cache : {"keys", "values"})
    for (long key = 0; key < past; ++key) std::copy_n(whole.data<bf16>(cache) + key * row, row, row_in_slot(cache, key));
  for (const int threads : {1, 3}) {
    cpu::Executor executor(threads);
    executor.run(whole.binding);
    executor.run(paged.binding);
    const Memory& o = whole.memory(leaf_number<Contiguous>("o"));
    CHECK(std::equal(o.data(), o.data() + o.size(), paged.memory(leaf_number<Paged>("o")).data()));
    for (const char* cache : {"keys", "values"})
      for (long key = past; key < keys; ++key) {
        const std::span stored(row_in_slot(cache, key), static_cast<std::size_t>(row));
        CHECK(std::memcmp(stored.data(), whole.data<bf16>(cache) + key * row, stored.size_bytes()) == 0);
      }
  }
}

}  // namespace

TEST_CASE("a cache whose rows lie anywhere gives the bits of one that lies in one piece") {
  for (const long tokens : {1, 2, 30, 70})  // few rows, many, and so many that threads share them out
    for (const long past : {0, 17, 300}) check_paged(tokens, past);
}
