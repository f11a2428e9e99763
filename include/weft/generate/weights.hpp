// weights: the tensors of a checkpoint, bound to the parameters of a model by their paths. A tensor stored as the model wants it is used
// where it lies in the mapped file, in huge pages if they are quick to be had (generate/huge_pages.hpp); another format is converted once, and
// matrices in blocks that are multiplied are put into panels (core/panels.hpp), whose pages of the file are given back.
#pragma once
#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "weft/core/tensor.hpp"
#include "weft/generate/available_memory.hpp"
#include "weft/generate/convert.hpp"
#include "weft/generate/huge_pages.hpp"
#include "weft/generate/interleave.hpp"
#include "weft/generate/misfits.hpp"
#include "weft/io/gguf_names.hpp"
#include "weft/io/tensor_source.hpp"
#include "weft/models/parameters.hpp"
#include "weft/plan/binding.hpp"

namespace weft {

// bytes of the checkpoint done so far, and all of them
using LoadProgress = std::function<void(std::uint64_t, std::uint64_t)>;

// How tensors become what a model wants.
struct LoadSettings {
  DType blocks =
      DType::any_block;  // matrices of a model in any_block that the file stores one by one are quantised to this; any_block: refused
  int threads = 0;       // for conversions; 0: as many as the machine has
  bool panels = true;    // matrices in blocks that are multiplied are put into panels; false where an executor cannot read them
  std::optional<HugePages> huge_pages = {};  // for what stays in a file; nothing: as WEFT_HUGE_PAGES says
  // Bytes of memory; nothing: what is available. No more than three quarters are taken for what could as well be read from the file, and a
  // checkpoint that is larger is not read in advance: its pages come when they are used, those of parts that nobody chooses never.
  std::optional<std::uint64_t> memory = {};
  // parameters that are zero and not in the checkpoint, by their paths in the type: a decoder without biases is one whose biases are zero
  std::vector<std::string> zeros = {};
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

  // Weights without a checkpoint: `fill(row, block, bytes)` makes the elements of each tensor, those of any_block in settings.blocks; a
  // tied head shares those of the embedding.
  using Fill = std::function<void(const ParameterRow&, long, std::span<std::byte>)>;
  static Weights make(const ParameterTable& table, const TiedHead& tie, const Fill& fill, const LoadSettings& settings = {}) {
    return Weights(table, tie, fill, settings);
  }

  // dense row-major elements of row `row` of the table; `block` counts the repeated layers. nullptr where this layer does not have the parameter, or
  // where it lies in parts.
  const std::byte* data(int row, long block) const { return stored(row, block).elements; }
  // Where the part at each index along the first dimension begins, if the checkpoint stores each as a tensor of its own; else nullptr.
  void* const* parts(int row, long block) const { return stored(row, block).parts; }
  // how they are stored: what the table says, or one of the block formats where it says any_block
  DType format(int row, long block) const { return stored(row, block).format; }
  RowLayout layout(int row, long block) const { return stored(row, block).layout; }
  const ParameterTable& table() const { return table_; }
  // how the matrices are stored, those with the most bytes first: "q4_0", "q4_k, q6_k"
  std::string format_text() const {
    std::map<DType, long> bytes;
    for (int r = 0; r < table_.rows; ++r)
      for (long block = 0; table_.row[r].role == Role::parameter && table_.row[r].rank > 1 && block < table_.row[r].blocks; ++block)
        if (table_.has(table_.row[r], block)) bytes[format(r, block)] += bytes_for(format(r, block), table_.row[r].size());
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
    const std::byte* elements = nullptr;
    DType format{};
    RowLayout layout = RowLayout::plain;
    void* const* parts = nullptr;
  };
  // a tensor that the model wants of the checkpoint
  struct Wanted {
    const ParameterRow* row;  // of the table, or of a part: without the first dimension
    std::size_t entry;        // in data_
    long part;                // -1: the whole parameter
    std::string name;
    const StoredTensor* tensor;  // nullptr: zeros
  };
  const StoredElements& stored(int row, long block) const {
    return data_[static_cast<std::size_t>(first_[static_cast<std::size_t>(row)] + block)];
  }

