// io_gguf_bytes: GGUF files put together byte by byte, right or wrong.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gguf {

template <class T> std::string bytes(T value) { return {reinterpret_cast<const char*>(&value), sizeof value}; }
inline std::string text(std::string_view value) { return bytes(std::uint64_t{value.size()}).append(value); }

inline std::string entry(std::string_view key, std::uint32_t type, const std::string& value) { return text(key) + bytes(type) + value; }
inline std::string u32(std::string_view key, std::uint32_t value) { return entry(key, 4, bytes(value)); }
inline std::string f32(std::string_view key, float value) { return entry(key, 6, bytes(value)); }
inline std::string boolean(std::string_view key, char value) { return entry(key, 7, std::string(1, value)); }
inline std::string string(std::string_view key, std::string_view value) { return entry(key, 8, text(value)); }
inline std::string array(std::string_view key, std::uint32_t type, std::uint64_t count, const std::string& elements) {
  return entry(key, 9, bytes(type) + bytes(count) + elements);
}
// `dims` as the file has them, fastest axis first; types: 0 F32, 1 F16, 2 Q4_0, 8 Q8_0, 12 Q4_K, 30 BF16
inline std::string tensor(std::string_view name, const std::vector<std::uint64_t>& dims, std::uint32_t type, std::uint64_t offset) {
  std::string info = text(name) + bytes(static_cast<std::uint32_t>(dims.size()));
  for (const auto extent : dims) info += bytes(extent);
  return info + bytes(type) + bytes(offset);
}

struct File {
  std::vector<std::string> entries = {}, tensors = {};
  std::string data = {};
  std::uint32_t version = 3;
  std::size_t alignment = 32;

  std::string whole() const {
    std::string file = "GGUF" + bytes(version) + bytes(std::uint64_t{tensors.size()}) + bytes(std::uint64_t{entries.size()});
    for (const auto& part : entries) file += part;
    for (const auto& part : tensors) file += part;
    if (!data.empty()) file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data;
  }
};

}  // namespace gguf
