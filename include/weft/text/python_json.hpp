// python_json: JSON as Python's json.dumps(value, ensure_ascii=False) writes it, which is what chat templates put before a model.
#pragma once
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace weft::text {

// repr(float): the shortest digits that read back as the same number, with an exponent below 1e-4 and from 1e16 on.
inline std::string python_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char buffer[40];
  const std::string_view shortest(buffer,
                                  std::to_chars(buffer, buffer + sizeof buffer, std::abs(value), std::chars_format::scientific).ptr);
  const std::size_t e = shortest.find('e');
  const int exponent = std::atoi(std::string(shortest.substr(e + 1)).c_str());
  std::string digits(1, shortest[0]);
  if (e > 2) digits += shortest.substr(2, e - 2);

  const std::string sign = std::signbit(value) ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    const std::string fraction = digits.size() > 1 ? "." + digits.substr(1) : "";
    const std::string power = std::to_string(std::abs(exponent));
    return sign + digits[0] + fraction + (exponent < 0 ? "e-" : "e+") + (power.size() < 2 ? "0" : "") + power;
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

inline std::string python_string(std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

// The members of objects keep their order, as in a Python dictionary. `indent`: that of json.dumps, spaces for each level; 0 writes
// everything on one line. `margin` is the indentation so far.
inline std::string python_json(const nlohmann::ordered_json& value, std::size_t indent = 0, std::size_t margin = 0) {
  if (value.is_number_float()) return python_float(value.get<double>());
  if (value.is_string()) return python_string(value.get_ref<const std::string&>());
  if (!value.is_structured()) return value.dump();
  std::string out(1, value.is_object() ? '{' : '[');
  for (const auto& item : value.items()) {
    if (out.size() > 1) out += indent > 0 ? "," : ", ";
    if (indent > 0) out.append(1, '\n').append(margin + indent, ' ');
    if (value.is_object()) out += python_string(item.key()) + ": ";
    out += python_json(item.value(), indent, margin + indent);
  }
  if (indent > 0 && !value.empty()) out.append(1, '\n').append(margin, ' ');
  return out + (value.is_object() ? '}' : ']');
}

}  // namespace weft::text
