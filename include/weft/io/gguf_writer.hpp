// gguf_writer: writes model files of llama.cpp, GGUF version 3, tensor by tensor, so that no more than a piece of one is ever in memory.
#pragma once
#include <unordered_set>

#include <weft/io/atomic_file.hpp>
#include <weft/io/gguf.hpp>

namespace weft {

template <class T> concept GgufNumber = std::is_arithmetic_v<T>;

// First all add(...), then all add_tensor(...), then the tensors' data in the same order by write(...), then commit(): the file appears
// under its name with commit() and not before. Throws Error, which names the file and the key or tensor, for what the reader would refuse
// and for data that is not as long as was announced.
class GgufWriter {
 public:
  explicit GgufWriter(const std::filesystem::path& path) : file_(path) {}

  template <GgufNumber T> void add(std::string_view key, T value) {
    begin_entry(key, detail::gguf_type_of<T>());
    put(metadata_, value);
  }
  void add(std::string_view key, std::string_view value) {
    begin_entry(key, GgufType::string);
    put(metadata_, value);
  }
  void add(std::string_view key, const char* value) { add(key, std::string_view(value)); }
  // an array of strings or of numbers
  template <class Element> void add(std::string_view key, std::span<const Element> values) {
    begin_entry(key, GgufType::array);
    if constexpr (std::is_arithmetic_v<Element>)
      put(metadata_, static_cast<std::uint32_t>(detail::gguf_type_of<Element>()));
    else
      put(metadata_, static_cast<std::uint32_t>(GgufType::string));
    put(metadata_, std::uint64_t{values.size()});
    for (const auto& value : values) {
      if constexpr (std::is_arithmetic_v<Element>)
        put(metadata_, value);
      else
        put(metadata_, std::string_view(value));
    }
  }
  // an entry of another file, as it is
  void add(const GgufEntry& entry) {
    begin_entry(entry.key, entry.type);
    if (entry.is_array()) {
      put(metadata_, static_cast<std::uint32_t>(entry.element));
      put(metadata_, entry.count);
    }
    metadata_.append(reinterpret_cast<const char*>(entry.bytes.data()), entry.bytes.size());
    for (const auto text : entry.strings) put(metadata_, text);
  }

  // row-major shape, slowest axis first; rows are whole blocks
  void add_tensor(const std::string& name, DType type, const std::vector<std::uint64_t>& shape) {
    if (is_begun_) fail(name, "was announced after data had been written");
    const auto* number = detail::ggml_type_of(type);
    if (!number) fail(name, std::string("GGUF has no type for ") + name_of(type));
    if (name.empty() || name.size() > GgufFile::longest_name)
      fail(name, "expected a name of 1 to " + std::to_string(GgufFile::longest_name) + " bytes");
    if (shape.size() > GgufFile::largest_rank) fail(name, "expected at most 4 axes, found " + shape_text(shape));
    if (!names_.insert(name).second) fail(name, "is given twice");
    const auto row = shape.empty() ? 1 : shape.back(), block = static_cast<std::uint64_t>(block_elements(type));
    if (row % block != 0)
      fail(name, std::string(name_of(type)) + " " + shape_text(shape) + ": expected rows of whole blocks of " + std::to_string(block));
    std::uint64_t bytes = row / block * static_cast<std::uint64_t>(block_bytes(type));
    for (std::size_t d = 0; d + 1 < shape.size(); ++d) bytes *= shape[d];
    put(descriptions_, std::string_view(name));
    put(descriptions_, static_cast<std::uint32_t>(shape.size()));
    for (auto extent = shape.rbegin(); extent != shape.rend(); ++extent) put(descriptions_, *extent);
    put(descriptions_, number->number);
    put(descriptions_, offset_);
    offset_ += bytes + padding_after(bytes);
    tensors_.push_back({name, bytes});
  }

  // the next bytes of the data of the tensor that is being written; a piece does not reach into the next tensor
  void write(std::span<const std::byte> bytes) {
    begin_data();
    if (bytes.empty()) return;
    if (current_ == tensors_.size()) fail(tensors_.empty() ? "" : tensors_.back().name, "has more data than was announced");
    const auto& tensor = tensors_[current_];
    if (bytes.size() > tensor.bytes - written_)
      fail(tensor.name,
           "expected " + std::to_string(tensor.bytes) + " bytes, found " + std::to_string(written_ + bytes.size()) + " or more");
    file_.write(bytes);
    written_ += bytes.size();
    skip_complete();
  }
  void commit() {
    begin_data();
    if (current_ < tensors_.size())
      fail(tensors_[current_].name, "expected " + std::to_string(tensors_[current_].bytes) + " bytes, found " + std::to_string(written_));
    file_.commit();
  }

 private:
  static constexpr std::uint64_t alignment = 32;  // the format's default
  struct Announced {
    std::string name;
    std::uint64_t bytes;
  };

  template <class T> static void put(std::string& to, T value) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      put(to, std::uint64_t{value.size()});
      to += value;
    } else {
      to.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
  }
  static std::uint64_t padding_after(std::uint64_t bytes) { return (alignment - bytes % alignment) % alignment; }
  void pad(std::uint64_t bytes) {
    constexpr std::byte zeros[alignment] = {};
    file_.write(std::span(zeros, padding_after(bytes)));
  }

  void begin_entry(std::string_view key, GgufType type) {
    const std::string place = file_.path().string() + ": key " + detail::in_quotes(key) + ": ";
    if (is_begun_) throw Error(place + "was added after data had been written");
    if (key.empty() || key == "general.alignment") throw Error(place + "cannot be chosen");
    if (!keys_.insert(std::string(key)).second) throw Error(place + "is given twice");
    put(metadata_, key);
    put(metadata_, static_cast<std::uint32_t>(type));
  }
  void begin_data() {
    if (std::exchange(is_begun_, true)) return;
    std::string header = "GGUF";
    put(header, std::uint32_t{3});
    put(header, std::uint64_t{tensors_.size()});
    put(header, std::uint64_t{keys_.size()});
    header += metadata_;
    header += descriptions_;
    file_.write(header);
    pad(header.size());
    skip_complete();
  }
  void skip_complete() {  // tensors without elements have no data to wait for
    while (current_ < tensors_.size() && written_ == tensors_[current_].bytes) {
      pad(written_);
      ++current_;
      written_ = 0;
    }
  }
  [[noreturn]] void fail(std::string_view tensor, const std::string& problem) const {
    throw Error(file_.path().string() + ": tensor " + detail::in_quotes(tensor) + ": " + problem);
  }

  AtomicFile file_;
  std::string metadata_, descriptions_;
  std::unordered_set<std::string> keys_, names_;
  std::vector<Announced> tensors_;
  std::uint64_t offset_ = 0, written_ = 0;  // of the data section; of the current tensor
  std::size_t current_ = 0;
  bool is_begun_ = false;
};

}  // namespace weft
