// generate: continues a text with a checkpoint in the Hugging Face layout. The text goes to standard output as it comes, everything else to
// standard error.
#include <malloc.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <iostream>

#include <weft/generate/generate.hpp>
#include <weft/generate/model_files.hpp>
#include <weft/io/npy.hpp>
#include <weft_models.hpp>

#include "cuda_models.hpp"
#include "options.hpp"
#include "profile.hpp"
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

// What it took to read a tokenizer is free by now; the C library would keep it beside the weights.
void give_back_memory() {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
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

// Measures and prints a prefill and a decode step.
void print_profile(weft::LanguageModel& model, std::span<const std::int32_t> prompt, long context) {
  const auto session = model.start({.context = context});
  show(profile_of(model, *session, prompt));
}

void run(const Options& options) {
  const Stopwatch loading;
  auto files = weft::ModelFiles::open(options.model);
  const auto& config = files.config();
  const auto& defaults = files.generation();
  const weft::DType wanted = options.dtype.value_or(files.format());
  const weft::DType format = weft::is_block(wanted) ? weft::DType::any_block : wanted;
  if (options.experts) {
    const char* compiled_for = format == weft::DType::any_block ? "blocks" : weft::name_of(format);
    return show(config.experts ? weft::experts_entry(weft::dims_of(config)) + ":" + compiled_for + "\n" : "");
  }
  for (const auto& warning : files.warnings()) std::cerr << "generate: warning: " << warning << "\n";
  const bool in_words = options.describe || options.explain;  // which are the same for all devices
  const auto compiled = options.on_cuda && !in_words ? cuda_models() : compiled_models();
  const auto& type = weft::choose_model(compiled, config, format, options.cache);
  if (options.describe) show(type.text.describe(weft::dims_of(config)));
  if (options.explain) show(type.text.explain());
  if (in_words) return;

  const auto settings = sampling_settings(options, weft::sampling_settings(defaults));
  const bool has_prompt = options.prompt || options.chat || options.ids || !options.profile;
  const auto tokenizer = has_prompt ? load_tokenizer(options, files) : std::nullopt;
  const auto* text_of_ids = tokenizer ? &*tokenizer : nullptr;
  const long room = options.context.value_or(config.max_positions) - profile_decode_steps - 1;
  const auto prompt = has_prompt ? read_prompt(options, text_of_ids, files) : ids_to_profile(std::clamp(room, 1L, 512L), config.vocab);
  const long max_tokens = options.profile ? profile_decode_steps + 1 : options.max_tokens.value_or(defaults.max_new_tokens.value_or(256));
  const long prompt_tokens = static_cast<long>(prompt.size());
  const long context = options.context.value_or(std::min(config.max_positions, prompt_tokens + max_tokens));
  check_prompt(prompt, config.vocab, context);

  give_back_memory();
  const auto model = weft::load_model(type, config, files.take_tensors(), options.threads, progress_bar(), wanted);
  for (const auto& warning : model->weights().warnings()) std::cerr << "generate: warning: " << warning << "\n";
  if (options.profile) return print_profile(*model, prompt, context);
  weft::RoutingCounts routing;
  const auto session = model->start({.context = context, .routing = options.stats ? &routing : nullptr});
  std::vector<float> logits(static_cast<std::size_t>(config.vocab));
  weft::Sampler sampler(settings, logits.size());
  TextStream text(text_of_ids, options.stop);
  Report report;
  if (options.stats) report.routing = &routing;
  report.model = type.type_text();
  report.format = model->weights().format_text();
  report.cache = weft::name_of(type.cache);
  const auto size = type.size(weft::dims_of(config));
  report.parameters = size.parameters;
  report.weight_bytes = weight_bytes(model->weights(), type.head);
  report.cache_bytes = size.kv_bytes_per_token * context;
  report.device = model->device();
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

int main(int argc, char** argv) { return run_program("generate", parse_options(argc, argv), run); }