  Weights(TensorSource source, const ParameterTable& table, const TiedHead& tie, const LoadProgress& progress, const LoadSettings& settings)
      : source_(std::move(source)), table_(table), settings_(settings) {
    const std::vector<Wanted> wanted = find_all(tie);
    misfits_.refuse(source_.path().string());
    for (const auto* file : source_.files()) file->check_length();
    std::uint64_t done = 0, total = 0;
    std::map<const StoredTensor*, Use> uses;  // two parameters may read one tensor
    std::size_t own = 0;
    for (const Wanted& w : wanted) {
      if (!w.tensor) {
        own += place_bytes(w.row->dtype, w.row->size());
        continue;
      }
      total += w.tensor->data.size();
      Use& use = uses[w.tensor];
      use.row = w.row;
      use.contracted = use.contracted || w.row->contracted;
    }
    const std::uint64_t room = (settings.memory ? *settings.memory : available_memory()) / 4 * 3;
    const bool is_read_ahead = total <= room;
    if (is_read_ahead)
      for (const auto* file : source_.files()) file->will_need();
    const std::uint64_t in_panels = bytes_for_panels(uses);
    if (in_panels > room) settings_.panels = false;
    copies_vectors_ = settings_.panels && in_panels > 0;
    FilePages in_place(settings.huge_pages ? *settings.huge_pages : huge_pages_wanted());
    for (const auto& [t, use] : uses)
      if (serves_in_place(*t, use))
        in_place.add(*t->file, t->data, use.contracted && use.row->rank > 1);
      else
        own += place_bytes(wanted_format(*t->format, use.row->dtype), use.row->size());
    if (own + in_place.bytes() > room) in_place.stay();
    memory_ = Memory(own);
    for (const Wanted& w : wanted) {
      if (!w.tensor) {
        std::byte* zeros = place(w.row->dtype, w.row->size());
        std::memset(zeros, 0, static_cast<std::size_t>(bytes_for(w.row->dtype, w.row->size())));
        data_[w.entry] = {zeros, w.row->dtype};
        continue;
      }
      Use& use = uses.at(w.tensor);
      if (!use.ready.elements) use.ready = prepare(*w.tensor, use);
      if (w.part < 0) {
        data_[w.entry] = use.ready;
      } else {
        auto& table_of_parts = w.part == 0 ? part_tables_.emplace_back() : part_tables_.back();
        table_of_parts.push_back(const_cast<std::byte*>(use.ready.elements));  // programs do not write them
        data_[w.entry] = {nullptr, use.ready.format, use.ready.layout, table_of_parts.data()};
      }
      if (serves_in_place(*w.tensor, use)) continue;
      done += w.tensor->data.size();
      if (progress) progress(done, total);
    }
    if (is_read_ahead)
      in_place.bring(threads(), [&](double share) {
        if (progress) progress(done + static_cast<std::uint64_t>(share * static_cast<double>(total - done)), total);
      });
    if (progress) progress(total, total);
    threads_.reset();
  }

  Weights(const ParameterTable& table, const TiedHead& tie, const Fill& fill, const LoadSettings& settings)
      : table_(table), settings_(settings), head_is_tied_(tie.tied) {
    const auto format_of = [&](const ParameterRow& row) { return row.dtype == DType::any_block ? settings.blocks : row.dtype; };
    std::size_t own = 0;
    for (int r = 0; r < table_.rows; ++r)
      if (const ParameterRow& row = table_.row[r]; row.role == Role::parameter)
        own += static_cast<std::size_t>(table_.count(row)) * place_bytes(format_of(row), row.size());
    memory_ = Memory(own);
    for (int r = 0; r < table_.rows; ++r) {
      const ParameterRow& row = table_.row[r];
      first_.push_back(static_cast<long>(data_.size()));
      if (row.role != Role::parameter) continue;
      if (tie.tied && text_of(row.path) == tie.head) {  // the embedding comes first in every table
        data_.push_back(stored(table_.find(Name(tie.embedding.c_str())), 0));
        continue;
      }
      const bool is_head_too = tie.tied && text_of(row.path) == tie.embedding;
      const bool contracted = row.contracted || (is_head_too && table_.row[table_.find(Name(tie.head.c_str()))].contracted);
      for (long block = 0; block < row.blocks; ++block) {
        if (!table_.has(row, block)) {
          data_.push_back({});
          continue;
        }
        const DType format = format_of(row);
        const auto bytes = static_cast<std::size_t>(bytes_for(format, row.size()));
        std::byte* out = place(format, row.size());
        fill(row, block, {out, bytes});
        data_.push_back({out, format, wanted_layout(row, format, contracted)});
        if (data_.back().layout == RowLayout::panels) {
          const long rows = row.rows(), row_bytes = static_cast<long>(bytes) / rows;
          interleave_rows(
              format, [&](long i) { return out + i * row_bytes; }, rows, row_bytes, out, threads());
        }
      }
    }
    threads_.reset();
  }

