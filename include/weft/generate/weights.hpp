// weights: the tensors of a checkpoint, bound to the parameters of a model by their paths. A tensor stored as the model wants it is used
// where it lies in the mapped file; another format is converted once.
#pragma once
#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "weft/core/tensor.hpp"
#include "weft/generate/convert.hpp"
#include "weft/io/gguf_names.hpp"
#include "weft/io/tensor_source.hpp"
#include "weft/models/parameters.hpp"

namespace weft {

// bytes of the checkpoint done so far, and all of them
using LoadProgress = std::function<void(std::uint64_t, std::uint64_t)>;

// How tensors become what a model wants.
struct LoadSettings {
  DType blocks =
      DType::any_block;  // matrices of a model in any_block that the file stores one by one are quantised to this; any_block: refused
  int threads = 0;       // for conversions; 0: as many as the machine has
};

// The paths of the two parameters that a model may tie, and whether its config says so.
struct TiedHead {
  std::string embedding, head;
  bool tied = false;
};

class Weights {
 public:
  // Binds every parameter of `table`. Tensors that the model does not have are ignored. Where the config ties the head, a file may still
  // hold both tensors: if they differ the file's head is used; if it holds one of them, that one serves as both. Throws one Error that
  // lists every tensor that is missing, of another shape, or of a type that cannot be converted to the model's.
  static Weights load(TensorSource source, const ParameterTable& table, const TiedHead& tie, const LoadProgress& progress = {},
                      const LoadSettings& settings = {}) {
    return Weights(std::move(source), table, tie, progress, settings);
  }

  // Weights without a checkpoint: `fill(row, block, bytes)` makes the elements of each tensor, those of any_block in settings.blocks; a tied
  // head shares those of the embedding.
  using Fill = std::function<void(const ParameterRow&, long, std::span<std::byte>)>;
  static Weights make(const ParameterTable& table, const TiedHead& tie, const Fill& fill, const LoadSettings& settings = {}) {
    return Weights(table, tie, fill, settings);
  }

  // dense row-major elements of row `row` of the table; `block` counts the repeated layers
  const std::byte* data(int row, long block) const {
    return data_[static_cast<std::size_t>(first_[static_cast<std::size_t>(row)] + block)].elements;
  }
  // how they are stored: what the table says, or one of the block formats where it says any_block
  DType format(int row, long block) const { return data_[static_cast<std::size_t>(first_[static_cast<std::size_t>(row)] + block)].format; }
  const ParameterTable& table() const { return table_; }
  // how the matrices are stored, those with the most bytes first: "q4_0", "q4_k, q6_k"
  std::string format_text() const {
    std::map<DType, long> bytes;
    for (int r = 0; r < table_.rows; ++r)
      for (long block = 0; table_.row[r].role == Role::parameter && table_.row[r].rank > 1 && block < table_.row[r].blocks; ++block)
        bytes[format(r, block)] += bytes_for(format(r, block), table_.row[r].size());
    std::string text;
    while (!bytes.empty()) {
      const auto most = std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
      text += (text.empty() ? "" : ", ") + std::string(name_of(most->first));
      bytes.erase(most);
    }
    return text;
  }
  bool head_is_tied() const { return head_is_tied_; }  // the head shares the embedding's memory
  std::uint64_t converted_bytes() const { return converted_bytes_; }
  std::span<const std::string> warnings() const { return warnings_; }

 private:
  struct StoredElements {
    const std::byte* elements;
    DType format;
  };

