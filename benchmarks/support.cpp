#include "support.hpp"

#include <weft/core/quantize.hpp>

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

namespace {

// what follows the colon in the first line that begins so
std::string value_in(const char* file, const std::string& word) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(word)) return line.substr(std::min(line.find(':') + 2, line.size()));
  return {};
}

}  // namespace

std::string cpu_name() {
  const std::string name = value_in("/proc/cpuinfo", "model name");
  return name.empty() ? "unknown CPU" : name;
}

double available_bytes() {
  const std::string kilobytes = value_in("/proc/meminfo", "MemAvailable");
  return kilobytes.empty() ? 1e30 : 1024. * std::stod(kilobytes);
}

void fill_with_numbers(DType format, std::span<std::byte> bytes) {
  constexpr long some = 61 * 256;  // whole blocks of every format
  std::vector<float> values(some);
  unsigned random = 1;
  for (float& x : values) {
    random = random * 1664525u + 1013904223u;
    x = static_cast<float>(static_cast<int>(random >> 16) - 32768) * (0.1f / 32768);
  }
  Memory pattern(static_cast<std::size_t>(bytes_for(format, some)));
  if (is_block(format)) quantize_row(values.data(), some, format, pattern.data());
  for (long i = 0; i < some; ++i) {
    const float x = values[static_cast<std::size_t>(i)];
    if (format == DType::f32) pattern.as<float>()[i] = x;
    if (format == DType::bf16) pattern.as<bf16>()[i] = to_bf16(x);
    if (format == DType::f16) pattern.as<f16>()[i] = to_f16(x);
  }
  for (std::size_t at = 0; at < bytes.size(); at += pattern.size())
    std::copy_n(pattern.data(), std::min(pattern.size(), bytes.size() - at), bytes.data() + at);
}

std::string machine_line() {
  const Machine& m = machine();
  return cpu_name() + ", " + cpu::name_of(cpu::isa) + ", " + std::to_string(m.executor.threads()) + " threads: " + cpu::text_of(m.peaks) +
         " (measured now)";
}

}  // namespace weft::benchmarks
