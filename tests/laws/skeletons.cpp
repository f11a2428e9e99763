// Laws of the skeletons: over random ragged shapes they give what double precision gives, empty axes are allowed, and a fused formula equals its
// parts run one after the other.
#include <doctest/doctest.h>
#include <weft/cpu/evaluate.hpp>

#include "../support/skeleton_programs.hpp"
#include "../support/trial.hpp"

using namespace weft;
using namespace weft::skeletons;

template <class P> void check(const char* name, double tolerance, int trials = 12) {
  std::mt19937 random(7);
  auto pick = [&](int most) { return static_cast<long>(random() % static_cast<unsigned>(most)) + 1; };
  for (int t = 0; t < trials; ++t) {
    const Extents e = {
        {"row", t % 3 == 0 ? pick(8) : pick(60)}, {"deep", pick(150)}, {"wide", pick(140)}, {"batch", pick(4)}, {"key", pick(600)}};
    CAPTURE(std::string(name));
    for (const auto& [axis, n] : e) CAPTURE(axis + " = " + std::to_string(n));
    CHECK(trial<P>(e, static_cast<unsigned>(t)) < tolerance);
  }
}
TEST_CASE("random ragged shapes against double precision") {
  const double f32 = 1e-6, bf16_result = 0x1p-8,
               f16_result = 0x1p-11;  // half a unit in the last place of the result, and sums of 150 products
  check<Product<float, float, float>::P>("f32", f32);
  check<Product<float, bf16, bf16>::P>("bf16", f32);
  check<Product<float, float, bf16>::P>("f32 x bf16", f32);
  check<Product<bf16, bf16, f16>::P>("bf16 x f16 to bf16", bf16_result);
  check<Product<f16, f16, f16>::P>("f16", f16_result);
  check<RowSum>("row sum", 1e-5);  // a sum of signed numbers may cancel
  check<RowMax>("row max", 1e-12);
  check<Softmax>("softmax", f32);
  check<Outer>("outer product", f32);
  check<Batched>("batched", f32);
  check<Streamed>("streamed", 3e-6);
}

TEST_CASE("an axis may be empty") {
  for (const Extents& e : {Extents{{"row", 0}, {"deep", 5}, {"wide", 7}, {"batch", 2}, {"key", 3}},
                           Extents{{"row", 4}, {"deep", 0}, {"wide", 7}, {"batch", 2}, {"key", 3}},
                           Extents{{"row", 4}, {"deep", 5}, {"wide", 0}, {"batch", 2}, {"key", 3}}}) {
    CHECK(trial<Product<float, float, bf16>::P>(e) == 0);
    CHECK(trial<Product<float, bf16, bf16>::P>(e) == 0);
    CHECK(trial<Batched>(e) == 0);
    CHECK(trial<Outer>(e) < 1e-6);
  }
  CHECK(trial<Streamed>({{"row", 0}, {"deep", 5}, {"batch", 2}, {"key", 3}}) == 0);
  CHECK(trial<RowSum>({{"row", 3}, {"wide", 0}}) == 0);  // the sum of nothing
}

// ---- fused equals unfused
TEST_CASE("a fused formula equals its parts") {
  using Hidden = Axis<"hidden", 50>;
  using Inter = Axis<"inter", 70>;
  constexpr auto norm = [](auto x, auto g) { return x * rsqrt(mean<Hidden>(square(x)) + 1e-6_c) * g; };
  constexpr auto gated = [](auto x, auto wg, auto wu) { return silu(dot<Hidden>(x, wg)) * dot<Hidden>(x, wu); };
  constexpr auto fused = [](auto x, auto g, auto wg, auto wu) {
    auto n = x * rsqrt(mean<Hidden>(square(x)) + 1e-6_c) * g;
    return silu(dot<Hidden>(n, wg)) * dot<Hidden>(n, wu);
  };
  for (const long tokens : {1, 19}) {
    Buffer<float, Row, Hidden> x(tokens, 50), n(tokens, 50);
    Buffer<float, Hidden> g(50);
    Buffer<bf16, Inter, Hidden> wg(70, 50), wu(70, 50);
    Buffer<float, Row, Inter> whole(tokens, 70), parts(tokens, 70);
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (long i = 0; i < x.size(); ++i) x.data()[i] = normal(random);
    for (long i = 0; i < 50; ++i) g.data()[i] = normal(random);
    for (long i = 0; i < 3500; ++i) wg.data()[i] = to_bf16(normal(random)), wu.data()[i] = to_bf16(normal(random));
    static_assert(decltype(plan(fused, whole.view(), x.view(), g.view(), wg.view(), wu.view()))::kernel_count == 1);
    evaluate(on_cpu, fused, whole.view(), x.view(), g.view(), wg.view(), wu.view());
    evaluate(on_cpu, norm, n.view(), x.view(), g.view());
    evaluate(on_cpu, gated, parts.view(), n.view(), wg.view(), wu.view());
    for (long i = 0; i < whole.size(); ++i) CHECK(whole.data()[i] == parts.data()[i]);  // f32 on the way: nothing is rounded differently
  }
}
