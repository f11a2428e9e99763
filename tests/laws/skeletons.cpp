// Laws of the skeletons: over random ragged shapes they give what double precision gives; the bits do not depend on the number of threads, nor on
// whether extents are known at compile time; a fused formula equals its parts run one after the other.
#include <doctest/doctest.h>
#include <weft/cpu/evaluate.hpp>

#include "../support/formulas.hpp"
#include "../support/trial.hpp"

using namespace weft;
using Row = Axis<"row">;
using Deep = Axis<"deep">;
using Wide = Axis<"wide">;
using Batch = Axis<"batch">;
using Key = Axis<"key">;
using Column = Tile<"column", 24>;

template <class T, class L, class R> struct Product {
  static constexpr Input<"a", L, Row, Deep> a{};
  static constexpr Input<"b", R, Wide, Deep> b{};
  static constexpr Output<"y", T, Row, Wide> y{};
  struct P : decltype(program(assign(y, dot<Deep>(a, b)))) {};
};
struct RowSum : decltype(program(assign(Output<"y", float, Row>{}, sum<Wide>(Input<"a", float, Row, Wide>{})))) {};
struct RowMax : decltype(program(assign(Output<"y", float, Row>{}, max<Wide>(Input<"a", bf16, Row, Wide>{})))) {};
struct Softmax : decltype(program(assign(Output<"y", float, Row, Wide>{}, softmax<Wide>(Input<"a", f16, Row, Wide>{})))) {};
struct Outer
    : decltype(program(assign(Output<"y", float, Row, Batch, Wide>{}, Input<"a", float, Row, Wide>{} * Input<"b", float, Batch>{}))) {};
struct Batched : decltype(program(assign(Output<"y", float, Row, Batch, Wide>{},
                                         dot<Deep>(Input<"a", float, Row, Batch, Deep>{}, Input<"b", float, Wide, Batch, Deep>{})))) {};
constexpr auto streamed = [] {
  auto s = dot<Deep>(Input<"q", float, Row, Batch, Deep>{}, Input<"k", bf16, Key, Deep>{});
  return dot<Key>(softmax<Key>(s * 0.3_c), Input<"v", f16, Key, Column>{});
};
struct Streamed : decltype(program(assign(Output<"y", float, Row, Batch, Column>{}, streamed()))) {};

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

// ---- bits
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
