// weft_model_benchmarks: prefill and decoding of a whole model at several depths, with random weights or with those of a checkpoint. Each figure is
// the median of some calls and stands beside what the roofline, measured in the same process, would allow.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <weft/cpu/profile_report.hpp>
#include <weft/generate/model_files.hpp>
#include <weft_models.hpp>

#include <cstdio>
#include <filesystem>

#include "support.hpp"

namespace weft::benchmarks {
namespace {

struct Options {
  std::string model = "0.5B", format, cache;
  std::vector<long> prefill, depth;
  double seconds = 1;
  bool json = false;
};

DType named_format(const std::string& name) {
  for (DType f : {DType::f32, DType::bf16})
    if (name == name_of(f)) return f;
  for (DType f : block_formats)
    if (name == name_of(f)) return f;
  throw Error("--format: expected f32, bf16 or a block format, found \"" + name + "\"");
}
std::optional<DType> named_cache(const std::string& name) {
  if (name.empty()) return std::nullopt;
  for (DType f : {DType::f32, DType::bf16, DType::f16, DType::q8_0})
    if (name == name_of(f)) return f;
  throw Error("--cache: expected f32, bf16, f16 or q8_0, found \"" + name + "\"");
}
DType of_type(DType format) { return is_block(format) ? DType::any_block : format; }

struct Loaded {
  std::unique_ptr<LanguageModel> model;
  std::string type, format;
};
Loaded load(const Options& options) {
  const auto compiled = compiled_models();
  if (std::filesystem::exists(options.model)) {
    auto files = ModelFiles::open(options.model);
    const ModelConfig config = files.config();
    const DType wanted = options.format.empty() ? files.format() : named_format(options.format);
    const CompiledModel& type = choose_model(compiled, config, of_type(wanted), named_cache(options.cache));
    auto model = load_model(type, config, files.take_tensors(), threads_wanted, {}, wanted);
    const std::string format = model->weights().format_text();
    return {std::move(model), type.type_text(), format};
  }
  std::string names;
  for (const Size& size : sizes) {
    names += std::string(size.name) + ", ";
    if (options.model != size.name) continue;
    const DType format = options.format.empty() ? DType::bf16 : named_format(options.format);
    const ModelConfig config = qwen2_config_of(size.dims);
    const CompiledModel& type = choose_model(compiled, config, of_type(format), named_cache(options.cache));
    const auto fill = [&](const ParameterRow& row, long, std::span<std::byte> bytes) {
      fill_with_numbers(row.dtype == DType::any_block ? format : row.dtype, bytes);
    };
    Weights weights = Weights::make(type.parameters(size.dims), {type.embedding, type.head, config.tied}, fill, {format, threads_wanted});
    return {type.make(config, std::move(weights), threads_wanted), type.type_text(), name_of(format)};
  }
  throw Error("--model: expected " + names + "a directory or a file, found \"" + options.model + "\"");
}

// Times calls for some seconds, at least three after one that does not count, and prints a line about them.
class Timing {
 public:
  Timing(const Options& options, LanguageModel& model, const cpu::Peaks& peaks) : options_(options), model_(model), peaks_(peaks) {}
  template <class F> void operator()(const std::string& test, long tokens, F call) {
    cpu::Profile predicted;
    model_.record(&predicted);
    call();
    model_.record(nullptr);
    std::vector<double> taken;
    for (const long end = cpu::nanoseconds_now() + static_cast<long>(options_.seconds * 1e9);
         taken.size() < 3 || cpu::nanoseconds_now() < end;) {
      const long begin = cpu::nanoseconds_now();
      call();
      taken.push_back(static_cast<double>(cpu::nanoseconds_now() - begin) * 1e-9);
    }
    std::nth_element(taken.begin(), taken.begin() + static_cast<long>(taken.size() / 2), taken.end());
    const double seconds = taken[taken.size() / 2], speed = static_cast<double>(tokens) / seconds;
    double bytes = 0, flops = 0, least = 0;
    for (const auto& k : cpu::rows_of(predicted)) {
      bytes += k.bytes();
      flops += k.flops;
      least += k.roofline_seconds(peaks_);
    }
    if (options_.json)
      tests_.push_back({{"test", test},
                        {"tokens_per_second", speed},
                        {"runs", taken.size()},
                        {"bytes_per_second", bytes / seconds},
                        {"flops", flops / seconds},
                        {"of_roofline", least / seconds}});
    else
      std::printf("  %-18s %9.1f tokens/s %8.1f GB/s %9.1f GFLOP/s %6.1f %% of the roofline\n", test.c_str(), speed, bytes / seconds / 1e9,
                  flops / seconds / 1e9, 100 * least / seconds);
  }
  const nlohmann::ordered_json& tests() const { return tests_; }

