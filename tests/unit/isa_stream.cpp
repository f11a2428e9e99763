// The inner products of the skeleton stream, and streams whose weights are rounded: any number of rows, on every instruction set.
#include <doctest/doctest.h>
#include <weft/cpu/micro_stream.hpp>
#include <weft/nn/module.hpp>

#include <cstring>

#include "../support/trial.hpp"

using namespace weft;

// ---- micro-kernels
template <class T> std::vector<T> numbers(long n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<T> v(static_cast<std::size_t>(n));
  for (T& x : v) x = from_float<T>(normal(random));
  return v;
}
template <class Element, class T, int R> void check_few_rows() {
  for (const long depth : {1, 24, 64, 100})
    for (const long count : {1, 15, 16, 37, 64}) {
      CAPTURE(depth);
      CAPTURE(count);
      const long stride = (depth + 63) / 64 * 64, step = depth + 3, room = 96;
      auto left = numbers<Element>(R * stride, 1);
      for (long r = 0; r < R; ++r)
        for (long i = depth; i < stride; ++i) left[static_cast<std::size_t>(r * stride + i)] = from_float<Element>(0.f);
      auto weights = numbers<Element>(R * room, 2);
      for (long r = 0; r < R; ++r)
        for (long j = count; j < room; ++j) weights[static_cast<std::size_t>(r * room + j)] = from_float<Element>(0.f);
      const auto rows = numbers<T>(count * step, 3);
      std::vector<float> products(static_cast<std::size_t>(R * room)), sums(static_cast<std::size_t>(R * 160));
      const cpu::RowsAhead ahead{rows.data(), step * static_cast<long>(sizeof(T)), depth * static_cast<long>(sizeof(T)), count};
      cpu::key_products<Element, T, R>(left.data(), stride, rows.data(), step, count, depth, products.data(), room, ahead);
      cpu::weighted_rows<Element, T, R>(weights.data(), room, rows.data(), step, count, sums.data(), 160, depth, ahead);
      double worst = 0;
      for (long r = 0; r < R; ++r) {
        for (long j = 0; j < count; ++j) {
          double sum = 0, size = 1;
          for (long i = 0; i < depth; ++i) {
            const double x = static_cast<double>(to_float(left[static_cast<std::size_t>(r * stride + i)])) *
                             static_cast<double>(to_float(rows[static_cast<std::size_t>(j * step + i)]));
            sum += x;
            size += std::abs(x);
          }
          worst = std::max(worst, std::abs(static_cast<double>(products[static_cast<std::size_t>(r * room + j)]) - sum) / size);
        }
        for (long i = 0; i < depth; ++i) {
          double sum = 0, size = 1;
          for (long j = 0; j < count; ++j) {
            const double x = static_cast<double>(to_float(weights[static_cast<std::size_t>(r * room + j)])) *
                             static_cast<double>(to_float(rows[static_cast<std::size_t>(j * step + i)]));
            sum += x;
            size += std::abs(x);
          }
          worst = std::max(worst, std::abs(static_cast<double>(sums[static_cast<std::size_t>(r * 160 + i)]) - sum) / size);
        }
      }
      CHECK(worst < 100 * 0x1p-24);
    }
}
template <class T> void check_few_rows_in() {
  check_few_rows<float, T, 1>();
  check_few_rows<float, T, 4>();
  check_few_rows<float, T, 8>();
}
TEST_CASE("few rows: products and weighted sums") {
  check_few_rows_in<float>();
  check_few_rows_in<bf16>();
  check_few_rows_in<f16>();
  if constexpr (cpu::has_bf16_dot) {
    using Dot = cpu::PackedAs<bf16>;
    check_few_rows<Dot, bf16, 1>();
    check_few_rows<Dot, bf16, 7>();
  }
}
TEST_CASE("exp for results of 16 bits") {
  double worst = 0;
  for (int i = 0; i <= 200'000; ++i) {
    const float x = -87.f * static_cast<float>(i) / 200'000.f;
    const double wanted = std::exp(static_cast<double>(x));
    worst = std::max(worst, std::abs(static_cast<double>(cpu::exp_to_round(cpu::Packet(x)).v[0]) - wanted) / wanted);
  }
  CHECK(worst < 0x1p-17);  // the exponent is rounded to 2^-17 at most
  CHECK(cpu::exp_to_round(cpu::Packet(-std::numeric_limits<float>::infinity())).v[0] == 0.f);
  CHECK(std::isnan(cpu::exp_to_round(cpu::Packet(std::numeric_limits<float>::quiet_NaN())).v[0]));
}