  // In the order of the table; misfits are noted. Makes the entries of data_.
  std::vector<Wanted> find_all(const TiedHead& tie) {
    std::vector<Wanted> wanted;
    for (int r = 0; r < table_.rows; ++r) {
      const ParameterRow& row = table_.row[r];
      first_.push_back(static_cast<long>(data_.size()));
      if (row.role != Role::parameter) continue;
      const bool is_zero = std::find(settings_.zeros.begin(), settings_.zeros.end(), text_of(row.path)) != settings_.zeros.end();
      for (long block = 0; block < row.blocks; ++block) {
        const std::size_t entry = data_.size();
        data_.emplace_back();
        if (!table_.has(row, block)) continue;
        const std::string name = checkpoint_name(text_of(row.path), block);
        if (is_zero)
          wanted.push_back({&row, entry, -1, name, nullptr});
        else if (row.may_lie_in_parts() && !source_.find(name))
          find_parts(wanted, row, entry, block);
        else
          add_wanted(wanted,
                     {&row, entry, -1, name, name == tie.head || name == tie.embedding ? find_tied(name, tie) : source_.find(name)});
      }
    }
    return wanted;
  }
  void add_wanted(std::vector<Wanted>& wanted, Wanted w) {
    if (!w.tensor)
      misfits_.add(w.name, "expected " + shape_of(*w.row) + ", but the checkpoint does not have it");
    else if (fits(*w.tensor, w.name, *w.row))
      wanted.push_back(std::move(w));
  }
  void find_parts(std::vector<Wanted>& wanted, const ParameterRow& row, std::size_t entry, long block) {
    ParameterRow part = row;
    --part.rank;
    std::copy(row.extent + 1, row.extent + row.rank, part.extent);
    const ParameterRow& shared = part_rows_.emplace_back(part);
    std::optional<DType> format;
    for (long p = 0; p < row.extent[0]; ++p) {
      const std::string name = checkpoint_name(text_of(row.path), block, p);
      const StoredTensor* tensor = source_.find(name);
      if (tensor && format && tensor->format != *format)
        misfits_.add(name, "expected " + std::string(name_of(*format)) + ", as the others of its layer, found " +
                               std::string(tensor->type) + " in " + tensor->file->path().string());
      else
        add_wanted(wanted, {&shared, entry, p, name, tensor});
      if (tensor && !format) format = tensor->format;
    }
    const std::string next = checkpoint_name(text_of(row.path), block, row.extent[0]);
    if (const StoredTensor* tensor = source_.find(next))
      misfits_.add(next,
                   "expected parts 0 to " + std::to_string(row.extent[0] - 1) + ", but there are more in " + tensor->file->path().string());
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
    for (const StoredTensor* t : {embedding, head}) t->file->not_needed(t->data);  // so that only what is used stays in memory
    if (head_is_tied_) return embedding;
    if (name == tie.head)
      warnings_.push_back(head->file->path().string() + ": the config ties " + tie.head + " to " + tie.embedding +
                          ", but both are here and differ; each is used as it is");
    return name == tie.head ? head : embedding;
  }

