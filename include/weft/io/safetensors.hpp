// safetensors: reads and writes the tensor files of the Hugging Face ecosystem: u64 length of header | JSON header | data.
#pragma once
#include <bit>
#include <cstring>
#include <map>
#include <unordered_map>

#include <weft/io/atomic_file.hpp>
#include <weft/io/safetensors_header.hpp>

namespace weft {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and used in place");

// A mapped file whose header has been checked: every tensor's range lies in the file, fits its type and shape, and the ranges tile the
// data. As strict as the reference implementation, and stricter where it is lenient: a tensor given twice is refused.
class SafetensorsFile {
 public:
  // Throws Error naming the file and, where one is to blame, the tensor and its field.
  static SafetensorsFile open(const std::filesystem::path& path) { return SafetensorsFile(path); }

  const std::filesystem::path& path() const { return file_.path(); }
  std::span<const TensorInfo> tensors() const { return tensors_; }  // in the order of their data
  const TensorInfo* find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &tensors_[found->second];
  }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const MappedFile& file() const { return file_; }

 private:
  explicit SafetensorsFile(const std::filesystem::path& path) : file_(path) {
    const auto bytes = file_.bytes();
    const std::string name = path.string();
    std::uint64_t header_bytes = 0;
    constexpr std::uint64_t prefix = sizeof(header_bytes);
    if (bytes.size() < prefix) throw Error(name + ": expected a safetensors file, found only " + std::to_string(bytes.size()) + " bytes");
    std::memcpy(&header_bytes, bytes.data(), prefix);
    if (header_bytes > detail::longest_safetensors_header)
      throw Error(name + ": header: its length is given as " + std::to_string(header_bytes) + " bytes, expected at most " +
                  std::to_string(detail::longest_safetensors_header) + " (is this a safetensors file?)");
    if (header_bytes > bytes.size() - prefix)
      throw Error(name + ": header: its length is given as " + std::to_string(header_bytes) + " bytes, but the file ends " +
                  std::to_string(bytes.size() - prefix) + " bytes after the length");
    detail::SafetensorsHeader header(name);
    header.parse(file_.text().substr(prefix, header_bytes));
    const auto data = bytes.subspan(prefix + header_bytes);
    header.check_tiling(data.size());

    metadata_ = std::move(header.metadata);
    tensors_.reserve(header.tensors.size());
    for (auto& record : header.tensors)
      tensors_.push_back(
          {std::move(record.name), record.type, std::move(record.shape), data.subspan(record.begin, record.end - record.begin)});
    by_name_.reserve(tensors_.size());
    for (std::size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
  }

  MappedFile file_;
  std::vector<TensorInfo> tensors_;  // its elements never move, so the names may be keys
  std::unordered_map<std::string_view, std::size_t> by_name_;
  std::map<std::string, std::string> metadata_;
};

namespace detail {

// The layout of the reference writer: larger elements first, then by name, so that every tensor is aligned to its element.
inline std::vector<const TensorInfo*> safetensors_order(std::span<const TensorInfo> tensors) {
  std::vector<const TensorInfo*> order;
  for (const auto& tensor : tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return bits_of(a->type) != bits_of(b->type) ? bits_of(a->type) > bits_of(b->type) : a->name < b->name;
  });
  return order;
}
// The header with its length before it, padded with spaces to a multiple of 8; `bytes_of_tensor` says how long the data of each will be.
template <class Bytes> std::string safetensors_header(const std::filesystem::path& path, std::span<const TensorInfo* const> order,
                                                      std::map<std::string, std::string> metadata, Bytes&& bytes_of_tensor) {
  metadata["format"] = "pt";
  std::string header;
  try {
    header = "{\"__metadata__\":" + Json(metadata).dump();
    std::uint64_t end = 0;
    for (const auto* tensor : order) {
      if (tensor->name == "__metadata__") throw Error(path.string() + ": a tensor cannot be named \"__metadata__\"");
      const auto begin = std::exchange(end, end + bytes_of_tensor(*tensor));
      header += "," + Json(tensor->name).dump() + ":" + "{\"dtype\":\"" + std::string(name_of(tensor->type)) +
                "\",\"shape\":" + Json(tensor->shape).dump() + ",\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) +
                "]}";
    }
  } catch (const Json::exception&) {
    throw Error(path.string() + ": a name or a metadata entry is not valid UTF-8");
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  // what the reader would refuse must not be written
  SafetensorsHeader check(path.string());
  check.parse(header);
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header;
}

}  // namespace detail

// Writes the tensors as one file, atomically. `metadata` gains {"format": "pt"}, which transformers asks for. Throws Error when a name is
// given twice or reserved, or when the bytes do not fit type and shape.
inline void write_safetensors(const std::filesystem::path& path, std::span<const TensorInfo> tensors,
                              std::map<std::string, std::string> metadata = {}) {
  const auto order = detail::safetensors_order(tensors);
  const auto header =
      detail::safetensors_header(path, order, std::move(metadata), [](const TensorInfo& tensor) { return tensor.data.size(); });
  AtomicFile file(path);
  file.write(header);
  for (const auto* tensor : order) file.write(tensor->data);
  file.commit();
}

// The same for tensors that are made one after the other, so that no more than a piece of one is ever in memory. The descriptions' `data`
// is not read; the data is written in the order of order(), in pieces of any size, and the file appears under its name with commit().
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorInfo> tensors, std::map<std::string, std::string> metadata = {})
      : tensors_(std::move(tensors)), order_(detail::safetensors_order(tensors_)), file_(path) {
    file_.write(detail::safetensors_header(path, order_, std::move(metadata), [this](const TensorInfo& tensor) {
      std::uint64_t bits = bits_of(tensor.type);
      for (const auto extent : tensor.shape) bits *= extent;
      missing_ += bits / 8;
      return bits / 8;
    }));
  }

  std::span<const TensorInfo* const> order() const { return order_; }
  void write(std::span<const std::byte> bytes) {
    if (bytes.size() > missing_) fail(std::to_string(bytes.size() - missing_) + " bytes more than the tensors have");
    file_.write(bytes);
    missing_ -= bytes.size();
  }
  void commit() {
    if (missing_ != 0) fail(std::to_string(missing_) + " bytes less than the tensors have");
    file_.commit();
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const { throw Error(file_.path().string() + ": expected all data, found " + problem); }

  std::vector<TensorInfo> tensors_;
  std::vector<const TensorInfo*> order_;
  AtomicFile file_;
  std::uint64_t missing_ = 0;
};

}  // namespace weft
