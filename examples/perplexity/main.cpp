// perplexity: how well a model predicts a text, and how far its predictions are from those of a reference, for example of the same model
// before quantisation. The results go to standard output, everything else to standard error.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>

#include "evaluation.hpp"
#include "options.hpp"

namespace {

using Json = nlohmann::ordered_json;

std::string read_text(const Options& options) {
  if (options.text) return weft::text::read_file(*options.text);
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

// Both models must mean the same by the same id.
void check_reference(const LoadedModel& model, const LoadedModel& reference, const std::string& text,
                     const std::vector<std::int32_t>& ids) {
  if (model.vocab != reference.vocab)
    throw weft::Error("reference: expected a vocabulary of " + std::to_string(model.vocab) + " tokens as the model has, found " +
                      std::to_string(reference.vocab));
  if (reference.tokenizer && reference.tokenizer->encode(text, weft::text::Special::none) != ids)
    throw weft::Error("reference: its tokenizer makes other tokens of the text than that of the model");
}

void show_progress(std::size_t done, std::size_t all) {
  if (!::isatty(STDERR_FILENO)) return;
  std::fprintf(stderr, done == all ? "\r\033[K" : "\rwindow %zu of %zu", done, all);
  std::fflush(stderr);
}

Json loss_json(const LoadedModel& model, std::span<const double> loss) {
  const Mean mean = mean_of(loss);
  const double perplexity = std::exp(mean.value);
  return {{"model", model.type},
          {"format", model.format},
          {"cache", model.cache},
          {"loss", mean.value},
          {"loss_error", mean.error},
          {"perplexity", perplexity},
          {"perplexity_error", perplexity * mean.error}};
}

// Everything that was measured; errors are standard errors, losses and divergences are in nats per token.
Json results(const LoadedModel& model, const LoadedModel* reference, Evaluation& evaluation) {
  Json json = loss_json(model, evaluation.loss);
  std::size_t bytes = 0;
  for (const auto id : evaluation.scored) bytes += model.tokenizer->bytes(id).size();
  const double total = std::accumulate(evaluation.loss.begin(), evaluation.loss.end(), 0.0);
  json["bits_per_byte"] = total / std::numbers::ln2 / static_cast<double>(bytes);
  json["scored_tokens"] = evaluation.scored.size();
  json["scored_bytes"] = bytes;
  if (!reference) return json;
  json["reference"] = loss_json(*reference, evaluation.reference_loss);
  const Mean mean = mean_of(evaluation.divergence);
  json["divergence"] = {{"mean", mean.value},
                        {"mean_error", mean.error},
                        {"median", quantile(evaluation.divergence, 0.5)},
                        {"percentile_99", quantile(evaluation.divergence, 0.99)},
                        {"largest", quantile(evaluation.divergence, 1)}};
  json["same_choice"] = static_cast<double>(evaluation.same_choice) / static_cast<double>(evaluation.scored.size());
  return json;
}

template <class... T> std::string print(const char* format, T... values) {
  char line[256];
  std::snprintf(line, sizeof line, format, values...);
  return line;
}
std::string loss_lines(const Json& json) {
  const auto number = [&](const char* key) { return json[key].get<double>(); };
  return print("  loss              %.5f +- %.5f nats per token\n", number("loss"), number("loss_error")) +
         print("  perplexity        %.4f +- %.4f\n", number("perplexity"), number("perplexity_error"));
}
std::string table_of(const Json& json) {
  const auto name = [](const Json& of) {
    return of["model"].get<std::string>() + ", " + of["format"].get<std::string>() + ", cache in " + of["cache"].get<std::string>() + "\n";
  };
  std::string text = print("text                %ld tokens, %ld of them scored; context %ld, stride %ld\n", json["tokens"].get<long>(),
                           json["scored_tokens"].get<long>(), json["context"].get<long>(), json["stride"].get<long>());
  text += "model               " + name(json) + loss_lines(json);
  text += print("  compression       %.5f bits per byte\n", json["bits_per_byte"].get<double>());
  if (json.contains("reference")) {
    const auto& divergence = json["divergence"];
    const auto number = [&](const char* key) { return divergence[key].get<double>(); };
    text += "reference           " + name(json["reference"]) + loss_lines(json["reference"]);
    text += "model against reference\n";
    text += print("  divergence        %.3g +- %.2g nats, median %.3g, 99 %% below %.3g, largest %.3g\n", number("mean"),
                  number("mean_error"), number("median"), number("percentile_99"), number("largest"));
    text += print("  same choice       %.3f %% of the most probable tokens\n", 100 * json["same_choice"].get<double>());
  }
  return text + print("%.1f s\n", json["seconds"].get<double>());
}

void run(const Options& options) {
  const std::string text = read_text(options);
  auto model = load(options.model, options.dtype, options.cache, options.threads);
  if (!model.tokenizer) throw weft::Error(options.model.string() + ": the model has no tokenizer");
  auto ids = model.tokenizer->encode(text, weft::text::Special::none);
  std::optional<LoadedModel> reference;
  if (options.reference) {
    reference = load(*options.reference, options.reference_dtype, std::nullopt, options.threads);
    check_reference(model, *reference, text, ids);
  }
  if (options.tokens) ids.resize(std::min(ids.size(), static_cast<std::size_t>(*options.tokens)));
  for (const auto id : ids)
    if (id >= model.vocab)
      throw weft::Error("text: its token " + std::to_string(id) + " is none of the model's " + std::to_string(model.vocab));
  if (ids.size() < 2) throw weft::Error("text: expected at least two tokens, found " + std::to_string(ids.size()));

  const auto start = model.tokenizer->start();
  const long context = options.context.value_or(std::min(512L, model.max_positions)), stride = options.stride.value_or(context / 2);
  const long room = context - static_cast<long>(start.size());
  const long most = std::min(model.max_positions, reference ? reference->max_positions : model.max_positions);
  if (context > most) throw weft::Error("context: expected at most " + std::to_string(most) + " tokens, found " + std::to_string(context));
  if (stride > room)
    throw weft::Error("stride: expected at most the " + std::to_string(room) + " tokens of a window, found " + std::to_string(stride));

  const auto begin = std::chrono::steady_clock::now();
  auto evaluation = evaluate(model, reference ? &*reference : nullptr, start, ids, context, stride, show_progress);
  Json json = results(model, reference ? &*reference : nullptr, evaluation);
  json["tokens"] = ids.size();
  json["context"] = context;
  json["stride"] = stride;
  json["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::cout << (options.json ? json.dump() + "\n" : table_of(json)) << std::flush;
  if (!std::cout) throw weft::Error("standard output: cannot write");
}

}  // namespace

int main(int argc, char** argv) { return run_program("perplexity", parse_options(argc, argv), run); }
