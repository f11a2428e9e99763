// generate: continues a text with a checkpoint in the Hugging Face layout. The text goes to standard output as it comes, everything else to
// standard error.
#include <bit>
#include <chrono>
#include <cmath>
#include <csignal>
#include <iostream>

#include <weft/generate/generate.hpp>
#include <weft/io/config.hpp>
#include <weft/io/npy.hpp>
#include <weft_models.hpp>

#include "options.hpp"
#include "prompt.hpp"
#include "report.hpp"

namespace {

volatile std::sig_atomic_t interrupted = 0;

// The first Ctrl-C ends the text, a second one the program.
void on_interrupt(int) {
  interrupted = 1;
  std::signal(SIGINT, SIG_DFL);
}

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

weft::DType choose_format(const Options& options, const weft::Checkpoint& checkpoint) {
  if (options.dtype) return *options.dtype == "bf16" ? weft::DType::bf16 : weft::DType::f32;
  std::uint64_t bytes = 0;
  for (const auto* tensor : checkpoint.tensors())
    if (tensor->type == weft::StoredType::bf16) bytes += tensor->data.size();
  return 2 * bytes > checkpoint.total_bytes() ? weft::DType::bf16 : weft::DType::f32;
}

void check_prompt(std::span<const std::int32_t> prompt, long vocab, long context) {
  for (const auto id : prompt)
    if (id < 0 || id >= vocab)
      throw weft::Error("prompt: token id " + std::to_string(id) + " is out of range, the model's go from 0 to " +
                        std::to_string(vocab - 1));
  if (static_cast<long>(prompt.size()) > context)
    throw weft::Error("prompt: it has " + std::to_string(prompt.size()) + " tokens, the context holds " + std::to_string(context));
}

// Prefills and writes the logits of every prompt token; leaves those of the last one in `last`. False if the user interrupted: then no
// file.
bool write_logits(weft::Session& session, std::span<const std::int32_t> prompt, const std::filesystem::path& path, std::span<float> last) {
  constexpr std::size_t piece = 64;
  const auto vocab = last.size();
  weft::NpyWriter file(path, prompt.size(), vocab);
  std::vector<float> rows(std::min(piece, prompt.size()) * vocab);
  for (std::size_t begin = 0; begin < prompt.size(); begin += piece) {
    if (interrupted) return false;
    const auto count = std::min(piece, prompt.size() - begin);
    const auto values = std::span(rows).first(count * vocab);
    session.forward(prompt.subspan(begin, count), values);
    for (std::size_t i = 0; i < values.size(); ++i)
      if (!std::isfinite(values[i]))
        throw weft::Error("logits at position " + std::to_string(begin + i / vocab) + ": expected finite numbers, found " +
                          (std::isnan(values[i]) ? "NaN" : "infinity") + " for token " + std::to_string(i % vocab));
    file.write_rows(values);
    std::copy(values.end() - static_cast<std::ptrdiff_t>(vocab), values.end(), last.begin());
  }
  file.finish();
  return true;
}

void show(const std::string& piece) {
  if (!piece.empty()) std::cout << piece << std::flush;
}

void run(const Options& options) {
  const Stopwatch loading;
  auto checkpoint = weft::Checkpoint::open(options.model);
  const auto directory = checkpoint.directory();
  const auto config = weft::read_model_config(directory);
  const auto defaults = weft::read_generation_config(directory, config);
  for (const auto& warning : config.warnings) std::cerr << "generate: warning: " << warning << "\n";
  for (const auto& warning : checkpoint.warnings()) std::cerr << "generate: warning: " << warning << "\n";
  const auto format = choose_format(options, checkpoint);
  const auto compiled = compiled_models();
  const auto& type = weft::choose_model(compiled, config, format);
  if (options.describe) show(type.text.describe(weft::dims_of(config)));
  if (options.explain) show(type.text.explain());
  if (options.describe || options.explain) return;

  const auto settings = sampling_settings(options, weft::sampling_settings(defaults));
  const auto tokenizer = load_tokenizer(options, directory);
  const auto* text_of_ids = tokenizer ? &*tokenizer : nullptr;
  const auto prompt = read_prompt(options, text_of_ids, directory);
  const long max_tokens = options.max_tokens.value_or(defaults.max_new_tokens.value_or(256));
  const long prompt_tokens = static_cast<long>(prompt.size());
  const long context = options.context.value_or(std::min(config.max_positions, prompt_tokens + max_tokens));
  check_prompt(prompt, config.vocab, context);

  const auto model = weft::load_model(type, config, std::move(checkpoint), options.threads, progress_bar());
  for (const auto& warning : model->weights().warnings()) std::cerr << "generate: warning: " << warning << "\n";
  const auto session = model->start({.context = context});
  std::vector<float> logits(static_cast<std::size_t>(config.vocab));
  weft::Sampler sampler(settings, logits.size());
  TextStream text(text_of_ids, options.stop);
  Report report;
  report.model = type.type_text();
  report.format = name_of(format);
  report.parameters = type.size(weft::dims_of(config)).parameters;
  report.instruction_set = type.instruction_set;
  report.threads = model->threads();
  report.seed = settings.seed;
  report.is_sampled = settings.temperature > 0;
  report.context = context;
  report.prompt_ids = prompt;
  report.load_seconds = loading.seconds();
  std::signal(SIGINT, on_interrupt);

  const Stopwatch prefilling;
  const bool is_complete = options.logits ? write_logits(*session, prompt, *options.logits, logits)
                                          : weft::prefill(*session, prompt, logits, [] { return !interrupted; });
  report.prefill_tokens = session->position();
  report.prefill_seconds = prefilling.seconds();

  const Stopwatch decoding;
  if (is_complete) {
    for (const auto id : prompt) sampler.seen(id);
    const auto result = weft::generate(*session, sampler, logits, {max_tokens, defaults.eos}, [&](std::int32_t id) {
      report.ids.push_back(id);
      show(text.push(id));
      return text.stopped() ? weft::Continue::stop : interrupted ? weft::Continue::interrupt : weft::Continue::yes;
    });
    report.finish_reason = result.finish_reason;
    report.decode_tokens = result.forwarded;
    if (result.end_token) report.ids.push_back(*result.end_token);
  } else {
    report.finish_reason = weft::FinishReason::interrupted;
  }
  report.decode_seconds = decoding.seconds();
  show(text.finish());
  report.text = text.text();

  if (!report.text.ends_with('\n')) show("\n");
  if (options.json) show(json_of(report) + "\n");
  if (options.stats || report.finish_reason == weft::FinishReason::interrupted) std::cerr << statistics_of(report);
  if (!std::cout) throw weft::Error("standard output: cannot write");
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = parse_options(argc, argv);
  if (parsed.exit_status) return *parsed.exit_status;
  try {
    run(parsed.options);
  } catch (const std::exception& problem) {
    std::cerr << "generate: " << problem.what() << "\n";
    return 1;
  }
  return 0;
}
