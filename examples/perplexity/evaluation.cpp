#include "evaluation.hpp"

#include <iostream>
#include <thread>

#include <weft/generate/model_files.hpp>
#include <weft_models.hpp>

namespace {

// f(row) for each row, side by side; what a row gives does not depend on the others.
template <class F> void each_row(long rows, int threads, F&& f) {
  std::vector<std::jthread> helpers;
  for (int t = 0; t < threads; ++t)
    helpers.emplace_back([&, t] {
      for (long row = t; row < rows; row += threads) f(row);
    });
}

std::size_t most_probable(std::span<const float> logits) {
  return static_cast<std::size_t>(std::ranges::max_element(logits) - logits.begin());
}

// One model in the middle of a window.
class Reader {
 public:
  Reader(LoadedModel& model, long context, long rows)
      : vocab_(static_cast<std::size_t>(model.vocab)),
        session_(model.model->start({.context = context})),
        logits_(vocab_ * static_cast<std::size_t>(rows)),
        log_sums_(static_cast<std::size_t>(rows)) {}

  void begin(std::span<const std::int32_t> unscored) {
    session_->reset();
    session_->forward(unscored, {});
  }
  void read(std::span<const std::int32_t> ids, int threads) {
    session_->forward(ids, std::span(logits_).first(ids.size() * vocab_));
    each_row(static_cast<long>(ids.size()), threads,
             [&](long row) { log_sums_[static_cast<std::size_t>(row)] = log_sum_exp(logits(row)); });
  }
  std::span<const float> logits(long row) const { return std::span(logits_).subspan(static_cast<std::size_t>(row) * vocab_, vocab_); }
  double log_sum(long row) const { return log_sums_[static_cast<std::size_t>(row)]; }
  double loss(long row, std::int32_t id) const { return log_sum(row) - static_cast<double>(logits(row)[static_cast<std::size_t>(id)]); }

 private:
  std::size_t vocab_;
  std::unique_ptr<weft::Session> session_;
  std::vector<float> logits_;
  std::vector<double> log_sums_;
};

}  // namespace

LoadedModel load(const std::filesystem::path& path, std::optional<weft::DType> format, std::optional<weft::DType> cache, int threads) {
  auto files = weft::ModelFiles::open(path);
  for (const auto& warning : files.warnings()) std::cerr << "perplexity: warning: " << warning << "\n";
  const weft::DType wanted = format.value_or(files.format());
  const auto compiled = compiled_models();
  const auto& type = weft::choose_model(compiled, files.config(), weft::is_block(wanted) ? weft::DType::any_block : wanted, cache);
  LoadedModel loaded;
  loaded.type = type.type_text();
  loaded.cache = weft::name_of(type.cache);
  loaded.vocab = files.config().vocab;
  loaded.max_positions = files.config().max_positions;
  if (files.has_tokenizer()) loaded.tokenizer = files.tokenizer();
  loaded.model = weft::load_model(type, files.config(), files.take_tensors(), threads, {}, wanted);
  loaded.format = loaded.model->weights().format_text();
  for (const auto& warning : loaded.model->weights().warnings()) std::cerr << "perplexity: warning: " << warning << "\n";
  return loaded;
}

Evaluation evaluate(LoadedModel& model, LoadedModel* reference, std::span<const std::int32_t> start, std::span<const std::int32_t> text,
                    long context, long stride, const std::function<void(std::size_t, std::size_t)>& progress) {
  constexpr long piece = 64;  // rows of logits at a time
  const auto before = static_cast<long>(start.size());
  const auto windows = windows_of(static_cast<long>(text.size()), context - before, stride, before > 0);
  const int threads = model.model->threads();
  Reader reader(model, context, piece);
  std::optional<Reader> other;
  if (reference) other.emplace(*reference, context, piece);

  Evaluation evaluation;
  std::vector<std::int32_t> ids;
  std::vector<double> divergence(piece);
  for (std::size_t w = 0; w < windows.size(); ++w) {
    const auto [begin, end, first] = windows[w];
    ids.assign(start.begin(), start.end());
    ids.insert(ids.end(), text.begin() + begin, text.begin() + end);
    // the logits behind one token are about the next
    const std::span<const std::int32_t> all(ids);
    long at = first - begin + before - 1;
    reader.begin(all.first(static_cast<std::size_t>(at)));
    if (other) other->begin(all.first(static_cast<std::size_t>(at)));
    while (at + 1 < static_cast<long>(ids.size())) {
      const long rows = std::min(piece, static_cast<long>(ids.size()) - 1 - at);
      const auto input = all.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(rows));
      reader.read(input, threads);
      if (other) {
        other->read(input, threads);
        each_row(rows, threads, [&](long row) {
          divergence[static_cast<std::size_t>(row)] =
              divergence_from(other->logits(row), other->log_sum(row), reader.logits(row), reader.log_sum(row));
        });
      }
      for (long row = 0; row < rows; ++row) {
        const std::int32_t next = ids[static_cast<std::size_t>(at + row + 1)];
        evaluation.scored.push_back(next);
        evaluation.loss.push_back(reader.loss(row, next));
        bool is_finite = std::isfinite(evaluation.loss.back());
        if (other) {
          evaluation.reference_loss.push_back(other->loss(row, next));
          evaluation.divergence.push_back(divergence[static_cast<std::size_t>(row)]);
          evaluation.same_choice += most_probable(reader.logits(row)) == most_probable(other->logits(row)) ? 1 : 0;
          is_finite = is_finite && std::isfinite(evaluation.reference_loss.back()) && std::isfinite(evaluation.divergence.back());
        }
        if (!is_finite)
          throw weft::Error("logits for token " + std::to_string(begin + at + row + 1 - before) + " of the text: expected finite numbers");
      }
      at += rows;
    }
    progress(w + 1, windows.size());
  }
  return evaluation;
}
