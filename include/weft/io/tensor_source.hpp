// tensor_source: the tensors of a model under the names of Hugging Face transformers, whatever files they come from.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <weft/io/checkpoint.hpp>
#include <weft/io/safetensors_blocks.hpp>
#include <weft/io/tensor_info.hpp>

namespace weft {

struct StoredTensor {
  std::string name;                       // as transformers calls it
  const MappedFile* file = nullptr;       // where it lies
  std::string_view type;                  // as the file calls it
  std::optional<DType> format;            // nothing: one that weft does not compute with
  std::vector<std::uint64_t> shape = {};  // row-major, slowest axis first; empty for a scalar
  std::span<const std::byte> data = {};   // little-endian, in the mapped file; its address has no alignment to rely on
  // If not 0: rows come in groups of as many (a head), and row 2i + h of a group is row i of its half h (h = 0, 1) in transformers' order. So
  // llama.cpp stores queries and keys of Llama.
  long interleaved = 0;
};

// Keeps the files mapped. Moves; tensors keep their addresses.
class TensorSource {
 public:
  TensorSource() = default;
  // Throws Error as blocks_of does. Not explicit: a checkpoint is a source of tensors.
  TensorSource(Checkpoint checkpoint) {
    auto owner = std::make_shared<const Checkpoint>(std::move(checkpoint));
    path_ = owner->files().size() == 1 ? owner->files()[0].path() : owner->directory();
    for (const auto& warning : owner->warnings()) warnings_.push_back(warning);
    for (const auto& file : owner->files()) {
      files_.push_back(&file.file());
      const auto blocks = blocks_of(file);
      for (const auto& t : file.tensors()) {
        if (owner->find(t.name) != &t) continue;
        const auto found = blocks.find(t.name);
        if (found == blocks.end())
          add({t.name, &file.file(), name_of(t.type), as_dtype(t.type), t.shape, t.data});
        else
          add({t.name, &file.file(), name_of(found->second.format), found->second.format, found->second.shape, t.data});
      }
    }
    owner_ = std::move(owner);
    accept_bare_names();
  }
  // `owner` keeps `files` mapped, whose tensors follow by add()
  TensorSource(std::filesystem::path path, std::shared_ptr<const void> owner, std::vector<const MappedFile*> files)
      : path_(std::move(path)), owner_(std::move(owner)), files_(std::move(files)) {}
  void add(StoredTensor tensor) {
    tensors_.push_back(std::make_unique<StoredTensor>(std::move(tensor)));
    by_name_.emplace(tensors_.back()->name, tensors_.back().get());
  }

  const StoredTensor* find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }
  const std::vector<std::unique_ptr<StoredTensor>>& tensors() const { return tensors_; }
  const std::vector<const MappedFile*>& files() const { return files_; }
  const std::vector<std::string>& warnings() const { return warnings_; }  // what is odd, but harmless
  const std::filesystem::path& path() const { return path_; }             // of the file, or of the directory of several

 private:
  // a checkpoint saved from the bare model lacks the leading "model."
  void accept_bare_names() {
    constexpr std::string_view prefix = "model.";
    for (auto& t : tensors_)
      if (!t->name.starts_with(prefix) && !by_name_.contains(std::string(prefix) + t->name)) {
        bare_.push_back(std::make_unique<std::string>(std::string(prefix) + t->name));
        by_name_.emplace(*bare_.back(), t.get());
      }
  }

  std::filesystem::path path_;
  std::shared_ptr<const void> owner_;
  std::vector<const MappedFile*> files_;
  std::vector<std::unique_ptr<StoredTensor>> tensors_;
  std::vector<std::unique_ptr<std::string>> bare_;
  std::unordered_map<std::string_view, const StoredTensor*> by_name_;
  std::vector<std::string> warnings_;
};

}  // namespace weft
