#include "write_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include <weft/core/quantize.hpp>
#include <weft/io/gguf_names.hpp>
#include <weft/io/safetensors_blocks.hpp>

#include "config_files.hpp"
#include "progress.hpp"

namespace {

using weft::DType;

// Rows of parameters to bytes, several at once.
class RowConverter {
 public:
  RowConverter(const Model& model, weft::cpu::Threads& threads, Progress& progress)
      : model_(model), threads_(threads), progress_(progress) {}

  // hands `rows` rows of the parameter to `write`, in pieces of whole rows; `row_of(i)` is the model's row that comes i-th
  template <class RowOf, class Write> void convert(const Parameter& parameter, long rows, DType format, RowOf&& row_of, Write&& write) {
    const long columns = parameter.columns(), row_bytes = weft::bytes_for(format, columns);
    const long piece = std::max(1L, piece_bytes / row_bytes), ticket_rows = std::max(1L, ticket_elements / columns);
    floats_.resize(static_cast<std::size_t>(threads_.size()));
    for (auto& row : floats_) row.resize(static_cast<std::size_t>(columns));
    for (long first = 0; first < rows; first += piece) {
      const long end = std::min(first + piece, rows);
      bytes_.resize(static_cast<std::size_t>((end - first) * row_bytes));
      tickets_.reset();
      threads_.run([&](int thread) {
        float* row = floats_[static_cast<std::size_t>(thread)].data();
        for (long begin; (begin = first + tickets_.next() * ticket_rows) < end;)
          for (long i = begin; i < std::min(begin + ticket_rows, end); ++i) {
            std::byte* to = bytes_.data() + (i - first) * row_bytes;
            if (const std::byte* stored = model_.stored_row ? model_.stored_row(parameter, row_of(i), format) : nullptr) {
              std::memcpy(to, stored, static_cast<std::size_t>(row_bytes));
              continue;
            }
            model_.read_row(parameter, row_of(i), row);
            if (weft::is_block(format) || format == DType::f16) check(parameter, row_of(i), row, format);
            weft::quantize_row(row, columns, format, to);
          }
      });
      write(std::span<const std::byte>(bytes_));
      progress_.advance(bytes_.size());
    }
  }

 private:
  static constexpr long piece_bytes = 16 << 20, ticket_elements = 1 << 14;

  void check(const Parameter& parameter, long row, const float* x, DType format) const {
    constexpr float largest = 65504;
    for (long i = 0; i < parameter.columns(); ++i)
      if (!(std::abs(x[i]) <= largest))
        throw weft::Error("tensor \"" + parameter.name + "\": row " + std::to_string(row) + ": " + weft::name_of(format) +
                          " holds finite weights of at most 65504 in magnitude, found " + std::to_string(x[i]));
  }

  const Model& model_;
  weft::cpu::Threads& threads_;
  Progress& progress_;
  weft::cpu::Tickets tickets_;
  std::vector<std::vector<float>> floats_;  // a row for each thread
  std::vector<std::byte> bytes_;
};

std::uint64_t bytes_in(const Parameter& parameter, DType format) {
  return static_cast<std::uint64_t>(parameter.rows() * weft::bytes_for(format, parameter.columns()));
}

weft::StoredType plain_type(DType format) {
  return format == DType::f32 ? weft::StoredType::f32 : format == DType::bf16 ? weft::StoredType::bf16 : weft::StoredType::f16;
}

}  // namespace

void write_gguf(const std::filesystem::path& path, const Model& model, const Vocabulary* vocabulary, const Target& target,
                std::optional<DType> output_format, weft::cpu::Threads& threads) {
  weft::GgufWriter writer(path);
  add_config(writer, model, target.gguf_file_type);
  if (vocabulary)
    add_vocabulary(writer, *vocabulary, model.config.vocab);
  else
    writer.add("tokenizer.ggml.model", "no_vocab");
  std::uint64_t total = 0;
  const auto format = [&](const Parameter& parameter) { return format_of(parameter, model.config, target, output_format); };
  for (const auto& parameter : model.parameters) {
    auto shape = parameter.shape;
    if (shape.size() == 2 && shape[0] == 1) shape.erase(shape.begin());
    writer.add_tensor(weft::gguf_name_of(parameter.name).value(), format(parameter), shape);
    total += bytes_in(parameter, format(parameter));
  }
  Progress progress(path.filename().string(), total);
  RowConverter converter(model, threads, progress);
  for (const auto& parameter : model.parameters) {
    const auto order = weft::gguf_row_order(model.config.model_type, parameter.name, model.config.head_dim);
    converter.convert(
        parameter, parameter.rows(), format(parameter), [&](long row) { return order.row_in_model(row); },
        [&](std::span<const std::byte> bytes) { writer.write(bytes); });
  }
  writer.commit();
}

void write_directory(const std::filesystem::path& path, const Model& model, const Vocabulary* vocabulary, const Target& target,
                     std::optional<DType> output_format, weft::cpu::Threads& threads) {
  const bool is_plain = !weft::is_block(target.format);
  const auto format = [&](const Parameter& parameter) {
    return is_plain ? target.format : format_of(parameter, model.config, target, output_format);
  };
  const auto config = config_json(model, target.format), generation = generation_json(model);  // refuse before writing
  std::filesystem::create_directories(path);
  std::vector<weft::TensorInfo> descriptions;
  std::map<std::string, std::string> metadata;
  struct Part {
    const Parameter* parameter;
    long rows, first;
  };
  std::unordered_map<std::string, Part> parts;  // each expert is a tensor of its own here
  std::uint64_t total = 0;
  for (const auto& parameter : model.parameters) {
    auto shape = parameter.shape;
    if (shape.size() == 3) shape.erase(shape.begin());
    for (long part = 0; part < parameter.parts(); ++part) {
      const std::string name = name_of_part(parameter, part);
      if (weft::is_block(format(parameter))) {
        auto [bytes, entry] = weft::describe_blocks(name, format(parameter), shape);
        descriptions.push_back(std::move(bytes));
        metadata.insert(std::move(entry));
      } else {
        descriptions.push_back({name, plain_type(format(parameter)), shape});
      }
      const long rows = parameter.rows() / parameter.parts();
      parts.emplace(name, Part{&parameter, rows, part * rows});
    }
    total += bytes_in(parameter, format(parameter));
  }
  weft::SafetensorsWriter writer(path / "model.safetensors", std::move(descriptions), std::move(metadata));
  Progress progress((path / "model.safetensors").string(), total);
  RowConverter converter(model, threads, progress);
  for (const auto* tensor : writer.order()) {
    const Part part = parts.at(tensor->name);
    converter.convert(
        *part.parameter, part.rows, format(*part.parameter), [&](long row) { return part.first + row; },
        [&](std::span<const std::byte> bytes) { writer.write(bytes); });
  }
  for (const auto& [name, text] : {std::pair("config.json", config), {"generation_config.json", generation}}) {
    weft::AtomicFile file(path / name);
    file.write(text);
    file.commit();
  }
  if (vocabulary) write_vocabulary(path, *vocabulary);
  writer.commit();
}
