// support: what the benchmarks share: the threads, this machine's measured peaks, and counters that relate a program to them.
#pragma once
#include <benchmark/benchmark.h>
#include <weft/cpu/executor.hpp>
#include <weft/cpu/roofline.hpp>
#include <weft/plan/cost.hpp>

#include <memory>

#include "../tests/support/random_program.hpp"

namespace weft::benchmarks {

struct Machine {
  cpu::Executor executor;
  cpu::Peaks peaks;
};
extern int threads_wanted;  // 0: as many as the machine has
Machine& machine();         // its peaks are measured when it is first asked for
std::string machine_line();

// Runs program P on random data; bytes and FLOPs are what its plan says. `roof` is the share of what the machine could do at most for this
// program: the larger of its share of the read bandwidth and its share of the FLOP peak of the format that it multiplies in.
template <class P> void run_program(benchmark::State& state, const Extents& extents, std::int32_t first_integer, bool multiplies_bf16) {
  Machine& m = machine();
  // weights come from memory, as in a model with many layers: several copies of the arguments take turns
  std::vector<std::unique_ptr<RandomProgram<P>>> copy;
  const Cost cost = total_cost<P>();
  double held = 0;
  do {
    copy.push_back(std::make_unique<RandomProgram<P>>(extents, static_cast<unsigned>(copy.size()), first_integer, 0.1f));
    for (int l = 0; l < RandomProgram<P>::table.leaves; ++l) held += static_cast<double>(copy.back()->memory(l).size());
  } while (held < 128e6);
  for (auto& c : copy) m.executor.run(c->binding);
  std::size_t next = 0;
  for (auto _ : state) {
    m.executor.run(copy[next]->binding);
    next = (next + 1) % copy.size();
  }
  const long* extent = copy[0]->binding.extent;
  const auto runs = static_cast<double>(state.iterations());
  const double bytes = static_cast<double>(cost.read.evaluate(extent) + cost.written.evaluate(extent)),
               flops = static_cast<double>(cost.flops.evaluate(extent));
  using benchmark::Counter;
  state.counters["GB/s"] = Counter(bytes * runs / 1e9, Counter::kIsRate);
  state.counters["GFLOP/s"] = Counter(flops * runs / 1e9, Counter::kIsRate);
  const double peak = multiplies_bf16 ? m.peaks.bf16_flops : m.peaks.f32_flops;
  state.counters["roof"] = Counter(std::max(bytes / m.peaks.read_bytes_per_second, flops / peak) * runs, Counter::kIsRate);
}

}  // namespace weft::benchmarks
