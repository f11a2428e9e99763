// literal: constants in formulas. 1e-6_c is a type that carries the bits of a double.
#pragma once
#include <weft/expr/node.hpp>

#include <bit>

namespace weft {

constexpr double parse_decimal(const char* text, int length) {
  double value = 0, scale = 1;
  int exponent = 0;
  bool negative = false, in_fraction = false, in_exponent = false;
  for (int i = 0; i < length; ++i) {
    const char c = text[i];
    if (c == '\'') continue;
    if (c == '.') {
      in_fraction = true;
    } else if (c == 'e' || c == 'E') {
      in_exponent = true;
    } else if (c == '-' || c == '+') {
      negative = c == '-';
    } else if (in_exponent) {
      exponent = exponent * 10 + (c - '0');
    } else {
      value = value * 10 + (c - '0');
      if (in_fraction) scale *= 10;
    }
  }
  // one rounding: a power of ten up to 1e22 is exact, and so is a value below 2^53
  double power = 1;
  for (int i = 0; i < exponent; ++i) power *= 10;
  return negative ? value / (scale * power) : value * power / scale;
}

// a constant from a double known at compile time: constant<bits_of(0.5)>
constexpr std::uint64_t bits_of(double x) { return std::bit_cast<std::uint64_t>(x); }
template <std::uint64_t bits> inline constexpr Const<bits> constant{};
template <long n> inline constexpr Const<bits_of(static_cast<double>(n))> number{};

template <char... C> constexpr auto operator""_c() {
  constexpr char text[] = {C...};
  return Const<bits_of(parse_decimal(text, sizeof...(C)))>{};
}
inline constexpr Const<0xfff0000000000000u> minus_inf{};

}  // namespace weft