  bool fits(const StoredTensor& tensor, const std::string& name, const ParameterRow& row) {
    std::span<const std::uint64_t> shape = tensor.shape;  // [1, n] is as good as [n]
    while (shape.size() > static_cast<std::size_t>(row.rank) && shape[0] == 1) shape = shape.subspan(1);
    bool same = shape.size() == static_cast<std::size_t>(row.rank);
    for (int d = 0; same && d < row.rank; ++d) same = shape[static_cast<std::size_t>(d)] == static_cast<std::uint64_t>(row.extent[d]);
    if (!same) {
      misfits_.add(name, "expected " + shape_of(row) + ", found " + shape_text(tensor.shape) + " in " + tensor.file->path().string());
      return false;
    }
    const auto type = tensor.format;
    const auto found = [&] { return ", found " + std::string(tensor.type) + " in " + tensor.file->path().string(); };
    if (!type || *type == DType::i32) {
      misfits_.add(name, "expected F32, F16, BF16 or a block format" + found());
      return false;
    }
    const DType wanted = wanted_format(*type, row.dtype);
    if (wanted == DType::any_block) {
      misfits_.add(name, "expected a block format" + found());
      return false;
    }
    const long length = row.extent[row.rank - 1];
    if (row.rank > 0 && length % block_elements(wanted) != 0) {
      misfits_.add(name, "its rows have " + std::to_string(length) + " elements; " + name_of(wanted) + " stores blocks of " +
                             std::to_string(block_elements(wanted)));
      return false;
    }
    return true;
  }
  DType wanted_format(DType stored, DType of_model) const {
    return of_model != DType::any_block ? of_model : is_block(stored) ? stored : settings_.blocks;
  }
  // panels do not reach from one part into the next
  static long rows_of_part(const ParameterRow& row) {
    return row.may_lie_in_parts() && row.rank > 2 ? row.rows() / row.extent[0] : row.rows();
  }
  RowLayout wanted_layout(const ParameterRow& row, DType format, bool contracted) const {
    return settings_.panels && contracted && is_block(format) && row.rank > 1 && rows_of_part(row) % panel_rows == 0 ? RowLayout::panels
                                                                                                                     : RowLayout::plain;
  }
  cpu::Threads& threads() {
    if (!threads_) threads_ = std::make_unique<cpu::Threads>(settings_.threads > 0 ? settings_.threads : cpu::Threads::hardware());
    return *threads_;
  }
  struct Use {
    const ParameterRow* row = nullptr;
    bool contracted = false;
    StoredElements ready{};
  };
  bool serves_in_place(const StoredTensor& tensor, const Use& use) const {
    const DType wanted = wanted_format(*tensor.format, use.row->dtype);
    const auto alignment = static_cast<std::size_t>(is_block(wanted) ? alignof(f16) : bytes_of(wanted));
    if (copies_vectors_ && use.row->rank < 2) return false;
    return *tensor.format == wanted && wanted_layout(*use.row, wanted, use.contracted) == RowLayout::plain && !tensor.interleaved &&
           reinterpret_cast<std::uintptr_t>(tensor.data.data()) % alignment == 0;
  }
  // of tensors that could as well be read from the file
  std::uint64_t bytes_for_panels(const std::map<const StoredTensor*, Use>& uses) const {
    std::uint64_t bytes = 0;
    for (const auto& [t, use] : uses)
      if (*t->format == wanted_format(*t->format, use.row->dtype) && !t->interleaved &&
          wanted_layout(*use.row, *t->format, use.contracted) == RowLayout::panels)
        bytes += t->data.size();
    return bytes;
  }
  // Tensors that do not stay in a file lie in one piece of memory: small ones, too, have huge pages then.
  static std::size_t place_bytes(DType format, long elements) {
    return (static_cast<std::size_t>(bytes_for(format, elements)) + Memory::alignment - 1) / Memory::alignment * Memory::alignment;
  }
  std::byte* place(DType format, long elements) {
    std::byte* here = memory_.data() + placed_;
    placed_ += place_bytes(format, elements);
    return here;
  }
  StoredElements prepare(const StoredTensor& tensor, const Use& use) {
    const DType stored = *tensor.format, wanted = wanted_format(stored, use.row->dtype);
    if (serves_in_place(tensor, use)) return {tensor.data.data(), wanted};
    const RowLayout layout = wanted_layout(*use.row, wanted, use.contracted);
    const long elements = use.row->size();
    std::byte* out = place(wanted, elements);
    if (stored != wanted || layout == RowLayout::plain) {
      if (tensor.interleaved)
        convert_interleaved(tensor, elements, wanted, out);
      else
        convert(stored, tensor.data.data(), elements, wanted, out, threads());
    }
    if (layout == RowLayout::panels) {
      const long rows = use.row->rows(), row_bytes = bytes_for(wanted, elements / rows);
      const RowOrder order{tensor.interleaved};
      const auto row_at = [&](long r) {
        return stored == wanted ? tensor.data.data() + order.row_in_file(r) * row_bytes : out + r * row_bytes;
      };
      constexpr long together = 4096;  // rows; then their pages are given back, for a large tensor should not be in memory twice
      for (long first = 0; first < rows; first += together) {
        const long n = std::min(together, rows - first), at = first * row_bytes;
        interleave_rows(
            wanted, [&](long r) { return row_at(first + r); }, n, row_bytes, out + at, threads());
        if (stored == wanted)
          tensor.file->not_needed(tensor.data.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(n * row_bytes)));
      }
    }
    converted_bytes_ += static_cast<std::uint64_t>(bytes_for(wanted, elements));
    tensor.file->not_needed(tensor.data);
    return {out, wanted, layout};
  }
  // in the order of the model
  void convert_interleaved(const StoredTensor& tensor, long elements, DType wanted, std::byte* out) {
    const RowOrder order{tensor.interleaved};
    const long rows = static_cast<long>(tensor.shape[0]), length = elements / rows;
    const long from = bytes_for(*tensor.format, length), to = bytes_for(wanted, length);
    for (long r = 0; r < rows; ++r)
      convert(*tensor.format, tensor.data.data() + order.row_in_file(r) * from, length, wanted, out + r * to, threads());
  }
  TensorSource source_;  // keeps the files mapped
  ParameterTable table_;
  std::vector<long> first_;  // by row: its first entry in data_
  LoadSettings settings_;
  std::unique_ptr<cpu::Threads> threads_;  // only while tensors are converted
  std::vector<StoredElements> data_;
  std::deque<ParameterRow> part_rows_;
  std::deque<std::vector<void*>> part_tables_;  // by parameter and layer
  Memory memory_;                               // of the tensors that do not stay in a file
  std::size_t placed_ = 0;
  bool copies_vectors_ = false;  // where matrices leave the file, a vector would keep a page of it in memory, of up to 2 MB
  std::uint64_t converted_bytes_ = 0;
  bool head_is_tied_ = false;
  std::vector<std::string> warnings_;
  Misfits misfits_;
};

}  // namespace weft
