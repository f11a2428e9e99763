// checkpoint: the tensors of a model, from one safetensors file or from the shards that model.safetensors.index.json lists.
#pragma once
#include <weft/io/json.hpp>
#include <weft/io/safetensors.hpp>

namespace weft {

// Tensors stay in their mapped files; a Checkpoint keeps the files open and must outlive every TensorInfo taken from it.
class Checkpoint {
 public:
  // `path` is a model directory in Hugging Face's layout, or one .safetensors file. In a directory, model.safetensors is taken before the
  // index of shards, as transformers does. Throws Error naming the file when something is missing or broken.
  static Checkpoint open(const std::filesystem::path& path) {
    Checkpoint checkpoint;
    if (!std::filesystem::exists(path)) throw Error(path.string() + ": there is no such file or directory");
    if (!std::filesystem::is_directory(path)) {
      checkpoint.directory_ = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
      checkpoint.add_all_of(path);
      return checkpoint;
    }
    checkpoint.directory_ = path;
    const auto single = path / "model.safetensors", index = path / "model.safetensors.index.json";
    if (std::filesystem::exists(single))
      checkpoint.add_all_of(single);
    else if (std::filesystem::exists(index))
      checkpoint.add_shards(index);
    else
      throw Error(path.string() + ": expected model.safetensors or model.safetensors.index.json in this directory, found neither");
    return checkpoint;
  }

  // The tensor of this name; nullptr if there is none. A checkpoint saved from the bare model lacks the leading "model.": it is found too.
  const TensorInfo* find(std::string_view name) const {
    auto found = by_name_.find(name);
    constexpr std::string_view prefix = "model.";
    if (found == by_name_.end() && name.starts_with(prefix)) found = by_name_.find(name.substr(prefix.size()));
    return found == by_name_.end() ? nullptr : found->second;
  }
  std::span<const TensorInfo* const> tensors() const { return tensors_; }
  std::span<const SafetensorsFile> files() const { return files_; }
  std::span<const std::string> warnings() const { return warnings_; }    // what is odd, but harmless
  const std::filesystem::path& directory() const { return directory_; }  // where config.json and the tokenizer are expected
  std::uint64_t total_bytes() const {
    std::uint64_t total = 0;
    for (const auto* tensor : tensors_) total += tensor->data.size();
    return total;
  }

 private:
  void add(const TensorInfo& tensor) {
    tensors_.push_back(&tensor);
    by_name_.emplace(tensor.name, &tensor);
  }
  void add_all_of(const std::filesystem::path& path) {
    files_.push_back(SafetensorsFile::open(path));
    for (const auto& tensor : files_.back().tensors()) add(tensor);
  }
  void add_shards(const std::filesystem::path& index) {
    const Json document = read_json(index);
    if (!document.is_object()) throw Error(index.string() + ": expected an object");
    const auto map = document.find("weight_map");
    if (map == document.end() || !map->is_object())
      throw Error(index.string() + ": field \"weight_map\": expected an object of shard names");
    if (map->empty()) throw Error(index.string() + ": field \"weight_map\" names no tensor");
    std::map<std::string, std::size_t> shards;  // name -> place in files_
    for (const auto& [tensor, shard] : map->items()) {
      if (!shard.is_string())
        throw Error(index.string() + ": tensor " + detail::in_quotes(tensor) + ": expected the name of a shard, found " + shard.dump());
      const auto& name = shard.get_ref<const std::string&>();
      check_plain_name(index, tensor, name);
      shards.emplace(name, shards.size());
    }
    files_.reserve(shards.size());
    for (auto& [name, place] : shards) {
      const auto path = index.parent_path() / name;
      if (!std::filesystem::exists(path))
        throw Error(path.string() + ": this shard is missing; " + index.filename().string() + " names it");
      place = files_.size();
      files_.push_back(SafetensorsFile::open(path));
    }
    for (const auto& [tensor, shard] : map->items()) {
      const auto& file = files_[shards.at(shard.get_ref<const std::string&>())];
      const auto* info = file.find(tensor);
      if (!info)
        throw Error(file.path().string() + ": tensor " + detail::in_quotes(tensor) + " is missing; " + index.filename().string() +
                    " says that it is in this file");
      add(*info);
    }
    compare_total_size(index, document);
  }
  // An index comes from elsewhere: it must not lead to files outside the model's directory.
  static void check_plain_name(const std::filesystem::path& index, const std::string& tensor, const std::string& shard) {
    const bool plain = !shard.empty() && shard.find_first_of("/\\") == shard.npos && shard.find('\0') == shard.npos &&
                       shard.find("..") == shard.npos && shard != ".";
    if (!plain)
      throw Error(index.string() + ": tensor " + detail::in_quotes(tensor) + ": expected a plain file name in the same directory, found " +
                  detail::in_quotes(shard));
  }
  // transformers does not check this number, and published files disagree with it; so it is worth a word, not a refusal.
  void compare_total_size(const std::filesystem::path& index, const Json& document) {
    const auto metadata = document.find("metadata");
    if (metadata == document.end() || !metadata->is_object() || !metadata->contains("total_size")) return;
    const auto& stated = (*metadata)["total_size"];
    if (stated != total_bytes())
      warnings_.push_back(index.string() + ": metadata.total_size is " + stated.dump() + ", but the tensors have " +
                          std::to_string(total_bytes()) + " bytes");
  }

  std::filesystem::path directory_;
  std::vector<SafetensorsFile> files_;  // never grows once tensors_ points into it
  std::vector<const TensorInfo*> tensors_;
  std::unordered_map<std::string_view, const TensorInfo*> by_name_;
  std::vector<std::string> warnings_;
};

}  // namespace weft
