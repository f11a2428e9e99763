// gguf_values: the types of GGUF's metadata and tensors (github.com/ggml-org/ggml, docs/gguf.md), and a cursor that reads them from a file
// without ever leaving it.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/core/blocks.hpp>
#include <weft/io/json.hpp>

namespace weft {

enum class GgufType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

constexpr const char* name_of(GgufType type) {
  constexpr const char* names[] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
  return names[static_cast<int>(type)];
}

namespace detail {

inline constexpr std::uint32_t gguf_types = 13;
// of one value; 0 for strings and arrays, whose size is in the file
constexpr std::uint64_t bytes_of(GgufType type) {
  constexpr std::uint8_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return bytes[static_cast<int>(type)];
}
template <class T> constexpr GgufType gguf_type_of() {
  using enum GgufType;
  if constexpr (std::is_same_v<T, bool>)
    return boolean;
  else if constexpr (std::is_same_v<T, float>)
    return f32;
  else if constexpr (std::is_same_v<T, double>)
    return f64;
  else if constexpr (sizeof(T) == 1)
    return std::is_signed_v<T> ? i8 : u8;
  else if constexpr (sizeof(T) == 2)
    return std::is_signed_v<T> ? i16 : u16;
  else if constexpr (sizeof(T) == 4)
    return std::is_signed_v<T> ? i32 : u32;
  else
    return std::is_signed_v<T> ? i64 : u64;
}

// ---- the formats of tensors, by the numbers of enum ggml_type
struct GgmlType {
  std::uint32_t number;
  const char* name;
  std::optional<DType> dtype;  // nothing: weft does not compute with it
};
inline constexpr GgmlType ggml_types[] = {
    {0, "F32", DType::f32},
    {1, "F16", DType::f16},
    {2, "Q4_0", DType::q4_0},
    {3, "Q4_1", DType::q4_1},
    {6, "Q5_0", DType::q5_0},
    {7, "Q5_1", DType::q5_1},
    {8, "Q8_0", DType::q8_0},
    {9, "Q8_1", {}},
    {10, "Q2_K", {}},
    {11, "Q3_K", {}},
    {12, "Q4_K", DType::q4_k},
    {13, "Q5_K", DType::q5_k},
    {14, "Q6_K", DType::q6_k},
    {15, "Q8_K", {}},
    {16, "IQ2_XXS", {}},
    {17, "IQ2_XS", {}},
    {18, "IQ3_XXS", {}},
    {19, "IQ1_S", {}},
    {20, "IQ4_NL", {}},
    {21, "IQ3_S", {}},
    {22, "IQ2_S", {}},
    {23, "IQ4_XS", {}},
    {24, "I8", {}},
    {25, "I16", {}},
    {26, "I32", {}},
    {27, "I64", {}},
    {28, "F64", {}},
    {29, "IQ1_M", {}},
    {30, "BF16", DType::bf16},
    {34, "TQ1_0", {}},
    {35, "TQ2_0", {}},
    {39, "MXFP4", {}},
};
constexpr const GgmlType* ggml_type_numbered(std::uint32_t number) {
  for (const auto& type : ggml_types)
    if (type.number == number) return &type;
  return nullptr;
}
constexpr const GgmlType* ggml_type_of(DType dtype) {
  for (const auto& type : ggml_types)
    if (type.dtype == dtype) return &type;
  return nullptr;
}

}  // namespace detail

// One entry of the metadata. What it refers to lies in the mapped file.
struct GgufEntry {
  std::string_view key;
  GgufType type = GgufType::u8;
  GgufType element = GgufType::u8;             // of an array
  std::uint64_t count = 1;                     // of an array's elements
  std::span<const std::byte> bytes = {};       // of a number or an array of numbers: little-endian, with no alignment to rely on
  std::vector<std::string_view> strings = {};  // of a string (one) or an array of strings

  bool is_array() const { return type == GgufType::array; }

  // The value as a T, if it can be one without loss: bool from bool; integers from any integer type in whose range they are; double and
  // float from f32 and f64; std::string_view; std::vector of these numbers; std::span<const std::string_view>.
  template <class T> std::optional<T> as() const {
    if constexpr (std::is_same_v<T, std::string_view>) {
      return type == GgufType::string ? std::optional(strings[0]) : std::nullopt;
    } else if constexpr (std::is_same_v<T, std::span<const std::string_view>>) {
      return is_array() && element == GgufType::string ? std::optional(std::span(strings)) : std::nullopt;
    } else if constexpr (std::is_arithmetic_v<T>) {
      return is_array() ? std::nullopt : number<T>(type, bytes);
    } else {
      using Element = typename T::value_type;
      if (!is_array() || element == GgufType::string) return std::nullopt;
      T values;
      values.reserve(count);
      for (std::uint64_t i = 0; i < count; ++i) {
        const auto value = number<Element>(element, bytes.subspan(i * detail::bytes_of(element), detail::bytes_of(element)));
        if (!value) return std::nullopt;
        values.push_back(*value);
      }
      return values;
    }
  }
  // for messages: `u32 5`, `an array of 3 f32`
  std::string shown() const {
    if (is_array()) return "an array of " + std::to_string(count) + " " + name_of(element);
    const std::string name = name_of(type);
    if (type == GgufType::string) return name + " " + detail::in_quotes(strings[0]);
    if (const auto value = as<bool>()) return name + (*value ? " true" : " false");
    if (const auto value = as<std::int64_t>()) return name + " " + std::to_string(*value);
    if (const auto value = as<std::uint64_t>()) return name + " " + std::to_string(*value);
    return name + " " + Json(as<double>().value_or(0)).dump();
  }

