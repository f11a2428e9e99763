// support: what the benchmarks share: the threads, this machine's measured peaks, arguments for programs, and counters that relate a program to
// the peaks.
#pragma once
#include <benchmark/benchmark.h>
#include <weft/cpu/profile_report.hpp>
#include <weft/generate/interleave.hpp>
#include <weft/models/parameters.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "shapes.hpp"

namespace weft::benchmarks {

struct Machine {
  cpu::Executor executor;
  cpu::Peaks peaks;
};
extern int threads_wanted;  // 0: as many as the machine has
Machine& machine();         // its peaks are measured when it is first asked for
std::string cpu_name();
std::string machine_line();
double available_bytes();  // of memory, now

// small numbers, positive and negative, in this format; they repeat after some thousands
void fill_with_numbers(DType format, std::span<std::byte> bytes);

using Extents = std::map<std::string, long>;

// Memory for every leaf of a program: small numbers, positions that count up from `first_position`.
template <class P> class Arguments {
 public:
  static constexpr auto& table = Compiled<P>::table;
  Binding<P> binding;

  // blocks: the format of leaves of any_block
  Arguments(const Extents& extents, long first_position, DType blocks) {
    for (int a = 0; a < table.axes; ++a)
      if (const auto e = extents.find(table.axis[a].name); binding.extent[a] == runtime && e != extents.end())
        set_extent(binding, a, e->second, "benchmark");
    for (int l = 0; l < table.leaves; ++l) {
      const DType format = table.leaf[l].dtype == DType::any_block ? blocks : table.leaf[l].dtype;
      memory_.emplace_back(static_cast<std::size_t>(bytes_for(format, elements(binding, l))));
      fill(l, format, first_position);
      const RowLayout layout = layout_of(l, format);
      bind_dense(binding, l, memory_.back().data(), format, layout);
      if (layout == RowLayout::panels) interleave(l, format);
    }
  }
  static double bytes(const Extents& extents, DType blocks) {
    Binding<P> b;
    for (const auto& [name, extent] : extents) change_extent(b, name.c_str(), extent);
    double sum = 0;
    for (int l = 0; l < table.leaves; ++l)
      sum += static_cast<double>(bytes_for(table.leaf[l].dtype == DType::any_block ? blocks : table.leaf[l].dtype, elements(b, l)));
    return sum;
  }

 private:
  static long elements(const Binding<P>& b, int leaf) {
    long n = 1;
    for (int d = 0; d < table.leaf[leaf].axes; ++d) n *= b.extent[table.leaf[leaf].axis[d]];
    return n;
  }
  // as the loader of models has them
  RowLayout layout_of(int leaf, DType format) const {
    const auto& l = table.leaf[leaf];
    if (!is_block(format) || !contracts_with<P>(leaf) || stores_to<P>(leaf) || l.axes < 2) return RowLayout::plain;
    const long first = only_gathers_from<P>(leaf) ? 1 : 0;
    long rows = 1;
    for (int d = static_cast<int>(first); d + 1 < l.axes; ++d) rows *= binding.extent[l.axis[d]];
    return rows % panel_rows == 0 ? RowLayout::panels : RowLayout::plain;
  }
  void interleave(int leaf, DType format) {
    Memory& m = memory_.back();
    const long row = binding.view[leaf].panel_row, row_bytes = bytes_for(format, row);
    interleave_rows(
        format, [&](long r) { return m.data() + r * row_bytes; }, elements(binding, leaf) / row, row_bytes, m.data(),
        machine().executor.pool());
  }
  void fill(int leaf, DType format, long first_position) {
    Memory& m = memory_.back();
    const std::string_view path = text_of(table.leaf[leaf].path);
    const long n = elements(binding, leaf);
    if (format == DType::i32) {
      for (long i = 0; i < n; ++i) m.as<std::int32_t>()[i] = path == "window" ? 1 << 30 : static_cast<std::int32_t>(first_position + i);
      if (path == "index") choose_experts(m, n);
      return;
    }
    if (path == "rms_norm_eps")
      *m.as<float>() = 1e-6f;
    else
      fill_with_numbers(format, {m.data(), m.size()});
  }
  // different ones for each token, all of them as often, beginning elsewhere in each copy of the arguments
  static void choose_experts(Memory& m, long n) {
    static long copies = 0;
    long experts = 1;
    for (int a = 0; a < table.axes; ++a)
      if (std::string_view(table.axis[a].name) == "mlp.expert") experts = table.axis[a].extent;
    const long first = copies++ * n;
    for (long i = 0; i < n; ++i) m.as<std::int32_t>()[i] = static_cast<std::int32_t>((first + i) * 7 % experts);
  }
  std::vector<Memory> memory_;
};

// Runs program P. Weights come from memory, as in a model with many layers: so many copies of the arguments take turns that the caches forget
// them. Bytes and FLOPs are what the plan says; `roof` is the fraction of the roofline: the least time for each kernel's bytes at the read
// bandwidth or FLOPs at the peak of the format that it multiplies in, whichever is longer, as part of the measured time.
template <class P> void run_program(benchmark::State& state, const Extents& extents, long first_position, DType blocks = DType::q8_0) {
  constexpr double forgotten_bytes = 128e6, part_of_memory = 0.7;
  constexpr std::size_t most_copies = 256;
  const double bytes_of_one = Arguments<P>::bytes(extents, blocks);
  if (bytes_of_one > part_of_memory * available_bytes()) {
    const std::string message = "needs " + std::to_string(static_cast<long>(bytes_of_one / 1e6)) + " MB of memory";
    state.SkipWithError(message.c_str());
    return;
  }
  Machine& m = machine();
  std::vector<std::unique_ptr<Arguments<P>>> copy;
  copy.push_back(std::make_unique<Arguments<P>>(extents, first_position, blocks));
  cpu::Profile predicted;
  m.executor.record(&predicted);
  m.executor.run(copy[0]->binding);
  m.executor.record(nullptr);
  double touched = 0;  // of the bytes of a copy
  for (const auto& k : cpu::rows_of(predicted)) touched += k.bytes();
  while (static_cast<double>(copy.size()) * std::min(touched, bytes_of_one) < forgotten_bytes && copy.size() < most_copies &&
         bytes_of_one < part_of_memory * available_bytes())
    copy.push_back(std::make_unique<Arguments<P>>(extents, first_position, blocks));
  std::size_t next = 0;
  const auto run = [&] {
    m.executor.run(copy[next]->binding);
    next = (next + 1) % copy.size();
  };
  run();
  const long begin = cpu::nanoseconds_now();
  for (auto _ : state) run();
  const double seconds = static_cast<double>(cpu::nanoseconds_now() - begin) * 1e-9 / static_cast<double>(state.iterations());
  double bytes = 0, flops = 0, least = 0;
  for (const auto& k : cpu::rows_of(predicted)) {
    bytes += k.bytes();
    flops += k.flops;
    least += k.roofline_seconds(m.peaks);
  }
  state.counters["GB/s"] = bytes / seconds / 1e9;
  state.counters["GFLOP/s"] = flops / seconds / 1e9;
  state.counters["roof"] = least / seconds;
}

// the time is that of all threads together, seen from outside
template <class F> void add(const std::string& name, F f) {
  benchmark::RegisterBenchmark(name.c_str(), f)->UseRealTime()->Unit(benchmark::kMicrosecond);
}

// extents of all axes of a model of this size
inline Extents extents_of(const Qwen2Dims& d, long tokens, long keys) {
  return {{"token", tokens},
          {"key", keys},
          {"hidden", d.hidden},
          {"vocab", d.vocab},
          {"mlp.intermediate", d.intermediate},
          {"intermediate", d.intermediate},
          {"self_attn.kv_head", d.kv_heads},
          {"self_attn.group", d.heads / d.kv_heads}};
}

}  // namespace weft::benchmarks
