// gguf: reads model files of llama.cpp, GGUF version 3 and 2 (github.com/ggml-org/ggml, docs/gguf.md): header | metadata | descriptions of
// tensors | data. io/gguf_writer.hpp writes them, io/gguf_model.hpp knows what they mean.
#pragma once
#include <bit>
#include <unordered_map>

#include <weft/io/gguf_values.hpp>
#include <weft/io/mapped_file.hpp>
#include <weft/io/tensor_info.hpp>

namespace weft {

static_assert(std::endian::native == std::endian::little, "GGUF data is little-endian and used in place");

struct GgufTensor {
  std::string name;
  DType type = DType::f32;                // of the stored elements: f32, f16, bf16 or a block format
  std::vector<std::uint64_t> shape = {};  // row-major, slowest axis first (the file has them the other way round); rows are whole blocks
  std::span<const std::byte> data = {};   // little-endian, in the mapped file, aligned as the file says (usually to 32 bytes)
};

// A mapped file whose metadata and tensors have been checked: lengths, types and counts fit into the file, keys and names are given once,
// and the tensors follow one another without gap or overlap.
class GgufFile {
 public:
  static constexpr std::size_t longest_name = 63, largest_rank = 4;

  // Throws Error naming the file and, where one is to blame, the key or the tensor.
  static GgufFile open(const std::filesystem::path& path) { return GgufFile(path); }

  const std::filesystem::path& path() const { return file_.path(); }
  const MappedFile& file() const { return file_; }
  std::uint32_t version() const { return version_; }
  std::span<const std::byte> metadata() const { return file_.bytes().first(metadata_bytes_); }  // all that goes before the tensors' data
  std::uint64_t alignment() const { return alignment_; }

  std::span<const GgufEntry> entries() const { return entries_; }  // in the order of the file
  const GgufEntry* entry(std::string_view key) const {
    const auto found = entry_by_key_.find(key);
    return found == entry_by_key_.end() ? nullptr : &entries_[found->second];
  }
  // The value of a key as GgufEntry::as converts it; nothing when the file lacks the key. Throws Error for a value of another kind.
  template <class T> std::optional<T> find(std::string_view key) const {
    const auto* found = entry(key);
    if (!found) return std::nullopt;
    auto value = found->as<T>();
    if (!value) throw Error(place_of(key) + ": expected " + detail::expected_gguf_value<T>() + ", found " + found->shown());
    return value;
  }
  template <class T> T require(std::string_view key) const {
    auto value = find<T>(key);
    if (!value) throw Error(place_of(key) + ": expected " + detail::expected_gguf_value<T>() + ", but the key is missing");
    return *std::move(value);
  }
  std::string place_of(std::string_view key) const { return path().string() + ": key " + detail::in_quotes(key); }

  std::span<const GgufTensor> tensors() const { return tensors_; }  // in the order of their data
  const GgufTensor* tensor(std::string_view name) const {
    const auto found = tensor_by_name_.find(name);
    return found == tensor_by_name_.end() ? nullptr : &tensors_[found->second];
  }

 private:
  explicit GgufFile(const std::filesystem::path& path) : file_(path) {
    detail::GgufCursor cursor(file_.bytes(), path.string());
    const std::uint64_t tensors = read_header(cursor);
    read_alignment(cursor);
    read_tensors(cursor, tensors);
  }

