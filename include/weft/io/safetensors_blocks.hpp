// safetensors_blocks: tensors in block formats (core/blocks.hpp) in safetensors files, whose own types know none. Such a tensor is stored as U8, its
// last axis in bytes; an entry of the file's metadata says what the bytes are:
//
//   "__metadata__": {"format": "pt", "weft.blocks.model.norm.weight": "q4_0 [2, 64]"}
//   "model.norm.weight": {"dtype": "U8", "shape": [2, 36], ...}
//
// q4_0 keeps 32 elements in a block of 18 bytes, so a row of 64 elements takes 36. Rows follow one another without padding.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <weft/core/blocks.hpp>
#include <weft/io/safetensors.hpp>

namespace weft {

inline constexpr std::string_view blocks_entry_prefix = "weft.blocks.";

// how a tensor in blocks is described: its bytes, and the entry that goes into the metadata. The last extent is a whole number of blocks.
struct BlocksDescription {
  TensorInfo bytes;
  std::pair<std::string, std::string> entry;
};
inline BlocksDescription describe_blocks(const std::string& name, DType format, const std::vector<std::uint64_t>& shape) {
  BlocksDescription description{{name, StoredType::u8, shape},
                                {std::string(blocks_entry_prefix) + name, name_of(format) + (" " + shape_text(shape))}};
  description.bytes.shape.back() =
      shape.back() / static_cast<unsigned>(block_elements(format)) * static_cast<unsigned>(block_bytes(format));
  return description;
}

// A tensor of a file as its metadata says it is meant.
struct BlocksOfFile {
  DType format;
  std::vector<std::uint64_t> shape;  // in elements
};
// All tensors in blocks of a file, by name. Throws Error that names the file and the entry for one that fits no tensor of the file.
inline std::map<std::string, BlocksOfFile, std::less<>> blocks_of(const SafetensorsFile& file) {
  std::map<std::string, BlocksOfFile, std::less<>> all;
  for (const auto& [key, text] : file.metadata()) {
    if (!key.starts_with(blocks_entry_prefix)) continue;
    const auto fail = [&, &key = key](const std::string& problem) {
      throw Error(file.path().string() + ": metadata " + detail::in_quotes(key) + ": " + problem);
    };
    const std::string name = key.substr(blocks_entry_prefix.size());
    std::optional<DType> format;
    for (DType type : {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k, DType::q6_k})
      if (text.substr(0, text.find(' ')) == name_of(type)) format = type;
    if (!format) fail("expected a block format (q8_0, q4_0, ...) and a shape, found " + detail::in_quotes(text));
    const auto* tensor = file.find(name);
    if (!tensor) fail("the file has no tensor of this name");
    const auto bytes = static_cast<unsigned>(block_bytes(*format));
    if (tensor->type != StoredType::u8 || tensor->shape.empty() || tensor->shape.back() % bytes != 0)
      fail("expected a tensor of U8 with rows of whole blocks of " + std::to_string(bytes) + " bytes, found " +
           std::string(name_of(tensor->type)) + " " + shape_text(tensor->shape));
    BlocksOfFile blocks{*format, tensor->shape};
    if (__builtin_mul_overflow(blocks.shape.back() / bytes, static_cast<unsigned>(block_elements(*format)), &blocks.shape.back()))
      fail("its rows are too long");
    const std::string expected = name_of(*format) + (" " + shape_text(blocks.shape));
    if (text != expected)
      fail("expected " + detail::in_quotes(expected) + " for U8 " + shape_text(tensor->shape) + ", found " + detail::in_quotes(text));
    all.emplace(name, std::move(blocks));
  }
  return all;
}

}  // namespace weft
