// Results do not depend, to the bit, on the number of threads, nor on whether extents are known at compile time.
#include <doctest/doctest.h>
#include <weft/cpu/executor.hpp>

#include "../support/formulas.hpp"
#include "../support/skeleton_programs.hpp"
#include "../support/trial.hpp"

using namespace weft;
using namespace weft::skeletons;

template <class P> std::vector<std::byte> bits(const Extents& e, int threads, std::int32_t first_integer = 0) {
  cpu::Executor executor(threads);
  Trial<P> t(e, 3, first_integer, 0.5f);
  executor.run(t.binding);
  std::vector<std::byte> all;
  for (int q = 0; q < Trial<P>::table.statements; ++q) {
    const Memory& m = t.memory(Trial<P>::table.record[Trial<P>::table.statement[q].target].number);
    all.insert(all.end(), m.data(), m.data() + m.size());
  }
  return all;
}
template <class P> void same_for_all_threads(const Extents& e, std::int32_t first_integer = 0) {
  const auto one = bits<P>(e, 1, first_integer);
  for (const int threads : {2, 3, 8}) {
    CAPTURE(threads);
    CHECK(bits<P>(e, threads, first_integer) == one);
  }
}
TEST_CASE("bits do not depend on the number of threads") {
  for (const long rows : {1, 5, 37}) {
    const Extents e = {{"row", rows}, {"deep", 100}, {"wide", 133}, {"batch", 3}, {"key", 700}, {"token", rows}};
    same_for_all_threads<Product<float, bf16, bf16>::P>(e);
    same_for_all_threads<Softmax>(e);
    same_for_all_threads<Batched>(e);
    same_for_all_threads<Streamed>(e);
    same_for_all_threads<formulas::Of<40, 36, 2, 3, 16, 50, bf16>::Layer>(e, 600);
  }
}
TEST_CASE("bits do not depend on whether extents are known at compile time") {
  using Static = formulas::Of<40, 36, 2, 3, 16, 50, bf16>;
  using Open = formulas::Open<16, bf16>;
  for (const long tokens : {1, 4, 20}) {
    const Extents e = {{"token", tokens}, {"key", tokens + 80}, {"hidden", 40}, {"inter", 36}, {"kv_head", 2}, {"group", 3},
                       {"head", 6},       {"q_dim", 96},        {"kv_dim", 32}, {"vocab", 50}, {"rank", 16}};
    CHECK(bits<Static::Layer>(e, 2, 80) == bits<Open::Layer>(e, 2, 80));
    CHECK(bits<Static::GeGlu>(e, 2) == bits<Open::GeGlu>(e, 2));
    CHECK(bits<Static::HeadNorm>(e, 2, 3) == bits<Open::HeadNorm>(e, 2, 3));
  }
}
