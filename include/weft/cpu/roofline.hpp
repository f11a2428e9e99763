// roofline: what this machine can do at most with the instructions this build uses, measured. Results of benchmarks are given as
// fractions of these.
#pragma once
#include <weft/core/dtype.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <ctime>
#include <memory>

#include "block_simd.hpp"
#include "micro_kernel.hpp"
#include "threads.hpp"
#if defined(WEFT_AMX)
#include "micro_amx.hpp"
#include "micro_amx_tiles.hpp"
#endif

namespace weft::cpu {

struct Peaks {
  double read_bytes_per_second;  // all threads, from memory, not from caches
  double f32_flops;              // per second, all threads; a multiplication and an addition count as two
  double bf16_flops;             // products of bf16 summed in f32; the same as f32 where there is no instruction for them
  double int8_flops;             // products of 8-bit whole numbers summed in 32 bits
  // of products of this format; q8_0 stands for 8-bit whole numbers
  double flops(DType multiplied) const {
    return multiplied == DType::bf16 ? bf16_flops : multiplied == DType::q8_0 ? int8_flops : f32_flops;
  }
  // the least time that work of so many bytes and FLOPs can take, in seconds
  double least_seconds(double bytes, double operations, DType multiplied) const {
    return std::max(bytes / read_bytes_per_second, operations / flops(multiplied));
  }
};

namespace detail {

inline double seconds_of(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// the shortest of the runs of f that fit into `budget` seconds, at least two
template <class F> double shortest(Threads& threads, double budget, F f) {
  double best = 1e30;
  const double end = seconds_of(CLOCK_MONOTONIC) + budget;
  for (int run = 0; run < 2 || seconds_of(CLOCK_MONOTONIC) < end; ++run) {
    const double start = seconds_of(CLOCK_MONOTONIC);
    threads.run(f);
    best = std::min(best, seconds_of(CLOCK_MONOTONIC) - start);
  }
  return best;
}

// The same for arithmetic, which no thread takes from another. Where all threads need much longer than one alone, they share a core for the
// moment (a host may place two virtual ones so, and they look busy all the time): then it is tried again, some times, after a pause.
template <class F> double shortest_undisturbed(Threads& threads, double budget, F f) {
  constexpr int tries = 8;
  constexpr double tolerance = 1.25;
  const timespec pause{0, 40'000'000};
  const double alone = shortest(threads, budget / 4, [&](int thread) {
    if (thread == 0) f(thread);
  });
  double together = shortest(threads, budget, f);
  for (int i = 1; i < tries && together > tolerance * alone; ++i) {
    nanosleep(&pause, nullptr);
    together = std::min(together, shortest(threads, budget / 4, f));
  }
  return together;
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
  constexpr long steps = 200'000;
  static volatile float zero = 0.f;
  const double took = shortest_undisturbed(threads, budget, [](int) {
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

// The same for 8-bit whole numbers. One operand changes from step to step: where a product takes more than one instruction, the compiler would take
// what does not change out of the loop.
inline double int8_flops(Threads& threads, double budget) {
  constexpr int rows = isa >= Isa::avx512 ? 6 : 4, packets = 2, places = 8;
  constexpr long steps = 200'000;
  static volatile std::uint8_t one = 1;
  const double took = shortest_undisturbed(threads, budget, [](int) {
    alignas(64) std::uint8_t source[places + rows][sizeof(Bytes)];
    for (auto& vector : source)
      for (std::uint8_t& byte : vector) byte = one;
    SignedBytes x[rows];
    unroll<rows>([&](auto r) WEFT_FLAT { std::memcpy(&x[r], source + places + r, sizeof x[r]); });
    native::Ints sum[rows][packets]{};
    for (long step = 0; step < steps; ++step)
      unroll<packets>([&](auto j) WEFT_FLAT {
        Bytes w;
        std::memcpy(&w, source + (step + j) % places, sizeof w);
        unroll<rows>([&](auto r) WEFT_FLAT { sum[r][j] = dot<128>(sum[r][j], w, x[r]); });
      });
    unroll<rows * packets - 1>([&](auto i) WEFT_FLAT { sum[0][0] = sum[0][0] + (&sum[0][0])[i + 1]; });
    volatile int sink = sum[0][0][0];
    (void)sink;
  });
  return 2. * rows * packets * static_cast<double>(sizeof(Bytes)) * steps * threads.size() / took;
}

// products of bf16 by the best instruction that this build has
inline double bf16_flops(Threads& threads, double budget) {
#if defined(WEFT_AMX)
  return amx_flops<HardwareTiles>(threads.size(), 50'000, [&](auto f) { return shortest_undisturbed(threads, budget, f); });
#else
  return flops<PackedAs<bf16>>(threads, budget);
#endif
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

// Takes about `seconds` on a quiet machine, and 256 MiB of memory meanwhile.
inline Peaks measure_peaks(Threads& threads, double seconds = 0.3) {
  Peaks peaks{};
  peaks.read_bytes_per_second = detail::read_bandwidth(threads, seconds / 2);
  peaks.f32_flops = detail::flops<float>(threads, seconds / 8);
  peaks.bf16_flops = has_bf16_dot ? detail::bf16_flops(threads, seconds / 8) : peaks.f32_flops;
  peaks.int8_flops = detail::int8_flops(threads, seconds / 8);
  return peaks;
}

}  // namespace weft::cpu
