// roofline: what this machine can do at most with the instructions this build uses, measured. Results of benchmarks are given as
// fractions of these.
#pragma once
#include <atomic>
#include <ctime>
#include <memory>

#include "micro_kernel.hpp"
#include "threads.hpp"

namespace weft::cpu {

struct Peaks {
  double read_bytes_per_second;  // all threads, from memory, not from caches
  double f32_flops;              // per second, all threads; a multiplication and an addition count as two
  double bf16_flops;             // products of bf16 summed in f32; the same as f32 where there is no instruction for them
};

namespace detail {

inline double seconds_now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// the shortest of the runs of f that fit into `budget` seconds, at least two
template <class F> double shortest(Threads& threads, double budget, F f) {
  double best = 1e30;
  const double end = seconds_now() + budget;
  for (int run = 0; run < 2 || seconds_now() < end; ++run) {
    const double start = seconds_now();
    threads.run(f);
    const double took = seconds_now() - start;
    if (took < best) best = took;
  }
  return best;
}

// keeps the compiler from dropping a computation
inline void use(native::Floats sum) {
  volatile float sink = cpu::sum(Packet(sum));
  (void)sink;
}

// products summed in registers; the compiler cannot foresee the operands
template <class Element> double flops(Threads& threads, double budget) {
  using Product = Product<Element>;
  constexpr int chains = 12;
  constexpr long steps = 50'000;
  static volatile float zero = 0.f;
  const double took = shortest(threads, budget, [](int) {
    alignas(64) Element source[64];
    for (Element& x : source) x = from_float<Element>(zero);
    const auto a = Product::load(source), b = Product::load(source + 64 - Packet::lanes * Product::depth);
    native::Floats sum[chains];
    unroll<chains>([&](auto i) WEFT_FLAT { sum[i] = native::broadcast(zero + static_cast<float>(int(i))); });
    for (long step = 0; step < steps; ++step) unroll<chains>([&](auto i) WEFT_FLAT { sum[i] = Product::add(sum[i], a, b); });
    unroll<chains - 1>([&](auto i) WEFT_FLAT { sum[0] = sum[0] + sum[i + 1]; });
    use(sum[0]);
  });
  return 2. * chains * Packet::lanes * Product::depth * steps * threads.size() / took;
}

// Memory is read piece by piece, over and over: a piece is short enough to be read undisturbed on a busy machine, and its turn comes again
// only when the caches have long forgotten it.
inline double read_bandwidth(Threads& threads, double budget) {
  constexpr long block = 8 * Packet::lanes, pieces = 16;
  const long piece = (256l << 20) / static_cast<long>(sizeof(float)) / pieces / threads.size() / block * block;  // floats of one thread
  const long share = piece * pieces;
  const std::unique_ptr<float[]> memory(new float[static_cast<std::size_t>(share * threads.size())]);
  threads.run([&](int thread) {
    for (long i = 0; i < share; ++i) memory[static_cast<std::size_t>(thread * share + i)] = 1.f;
  });
  std::atomic<long> reads = 0;
  const double took = shortest(threads, budget, [&](int thread) {
    const long turn = reads.fetch_add(1, std::memory_order_relaxed) / threads.size();
    const float* p = memory.get() + thread * share + turn % pieces * piece;
    native::Floats sum[8];
    unroll<8>([&](auto i) WEFT_FLAT { sum[i] = native::broadcast(0.f); });
    for (long at = 0; at < piece; at += block)
      unroll<8>([&](auto i) WEFT_FLAT { sum[i] = sum[i] + native::load(p + at + i * Packet::lanes); });
    unroll<7>([&](auto i) WEFT_FLAT { sum[0] = sum[0] + sum[i + 1]; });
    use(sum[0]);
  });
  return static_cast<double>(piece * threads.size()) * sizeof(float) / took;
}

}  // namespace detail

// Takes about `seconds`, and 256 MiB of memory meanwhile.
inline Peaks measure_peaks(Threads& threads, double seconds = 0.3) {
  Peaks peaks;
  peaks.read_bytes_per_second = detail::read_bandwidth(threads, seconds / 2);
  peaks.f32_flops = detail::flops<float>(threads, seconds / 4);
  peaks.bf16_flops = peaks.f32_flops;
  if constexpr (has_bf16_dot) peaks.bf16_flops = detail::flops<PackedAs<bf16>>(threads, seconds / 4);
  return peaks;
}

}  // namespace weft::cpu