  Weights(TensorSource source, const ParameterTable& table, const TiedHead& tie, const LoadProgress& progress, const LoadSettings& settings)
      : source_(std::move(source)), table_(table), settings_(settings) {
    std::vector<const StoredTensor*> tensor = find_all(tie);
    refuse_misfits();
    for (const auto* file : source_.files()) file->will_need();
    std::uint64_t done = 0, total = 0;
    for (const auto* t : tensor) total += t->data.size();
    std::vector<std::pair<const StoredTensor*, StoredElements>> shared;  // tensors that two parameters read
    std::size_t next = 0;
    for (int r = 0; r < table_.rows; ++r) {
      first_.push_back(static_cast<long>(data_.size()));
      if (table_.row[r].role != Role::parameter) continue;
      const bool may_be_shared = text_of(table_.row[r].path) == tie.embedding || text_of(table_.row[r].path) == tie.head;
      for (long block = 0; block < table_.row[r].blocks; ++block) {
        const StoredTensor* t = tensor[next++];
        StoredElements ready{};
        for (const auto& [known, elements] : shared)
          if (known == t) ready = elements;
        if (!ready.elements) ready = prepare(*t, table_.row[r].dtype);
        if (may_be_shared) shared.emplace_back(t, ready);
        data_.push_back(ready);
        done += t->data.size();
        if (progress) progress(done, total);
      }
    }
    threads_.reset();
  }

  Weights(const ParameterTable& table, const TiedHead& tie, const Fill& fill, const LoadSettings& settings)
      : table_(table), settings_(settings), head_is_tied_(tie.tied) {
    for (int r = 0; r < table_.rows; ++r) {
      const ParameterRow& row = table_.row[r];
      first_.push_back(static_cast<long>(data_.size()));
      if (row.role != Role::parameter) continue;
      if (tie.tied && text_of(row.path) == tie.head) {  // the embedding comes first in every table
        data_.push_back(data_[static_cast<std::size_t>(first_[static_cast<std::size_t>(table_.find(Name(tie.embedding.c_str())))])]);
        continue;
      }
      for (long block = 0; block < row.blocks; ++block) {
        const DType format = row.dtype == DType::any_block ? settings.blocks : row.dtype;
        converted_.emplace_back(static_cast<std::size_t>(bytes_for(format, row.size())));
        fill(row, block, {converted_.back().data(), converted_.back().size()});
        data_.push_back({converted_.back().data(), format});
      }
    }
  }

  // one tensor per parameter and block, in the order of the table; nullptr where one does not fit
  std::vector<const StoredTensor*> find_all(const TiedHead& tie) {
    std::vector<const StoredTensor*> found;
    for (int r = 0; r < table_.rows; ++r) {
      const ParameterRow& row = table_.row[r];
      if (row.role != Role::parameter) continue;
      for (long block = 0; block < row.blocks; ++block) {
        const std::string name = checkpoint_name(text_of(row.path), block);
        const StoredTensor* tensor = name == tie.head || name == tie.embedding ? find_tied(name, tie) : source_.find(name);
        found.push_back(tensor && fits(*tensor, name, row) ? tensor : nullptr);
        if (!tensor) misfit(name, "expected " + shape_of(row) + ", but the checkpoint does not have it");
      }
    }
    return found;
  }
  const StoredTensor* find_tied(const std::string& name, const TiedHead& tie) {
    const StoredTensor *embedding = source_.find(tie.embedding), *head = source_.find(tie.head);
    if (!tie.tied) return name == tie.head ? head : embedding;
    if (!embedding || !head) {
      head_is_tied_ = true;
      return embedding ? embedding : head;
    }
    head_is_tied_ = embedding->format == head->format && embedding->data.size() == head->data.size() &&
                    std::memcmp(embedding->data.data(), head->data.data(), head->data.size()) == 0;
    if (head_is_tied_) return embedding;
    if (name == tie.head)
      warnings_.push_back(head->file->path().string() + ": the config ties " + tie.head + " to " + tie.embedding +
                          ", but both are here and differ; each is used as it is");
    return name == tie.head ? head : embedding;
  }

