// json_field: a value of a JSON file together with its place, so that every complaint names the file and the field.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "weft/core/error.hpp"

namespace weft::text {

// The whole file. Throws Error when it cannot be read.
inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code failure;
  const auto size = std::filesystem::file_size(path, failure);
  if (!file || failure) throw Error(path.string() + ": cannot be read");
  std::string text(static_cast<std::size_t>(size), '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(size))) throw Error(path.string() + ": cannot be read");
  return text;
}

// A view: the document must outlive it.
class JsonField {
 public:
  JsonField(const nlohmann::json& value, std::string place) : value_(&value), place_(std::move(place)) {}

  // A member of an object; absent if there is none.
  JsonField operator[](const char* key) const {
    if (!value_->is_object()) refuse("an object");
    const auto member = value_->find(key);
    const bool at_root = place_.find(": ") == std::string::npos;
    return {member == value_->end() ? missing() : *member, place_ + (at_root ? ": " : ".") + key};
  }
  // An element of an array.
  JsonField operator[](std::size_t index) const { return {value_->at(index), place_ + "[" + std::to_string(index) + "]"}; }

  bool is_absent() const { return value_->is_null(); }  // not there, or null
  const nlohmann::json& value() const { return *value_; }
  const std::string& place() const { return place_; }

  std::size_t array_size() const {
    if (!value_->is_array()) refuse("an array");
    return value_->size();
  }
  const std::string& string() const {
    if (!value_->is_string()) refuse("a string");
    return value_->get_ref<const std::string&>();
  }
  bool boolean(bool otherwise) const {
    if (is_absent()) return otherwise;
    if (!value_->is_boolean()) refuse("true or false");
    return value_->get<bool>();
  }
  std::int64_t integer() const {
    if (!value_->is_number_integer()) refuse("an integer");
    return value_->get<std::int64_t>();
  }

  [[noreturn]] void refuse(const std::string& expected) const {
    std::string found = is_absent() ? "nothing" : value_->dump(-1, ' ', true);
    if (found.size() > 80) found = found.substr(0, 77) + "...";
    throw Error(place_ + ": expected " + expected + ", found " + found);
  }

 private:
  static const nlohmann::json& missing() {
    static const nlohmann::json null;
    return null;
  }

  const nlohmann::json* value_;
  std::string place_;  // "file" or "file: member.member[0]"
};

// How deep the files of a model may nest: what walks over a document recurses.
inline constexpr int deepest_json = 64;

// A JSON file as a document. Throws Error when it cannot be read, is not JSON or nests too deep.
inline nlohmann::json read_json(const std::filesystem::path& path) {
  const auto check_depth = [&](int depth, nlohmann::json::parse_event_t, const nlohmann::json&) {
    if (depth > deepest_json) throw Error(path.string() + ": nested deeper than " + std::to_string(deepest_json));
    return true;
  };
  try {
    return nlohmann::json::parse(read_file(path), check_depth);
  } catch (const nlohmann::json::exception& problem) {
    throw Error(path.string() + ": not JSON: " + problem.what());
  }
}

}  // namespace weft::text
