// convert: the elements of a checkpoint's tensor in another format.
#pragma once
#include <cstddef>
#include <cstring>
#include <span>

#include "weft/core/dtype.hpp"

namespace weft {

namespace detail {

template <class From, class To> void convert_elements(std::span<const std::byte> from, std::byte* to) {
  for (std::size_t i = 0, n = from.size() / sizeof(From); i < n; ++i) {
    From element;
    std::memcpy(&element, from.data() + i * sizeof(From), sizeof(From));  // a checkpoint's addresses need not be aligned
    const To converted = from_float<To>(to_float(element));
    std::memcpy(to + i * sizeof(To), &converted, sizeof(To));
  }
}
template <class From> void convert_to(DType to_type, std::span<const std::byte> from, std::byte* to) {
  switch (to_type) {
    case DType::f32: return convert_elements<From, float>(from, to);
    case DType::bf16: return convert_elements<From, bf16>(from, to);
    case DType::f16: return convert_elements<From, f16>(from, to);
    case DType::i32: break;
  }
}

}  // namespace detail

// Rounds to nearest even where the new format is narrower. Both formats are floating-point; `to` has room for every element.
inline void convert(DType from_type, std::span<const std::byte> from, DType to_type, std::byte* to) {
  if (from_type == to_type) {
    std::memcpy(to, from.data(), from.size());
    return;
  }
  switch (from_type) {
    case DType::f32: return detail::convert_to<float>(to_type, from, to);
    case DType::bf16: return detail::convert_to<bf16>(to_type, from, to);
    case DType::f16: return detail::convert_to<f16>(to_type, from, to);
    case DType::i32: break;
  }
}

}  // namespace weft