// ---- streams with rounded weights
using Token = Axis<"token">;
using Key = Axis<"key">;
using KvHead = Axis<"kv_head", 2>;
using Group = Axis<"group", 3>;
using HeadDim = Tile<"head_dim", 32>;
using Wide = Tile<"wide", 48>;
constexpr Input<"at", std::int32_t, Token> at_token{};

enum class Sums { of_exact, of_rounded };
template <class T, Sums sums> constexpr auto attention = [] {
  auto s = dot<HeadDim>(Input<"q", T, Token, KvHead, Group, HeadDim>{}, Input<"k", T, Key, KvHead, HeadDim>{}) * 0.3_c;
  auto score = where(position<Key> <= at_token, s, minus_inf);
  auto weight = exp(score - max<Key>(score));
  auto rounded_weight = cast<T>(weight);
  Input<"v", T, Key, KvHead, Wide> v{};
  if constexpr (sums == Sums::of_exact)
    return dot<Key>(rounded_weight / sum<Key>(weight), v);
  else
    return dot<Key>(rounded_weight / sum<Key>(rounded_weight), v);
};
template <class T, Sums sums> struct Attention
    : decltype(program(assign(Output<"y", float, Token, KvHead, Group, Wide>{}, attention<T, sums>()))) {};
static_assert(kernel_count<Attention<bf16, Sums::of_exact>> == 1 && kernel_count<Attention<bf16, Sums::of_rounded>> == 1 &&
              kernel_count<Attention<f16, Sums::of_exact>> == 1 && kernel_count<Attention<float, Sums::of_exact>> == 1);
// a sum of both kinds has no online form
constexpr auto mixed = [] {
  auto s = dot<HeadDim>(Input<"q", float, Token, HeadDim>{}, Input<"k", float, Key, HeadDim>{});
  auto weight = exp(s - max<Key>(s));
  auto w = cast<bf16>(weight);
  return dot<Key>(w / sum<Key>(weight) / sum<Key>(w), Input<"v", float, Key, Wide>{});
};
static_assert(kernel_count<decltype(program(assign(Output<"y", float, Token, Wide>{}, mixed())))> > 1);

template <class P> void check_rounded(double tolerance) {
  for (const long tokens : {1, 2, 5, 45, 90})  // few, split and many rows
    for (const long past : {0, 3, 255, 600}) {
      CAPTURE(tokens);
      CAPTURE(past);
      CHECK(trial<P>({{"token", tokens}, {"key", tokens + past}}, static_cast<unsigned>(past + tokens), 1.f,
                     static_cast<std::int32_t>(past)) < tolerance);
    }
}
// a weight is off by another rounding where the block's maximum is not the row's
TEST_CASE("weights rounded to bf16") {
  check_rounded<Attention<bf16, Sums::of_exact>>(0x1p-8);
  check_rounded<Attention<bf16, Sums::of_rounded>>(0x1p-8);
}
TEST_CASE("weights rounded to f16") { check_rounded<Attention<f16, Sums::of_exact>>(0x1p-11); }
TEST_CASE("a cast to f32 rounds nothing") { check_rounded<Attention<float, Sums::of_exact>>(3e-6); }

template <class P> std::vector<float> run(long tokens, long keys, long past, int threads) {
  cpu::Executor executor(threads);
  RandomProgram<P> p({{"token", tokens}, {"key", keys}}, 5, static_cast<std::int32_t>(past));
  executor.run(p.binding);
  const auto n = static_cast<std::size_t>(tokens * 2 * 3 * 48);
  std::vector<float> out(n);
  std::memcpy(out.data(), p.template data<float>("y"), n * sizeof(float));
  return out;
}
TEST_CASE("bits do not depend on the number of threads") {
  for (const long tokens : {1, 20, 120}) {
    const auto one = run<Attention<bf16, Sums::of_exact>>(tokens, 900, 900 - tokens, 1);
    for (const int threads : {2, 5}) CHECK(run<Attention<bf16, Sums::of_exact>>(tokens, 900, 900 - tokens, threads) == one);
  }
}
