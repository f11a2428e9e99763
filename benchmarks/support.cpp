#include "support.hpp"

#include <fstream>

namespace weft::benchmarks {

int threads_wanted = 0;

Machine& machine() {
  static Machine m{cpu::Executor(threads_wanted), {}};
  static const bool measured = [] {
    m.peaks = cpu::measure_peaks(m.executor.pool(), 1.);
    return true;
  }();
  (void)measured;
  return m;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown CPU";
}

std::string machine_line() {
  const Machine& m = machine();
  char text[256];
  std::snprintf(text, sizeof text, "%s, %s, %d threads: reads %.1f GB/s, %.0f GFLOP/s in f32, %.0f in bf16 (measured now)",
                cpu_name().c_str(), cpu::name_of(cpu::isa), m.executor.threads(), m.peaks.read_bytes_per_second / 1e9,
                m.peaks.f32_flops / 1e9, m.peaks.bf16_flops / 1e9);
  return text;
}

}  // namespace weft::benchmarks
