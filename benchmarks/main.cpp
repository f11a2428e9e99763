// weft_benchmarks: layers and skeletons by Google Benchmark, with all its options.
#include <CLI/CLI.hpp>

#include <cstdio>

#include "support.hpp"

namespace {

using namespace weft::benchmarks;

// "0.5B,7B" or "all"; the names must be known
std::vector<std::string> chosen(const std::string& option, const std::string& text, const std::vector<std::string>& known) {
  std::vector<std::string> names = CLI::detail::split(text, ',');
  if (text == "all") return {};
  for (const auto& n : names)
    if (std::find(known.begin(), known.end(), n) == known.end())
      throw weft::Error(option + ": expected all or some of " + CLI::detail::join(known, ",") + ", found \"" + n + "\"");
  return names;
}

void run(CLI::App& app, const char* program, std::string size_list, std::string format_list) {
  std::vector<std::string> rest = app.remaining();
  const auto has = [&](const char* option) {
    return std::any_of(rest.begin(), rest.end(), [&](const std::string& r) { return r.starts_with(option); });
  };
  const bool is_filtered = has("--benchmark_filter");
  if (size_list.empty()) size_list = is_filtered ? "all" : "0.5B";
  if (format_list.empty()) format_list = is_filtered ? "all" : "bf16,q8_0,q4_0";
  if (!has("--benchmark_min_time")) rest.insert(rest.begin(), "--benchmark_min_time=0.2");
  std::vector<std::string> known_sizes, known_formats = {"bf16", "f32"};
  for (const Size& s : sizes) known_sizes.push_back(s.name);
  for (const ExpertSize& s : expert_sizes) known_sizes.push_back(s.name);
  for (const weft::DType f : block_formats) known_formats.push_back(name_of(f));
  const Selection selection{chosen("--sizes", size_list, known_sizes), chosen("--formats", format_list, known_formats)};
  add_bf16_layers(selection);
  add_f32_layers(selection);
  add_block_layers(selection);
  add_expert_layers(selection);
  add_skeletons(selection);

  std::vector<char*> arguments = {const_cast<char*>(program)};
  for (std::string& r : rest) arguments.push_back(r.data());
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) throw weft::Error("an option is not known");
  if (!has("--benchmark_list_tests")) {
    std::fprintf(stderr, "%s\n", machine_line().c_str());
    const Machine& m = machine();
    benchmark::AddCustomContext("cpu", cpu_name());
    benchmark::AddCustomContext("instruction_set", weft::cpu::name_of(weft::cpu::isa));
    benchmark::AddCustomContext("threads", std::to_string(m.executor.threads()));
    benchmark::AddCustomContext("read_bytes_per_second", std::to_string(m.peaks.read_bytes_per_second));
    benchmark::AddCustomContext("f32_flops", std::to_string(m.peaks.f32_flops));
    benchmark::AddCustomContext("bf16_flops", std::to_string(m.peaks.bf16_flops));
    benchmark::AddCustomContext("int8_flops", std::to_string(m.peaks.int8_flops));
  }
  benchmark::RunSpecifiedBenchmarks();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times single layers and skeletons; options of Google Benchmark work, too.");
  app.allow_extras();
  std::string size_list, format_list;
  app.add_option("--sizes", size_list, "0.5B,1.5B,3B,7B,14B,32B,72B, with experts A2.7B,57B-A14B, or all [0.5B; with a filter all]");
  app.add_option("--formats", format_list, "of weights: bf16, f32, q8_0 ... [bf16,q8_0,q4_0; with a filter all]");
  app.add_option("--threads", threads_wanted, "0: as many as the machine has")->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    run(app, argv[0], size_list, format_list);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "benchmarks: %s\n", e.what());
    return 1;
  }
}
