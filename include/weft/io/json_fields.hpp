// json_fields: the fields of a JSON object by name and type. A value of another type is refused with the field's name, never converted.
#pragma once
#include <cstdint>
#include <limits>
#include <optional>

#include <weft/io/json.hpp>

namespace weft::detail {

// A missing field takes the given fallback. Functions named optional_ take null for missing too; the others refuse it.
class JsonFields {
 public:
  static constexpr long largest = std::numeric_limits<std::int32_t>::max();

  // `where` begins every message: the file, and the field that holds this object
  JsonFields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) throw Error(where_ + ": expected an object, found " + shown(object));
  }

  const Json* find(const char* name) const {  // nullptr when it is missing or null
    const Json* value = present(name);
    return value && !value->is_null() ? value : nullptr;
  }
  bool is_present(const char* name) const { return present(name) != nullptr; }  // null counts as present
  const Json& object() const { return object_; }

  long integer(const char* name, long fallback, long least = 1, long most = largest) const {
    const Json* value = present(name);
    return value ? integer_in(*value, name, least, most) : fallback;
  }
  std::optional<long> optional_integer(const char* name, long least = 1, long most = largest) const {
    const Json* value = find(name);
    return value ? std::optional(integer_in(*value, name, least, most)) : std::nullopt;
  }
  double number(const char* name, double fallback) const {
    const Json* value = present(name);
    return value ? number_in(*value, name) : fallback;
  }
  std::optional<double> optional_number(const char* name) const {
    const Json* value = find(name);
    return value ? std::optional(number_in(*value, name)) : std::nullopt;
  }
  bool boolean(const char* name, bool fallback) const {
    const Json* value = present(name);
    if (value && !value->is_boolean()) refuse(name, "true or false", *value);
    return value ? value->get<bool>() : fallback;
  }
  std::optional<std::string> optional_text(const char* name) const {
    const Json* value = find(name);
    if (value && !value->is_string()) refuse(name, "a string", *value);
    return value ? std::optional(value->get<std::string>()) : std::nullopt;
  }
  // a token id, a list of them, or null; models without one write -1
  std::vector<std::int32_t> ids(const char* name) const {
    std::vector<std::int32_t> list;
    const Json* value = find(name);
    if (!value) return list;
    const auto add = [&](const Json& element) {
      if (!element.is_number_integer()) refuse(name, "a token id or a list of token ids", *value);
      const long id = integer_in(element, name, -1, largest);
      if (id >= 0) list.push_back(static_cast<std::int32_t>(id));
    };
    if (value->is_array())
      for (const auto& element : *value) add(element);
    else
      add(*value);
    return list;
  }
  std::optional<std::int32_t> optional_id(const char* name) const {
    const auto id = optional_integer(name, -1);
    return id && *id >= 0 ? std::optional(static_cast<std::int32_t>(*id)) : std::nullopt;
  }

  std::string place_of(const char* name) const { return where_ + ": field " + in_quotes(name); }
  [[noreturn]] void refuse(const char* name, const std::string& expected, const Json& found) const {
    throw Error(place_of(name) + ": expected " + expected + ", found " + shown(found));
  }
  static std::string shown(const Json& value) {
    constexpr std::size_t longest = 80;
    const std::string text = value.dump();
    return text.size() <= longest ? text : value.is_object() ? "an object" : value.is_array() ? "a list" : in_quotes(text);
  }

 private:
  const Json* present(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }
  long integer_in(const Json& value, const char* name, long least, long most) const {
    const bool fits =
        value.is_number_unsigned() ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(largest) : value.is_number_integer();
    if (!fits || value.get<long>() < least || value.get<long>() > most)
      refuse(name, "an integer from " + std::to_string(least) + " to " + std::to_string(most), value);
    return value.get<long>();
  }
  double number_in(const Json& value, const char* name) const {
    if (!value.is_number()) refuse(name, "a number", value);
    return value.get<double>();
  }

  const Json& object_;
  std::string where_;
};

}  // namespace weft::detail