 private:
  template <class T, class Stored> static std::optional<T> converted(std::span<const std::byte> from) {
    Stored stored;
    std::memcpy(&stored, from.data(), sizeof stored);
    constexpr bool both_integers = std::is_integral_v<T> && std::is_integral_v<Stored>;
    constexpr bool both_floats = std::is_floating_point_v<T> && std::is_floating_point_v<Stored>;
    if constexpr (both_integers) {
      return std::in_range<T>(stored) ? std::optional(static_cast<T>(stored)) : std::nullopt;
    } else if constexpr (both_floats) {
      return static_cast<T>(stored);
    } else {
      return std::nullopt;
    }
  }
  template <class T> static std::optional<T> number(GgufType type, std::span<const std::byte> from) {
    if constexpr (std::is_same_v<T, bool>) {
      return type == GgufType::boolean ? std::optional(from[0] != std::byte{0}) : std::nullopt;
    } else {
      switch (type) {
        case GgufType::u8: return converted<T, std::uint8_t>(from);
        case GgufType::i8: return converted<T, std::int8_t>(from);
        case GgufType::u16: return converted<T, std::uint16_t>(from);
        case GgufType::i16: return converted<T, std::int16_t>(from);
        case GgufType::u32: return converted<T, std::uint32_t>(from);
        case GgufType::i32: return converted<T, std::int32_t>(from);
        case GgufType::u64: return converted<T, std::uint64_t>(from);
        case GgufType::i64: return converted<T, std::int64_t>(from);
        case GgufType::f32: return converted<T, float>(from);
        case GgufType::f64: return converted<T, double>(from);
        default: return std::nullopt;
      }
    }
  }
};

namespace detail {

template <class T> std::string expected_gguf_value() {
  if constexpr (std::is_same_v<T, std::string_view>)
    return "a string";
  else if constexpr (std::is_same_v<T, std::span<const std::string_view>>)
    return "an array of strings";
  else if constexpr (std::is_same_v<T, bool>)
    return "a bool";
  else if constexpr (std::is_floating_point_v<T>)
    return "a floating-point number";
  else if constexpr (std::is_integral_v<T>)
    return "an integer from " + std::to_string(std::numeric_limits<T>::min()) + " to " + std::to_string(std::numeric_limits<T>::max());
  else
    return "an array, each element " + expected_gguf_value<typename T::value_type>();
}

// Reads a file from front to back. Every length is compared with what the file still holds before anything is read or reserved.
class GgufCursor {
 public:
  GgufCursor(std::span<const std::byte> bytes, std::string file) : bytes_(bytes), file_(std::move(file)) {}

  std::uint64_t position() const { return position_; }
  std::uint64_t remaining() const { return bytes_.size() - position_; }
  // what is being read, for messages
  void enter(std::string place) { place_ = std::move(place); }

  template <class T> T read(const char* what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }
  std::string_view read_string(const char* what) {
    const auto length = read<std::uint64_t>(what);
    const auto text = take(length, what);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }
  // so many of at least `least_bytes` each must follow
  std::uint64_t read_count(const char* what, std::uint64_t least_bytes) {
    const auto count = read<std::uint64_t>(what);
    check_count(count, what, least_bytes);
    return count;
  }
  GgufType read_type(const char* what) {
    const auto number = read<std::uint32_t>(what);
    if (number >= gguf_types) fail(std::string(what) + ": expected a type from 0 to 12, found " + std::to_string(number));
    return static_cast<GgufType>(number);
  }
  // the value of an entry whose key and type have been read
  void read_value(GgufEntry& entry) {
    if (entry.type == GgufType::string) {
      entry.strings.push_back(read_string("its value"));
    } else if (entry.type == GgufType::array) {
      entry.element = read_type("the type of its elements");
      if (entry.element == GgufType::array) fail("expected an array of numbers or strings, found an array of arrays");
      const auto element_bytes = bytes_of(entry.element);
      entry.count = read_count("the number of its elements", element_bytes ? element_bytes : sizeof(std::uint64_t));
      if (element_bytes) {
        entry.bytes = take(entry.count * element_bytes, "its elements");
      } else {
        entry.strings.reserve(entry.count);
        for (std::uint64_t i = 0; i < entry.count; ++i) entry.strings.push_back(read_string("its strings"));
      }
    } else {
      entry.bytes = take(bytes_of(entry.type), "its value");
    }
    const bool holds_bools = entry.type == GgufType::boolean || (entry.is_array() && entry.element == GgufType::boolean);
    for (std::size_t i = 0; holds_bools && i < entry.bytes.size(); ++i)
      if (const auto byte = std::to_integer<int>(entry.bytes[i]); byte > 1) fail("expected a bool, 0 or 1, found " + std::to_string(byte));
  }
  [[noreturn]] void fail(const std::string& problem) const { throw Error(file_ + ": " + place_ + ": " + problem); }

 private:
  void check_count(std::uint64_t count, const char* what, std::uint64_t least_bytes) const {
    if (count > remaining() / least_bytes)
      fail(std::string(what) + ": found " + std::to_string(count) + ", but only " + std::to_string(remaining()) + " bytes follow");
  }
  std::span<const std::byte> take(std::uint64_t bytes, const char* what) {
    if (bytes > remaining())
      fail("the file is truncated: expected " + std::to_string(bytes) + " bytes for " + what + ", found " + std::to_string(remaining()));
    const auto taken = bytes_.subspan(position_, bytes);
    position_ += bytes;
    return taken;
  }

  std::span<const std::byte> bytes_;
  std::string file_, place_ = "header";
  std::uint64_t position_ = 0;
};

}  // namespace detail
}  // namespace weft
