// weft_benchmarks: layers by Google Benchmark, with all its options; --model NAME times a whole model instead.
#include <CLI/CLI.hpp>

#include <cstdio>

#include "model.hpp"
#include "support.hpp"

int main(int argc, char** argv) {
  using namespace weft::benchmarks;
  CLI::App app("Times single layers (Google Benchmark; its options work, too), or with --model a whole model with random weights.");
  app.allow_extras();
  ModelRun run;
  app.add_option("--model", run.model, "qwen2.5-0.5b, -1.5b, -3b or -7b");
  app.add_option("--prefill", run.prefill, "tokens of the prompt")->check(CLI::PositiveNumber);
  app.add_option("--decode", run.decode, "tokens generated in each repetition")->check(CLI::PositiveNumber);
  app.add_option("--repeat", run.repeat, "repetitions; medians are printed")->check(CLI::PositiveNumber);
  app.add_option("--threads", threads_wanted, "0: as many as the machine has")->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    if (!run.model.empty()) {
      run_model(run);
      return 0;
    }
    std::vector<std::string> rest = app.remaining();
    std::vector<char*> arguments = {argv[0]};
    for (std::string& r : rest) arguments.push_back(r.data());
    int count = static_cast<int>(arguments.size());
    arguments.push_back(nullptr);
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
    std::printf("%s\n", machine_line().c_str());
    benchmark::RunSpecifiedBenchmarks();
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "benchmarks: %s\n", e.what());
    return 1;
  }
}