 private:
  const Options& options_;
  LanguageModel& model_;
  const cpu::Peaks& peaks_;
  nlohmann::ordered_json tests_ = nlohmann::ordered_json::array();
};

void run(const Options& options) {
  const auto [model, type, format] = load(options);
  const cpu::Peaks peaks = model->measure_peaks();
  const std::string machine = cpu_name() + ", " + cpu::name_of(cpu::isa) + ", " + std::to_string(model->threads()) + " threads";
  if (!options.json)
    std::printf("%s: %s (measured now)\n%s, %s\n", machine.c_str(), cpu::text_of(peaks).c_str(), type.c_str(), format.c_str());
  const auto largest = [](const std::vector<long>& list) { return list.empty() ? 0 : *std::max_element(list.begin(), list.end()); };
  const auto session = model->start({.context = std::max(largest(options.prefill), largest(options.depth) + 1)});
  std::vector<float> logits(static_cast<std::size_t>(session->vocab()));
  Timing time(options, *model, peaks);
  for (const long n : options.prefill) {
    std::vector<std::int32_t> ids(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(static_cast<long>(i) * 37 % session->vocab());
    time("prefill:" + std::to_string(n), n, [&] {
      session->reset();
      session->forward(ids, logits);
    });
  }
  for (const long depth : options.depth) {
    session->reset();
    session->skip(depth);
    const std::int32_t id = 1;
    time("decode_at:" + std::to_string(depth), 1, [&] {
      session->truncate(depth);
      session->forward({&id, 1}, logits);
    });
  }
  if (!options.json) return;
  const nlohmann::ordered_json result = {{"machine", machine},
                                         {"model", type},
                                         {"format", format},
                                         {"read_bytes_per_second", peaks.read_bytes_per_second},
                                         {"f32_flops", peaks.f32_flops},
                                         {"bf16_flops", peaks.bf16_flops},
                                         {"int8_flops", peaks.int8_flops},
                                         {"tests", time.tests()}};
  std::printf("%s\n", result.dump().c_str());
}

}  // namespace
}  // namespace weft::benchmarks

int main(int argc, char** argv) {
  weft::benchmarks::Options options;
  CLI::App app("Times prefill and decoding of a whole model.");
  app.add_option("--model", options.model, "0.5B, 1.5B ... 72B with random weights; or a directory or file with a checkpoint");
  app.add_option("--format", options.format, "f32, bf16, q8_0, q4_0 ... [as stored; of random weights bf16]");
  app.add_option("--cache", options.cache, "f32, bf16, f16, q8_0: of keys and values, if compiled in [the usual one]");
  app.add_option("--prefill", options.prefill, "tokens of prompts [without --depth: 512]")->delimiter(',')->check(CLI::PositiveNumber);
  app.add_option("--depth", options.depth, "tokens in the cache when one is decoded [without --prefill: 0,4096]")
      ->delimiter(',')
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seconds", options.seconds, "for each figure")->check(CLI::NonNegativeNumber);
  app.add_option("--threads", weft::benchmarks::threads_wanted, "0: as many as the machine has")->check(CLI::NonNegativeNumber);
  app.add_flag("--json", options.json, "print one JSON object");
  CLI11_PARSE(app, argc, argv);
  if (options.prefill.empty() && options.depth.empty()) {
    options.prefill = {512};
    options.depth = {0, 4096};
  }
  try {
    weft::benchmarks::run(options);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "benchmarks: %s\n", e.what());
    return 1;
  }
}