  bool fits(const StoredTensor& tensor, const std::string& name, const ParameterRow& row) {
    bool same = tensor.shape.size() == static_cast<std::size_t>(row.rank);
    for (int d = 0; same && d < row.rank; ++d)
      same = tensor.shape[static_cast<std::size_t>(d)] == static_cast<std::uint64_t>(row.extent[d]);
    if (!same) {
      misfit(name, "expected " + shape_of(row) + ", found " + shape_text(tensor.shape) + " in " + tensor.file->path().string());
      return false;
    }
    const auto type = tensor.format;
    const auto found = [&] { return ", found " + std::string(tensor.type) + " in " + tensor.file->path().string(); };
    if (!type || *type == DType::i32) {
      misfit(name, "expected F32, F16, BF16 or a block format" + found());
      return false;
    }
    const DType wanted = wanted_format(*type, row.dtype);
    if (wanted == DType::any_block) {
      misfit(name, "expected a block format" + found());
      return false;
    }
    const long length = row.extent[row.rank - 1];
    if (row.rank > 0 && length % block_elements(wanted) != 0) {
      misfit(name, "its rows have " + std::to_string(length) + " elements; " + name_of(wanted) + " stores blocks of " +
                       std::to_string(block_elements(wanted)));
      return false;
    }
    return true;
  }
  void misfit(const std::string& tensor, const std::string& problem) {
    constexpr std::size_t shown = 10;
    if (misfits_++ < shown) problems_ += "\n  tensor \"" + tensor + "\": " + problem;
  }
  void refuse_misfits() const {
    if (misfits_ == 0) return;
    const std::string place = source_.path().string();
    const std::string list = misfits_ == 1 ? " " + problems_.substr(problems_.find("tensor")) : problems_;
    throw Error(place + ": " + (misfits_ == 1 ? "one tensor does" : std::to_string(misfits_) + " tensors do") +
                " not fit the model:" + list + (misfits_ > 10 ? "\n  and " + std::to_string(misfits_ - 10) + " more" : ""));
  }

  DType wanted_format(DType stored, DType of_model) const {
    return of_model != DType::any_block ? of_model : is_block(stored) ? stored : settings_.blocks;
  }
  StoredElements prepare(const StoredTensor& tensor, DType of_model) {
    const DType stored = *tensor.format, wanted = wanted_format(stored, of_model);
    const auto alignment = static_cast<std::size_t>(is_block(wanted) ? alignof(f16) : bytes_of(wanted));
    if (stored == wanted && !tensor.interleaved && reinterpret_cast<std::uintptr_t>(tensor.data.data()) % alignment == 0) {
      read_pages(tensor.data);
      return {tensor.data.data(), wanted};
    }
    if (!threads_) threads_ = std::make_unique<cpu::Threads>(settings_.threads > 0 ? settings_.threads : cpu::Threads::hardware());
    const long elements = static_cast<long>(tensor.data.size()) / block_bytes(stored) * block_elements(stored);
    converted_.emplace_back(static_cast<std::size_t>(bytes_for(wanted, elements)));
    if (tensor.interleaved)
      convert_interleaved(tensor, elements, wanted, converted_.back().data());
    else
      convert(stored, tensor.data.data(), elements, wanted, converted_.back().data(), *threads_);
    converted_bytes_ += converted_.back().size();
    tensor.file->not_needed(tensor.data);
    return {converted_.back().data(), wanted};
  }
  // halves of each head back to back
  void convert_interleaved(const StoredTensor& tensor, long elements, DType wanted, std::byte* out) {
    const RowOrder order{tensor.interleaved};
    const long rows = static_cast<long>(tensor.shape[0]), length = elements / rows;
    const long from = bytes_for(*tensor.format, length), to = bytes_for(wanted, length);
    for (long r = 0; r < rows; ++r)
      convert(*tensor.format, tensor.data.data() + order.row_in_file(r) * from, length, wanted, out + r * to, *threads_);
  }
  // Brings a tensor into memory now, so that loading is when a user waits for the disk, and not the first answer.
  static void read_pages(std::span<const std::byte> bytes) {
    constexpr std::size_t page = 4096;
    const volatile std::byte* data = bytes.data();
    for (std::size_t at = 0; at < bytes.size(); at += page) static_cast<void>(data[at]);
  }

  TensorSource source_;  // keeps the files mapped
  ParameterTable table_;
  std::vector<long> first_;  // by row: its first entry in data_
  LoadSettings settings_;
  std::unique_ptr<cpu::Threads> threads_;  // only while tensors are converted
  std::vector<StoredElements> data_;
  std::vector<Memory> converted_;  // memory of its own
  std::uint64_t converted_bytes_ = 0;
  bool head_is_tied_ = false;
  std::vector<std::string> warnings_;
  std::size_t misfits_ = 0;
  std::string problems_;
};

}  // namespace weft