  // returns the number of tensors; the metadata is read too
  std::uint64_t read_header(detail::GgufCursor& cursor) {
    char magic[4];
    for (auto& letter : magic) letter = cursor.read<char>("the letters GGUF");
    if (std::string_view(magic, 4) != "GGUF")
      cursor.fail("expected a GGUF file, which begins with the letters GGUF, found " + detail::in_quotes(std::string_view(magic, 4)));
    version_ = cursor.read<std::uint32_t>("the version");
    if (version_ == 3u << 24 || version_ == 2u << 24) cursor.fail("expected a little-endian file, found a big-endian one");
    if (version_ != 2 && version_ != 3) cursor.fail("expected version 2 or 3, found " + std::to_string(version_));
    // the shortest tensor: name, rank, type, offset; the shortest entry: key, type, a byte
    const auto tensors = cursor.read_count("the number of tensors", 8 + 4 + 4 + 8), entries = cursor.read_count("the number of keys", 13);
    entries_.reserve(entries);
    for (std::uint64_t i = 0; i < entries; ++i) {
      cursor.enter("key " + std::to_string(i + 1) + " of " + std::to_string(entries));
      GgufEntry entry{.key = cursor.read_string("its name")};
      cursor.enter("key " + detail::in_quotes(entry.key));
      if (entry.key.empty()) cursor.fail("expected a name, found an empty one");
      if (!entry_by_key_.emplace(entry.key, entries_.size()).second) cursor.fail("is given twice");
      entry.type = cursor.read_type("its type");
      cursor.read_value(entry);
      entries_.push_back(std::move(entry));
    }
    return tensors;
  }
  void read_alignment(detail::GgufCursor& cursor) {
    alignment_ = find<std::uint32_t>("general.alignment").value_or(32);
    cursor.enter("key \"general.alignment\"");
    if (!std::has_single_bit(alignment_)) cursor.fail("expected a power of two, found " + std::to_string(alignment_));
  }
  void read_tensors(detail::GgufCursor& cursor, std::uint64_t count) {
    std::vector<std::uint64_t> sizes;
    std::uint64_t end = 0;  // of the tensors so far, padded; below 2^63 as every size is compared with the file's
    tensors_.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      cursor.enter("tensor " + std::to_string(i + 1) + " of " + std::to_string(count));
      GgufTensor tensor{.name = std::string(cursor.read_string("its name"))};
      cursor.enter("tensor " + detail::in_quotes(tensor.name));
      if (tensor.name.size() > longest_name)
        cursor.fail("expected a name of at most " + std::to_string(longest_name) + " bytes, found " + std::to_string(tensor.name.size()));
      const auto rank = cursor.read<std::uint32_t>("its rank");
      if (rank > largest_rank) cursor.fail("expected at most 4 axes, found " + std::to_string(rank));
      tensor.shape.resize(rank);
      for (std::uint32_t d = rank; d-- > 0;) tensor.shape[d] = cursor.read<std::uint64_t>("its shape");
      const auto number = cursor.read<std::uint32_t>("its type");
      const auto* type = detail::ggml_type_numbered(number);
      if (!type || !type->dtype)
        cursor.fail("expected one of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, found type " + std::to_string(number) +
                    (type ? std::string(" (") + type->name + ")" : ""));
      tensor.type = *type->dtype;
      const auto offset = cursor.read<std::uint64_t>("its offset");
      if (offset != end)
        cursor.fail(std::string(offset < end ? "overlaps another tensor" : "leaves a gap") + ": expected to begin at byte " +
                    std::to_string(end) + " of the data, found " + std::to_string(offset));
      sizes.push_back(size_of(tensor, cursor));
      end = padded(end + sizes.back());
      tensors_.push_back(std::move(tensor));
    }
    place_tensors(cursor, sizes);
  }
  std::uint64_t size_of(const GgufTensor& tensor, const detail::GgufCursor& cursor) const {
    const auto block = static_cast<std::uint64_t>(block_elements(tensor.type));
    const std::string type = std::string(name_of(tensor.type)) + " " + shape_text(tensor.shape);
    const std::uint64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
    if (row % block != 0)
      cursor.fail(type + ": expected rows of whole blocks of " + std::to_string(block) + ", found " + std::to_string(row) + " elements");
    std::uint64_t size = static_cast<std::uint64_t>(block_bytes(tensor.type));
    bool overflow = __builtin_mul_overflow(size, row / block, &size);
    for (std::size_t d = 0; d + 1 < tensor.shape.size(); ++d) overflow |= __builtin_mul_overflow(size, tensor.shape[d], &size);
    if (overflow || size > file_.bytes().size())
      cursor.fail("the file is truncated: " + type + " has more bytes than the " + std::to_string(file_.bytes().size()) + " of the file");
    return size;
  }
  void place_tensors(detail::GgufCursor& cursor, const std::vector<std::uint64_t>& sizes) {
    const auto bytes = file_.bytes();
    metadata_bytes_ = cursor.position();
    std::uint64_t begin = padded(metadata_bytes_);
    tensor_by_name_.reserve(tensors_.size());
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      cursor.enter("tensor " + detail::in_quotes(tensors_[i].name));
      if (!tensor_by_name_.emplace(tensors_[i].name, i).second) cursor.fail("is given twice");
      if (begin > bytes.size() || sizes[i] > bytes.size() - begin)
        cursor.fail("the file is truncated: expected bytes " + std::to_string(begin) + " to " + std::to_string(begin + sizes[i]) +
                    ", but it ends after " + std::to_string(bytes.size()));
      tensors_[i].data = bytes.subspan(begin, sizes[i]);
      begin = padded(begin + sizes[i]);
    }
  }
  std::uint64_t padded(std::uint64_t position) const { return (position + alignment_ - 1) / alignment_ * alignment_; }

  MappedFile file_;
  std::uint32_t version_ = 0;
  std::uint64_t alignment_ = 32, metadata_bytes_ = 0;
  std::vector<GgufEntry> entries_;
  std::unordered_map<std::string_view, std::size_t> entry_by_key_;
  std::vector<GgufTensor> tensors_;  // its elements never move, so the names may be keys
  std::unordered_map<std::string_view, std::size_t> tensor_by_name_;
};

}  // namespace weft
