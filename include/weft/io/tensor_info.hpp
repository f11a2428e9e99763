// tensor_info: what a checkpoint says about one tensor, and where its bytes are.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/dtype.hpp>

namespace weft {

// The element types that a safetensors file may hold; weft computes with those that as_dtype knows.
enum class StoredType : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  c64,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  f6_e2m3,
  f6_e3m2,
  f4,
};

namespace detail {
struct StoredTypeFacts {
  StoredType type;
  std::string_view name;  // as the file spells it
  unsigned bits;          // of one element
};
inline constexpr std::array<StoredTypeFacts, 22> stored_types{{
    {StoredType::f64, "F64", 64},
    {StoredType::f32, "F32", 32},
    {StoredType::f16, "F16", 16},
    {StoredType::bf16, "BF16", 16},
    {StoredType::c64, "C64", 64},
    {StoredType::i64, "I64", 64},
    {StoredType::i32, "I32", 32},
    {StoredType::i16, "I16", 16},
    {StoredType::i8, "I8", 8},
    {StoredType::u64, "U64", 64},
    {StoredType::u32, "U32", 32},
    {StoredType::u16, "U16", 16},
    {StoredType::u8, "U8", 8},
    {StoredType::boolean, "BOOL", 8},
    {StoredType::f8_e5m2, "F8_E5M2", 8},
    {StoredType::f8_e4m3, "F8_E4M3", 8},
    {StoredType::f8_e8m0, "F8_E8M0", 8},
    {StoredType::f8_e4m3fnuz, "F8_E4M3FNUZ", 8},
    {StoredType::f8_e5m2fnuz, "F8_E5M2FNUZ", 8},
    {StoredType::f6_e2m3, "F6_E2M3", 6},
    {StoredType::f6_e3m2, "F6_E3M2", 6},
    {StoredType::f4, "F4", 4},
}};
static_assert(
    [] {
      for (std::size_t i = 0; i < stored_types.size(); ++i)
        if (static_cast<std::size_t>(stored_types[i].type) != i) return false;
      return true;
    }(),
    "the table is indexed by StoredType");
}  // namespace detail

constexpr std::string_view name_of(StoredType type) { return detail::stored_types[static_cast<std::size_t>(type)].name; }
constexpr unsigned bits_of(StoredType type) { return detail::stored_types[static_cast<std::size_t>(type)].bits; }
constexpr std::optional<StoredType> stored_type_named(std::string_view name) {
  for (const auto& facts : detail::stored_types)
    if (facts.name == name) return facts.type;
  return std::nullopt;
}
constexpr std::optional<DType> as_dtype(StoredType type) {
  switch (type) {
    case StoredType::f32: return DType::f32;
    case StoredType::bf16: return DType::bf16;
    case StoredType::f16: return DType::f16;
    case StoredType::i32: return DType::i32;
    default: return std::nullopt;
  }
}

struct TensorInfo {
  std::string name;
  StoredType type = StoredType::f32;
  std::vector<std::uint64_t> shape = {};  // row-major, slowest axis first; empty for a scalar
  std::span<const std::byte> data = {};   // little-endian, in the mapped file; its address has no alignment to rely on
};

inline std::string shape_text(std::span<const std::uint64_t> shape) {
  std::string text = "[";
  for (const auto extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

}  // namespace weft
