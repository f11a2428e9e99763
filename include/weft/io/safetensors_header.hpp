// safetensors_header: reads and checks the header of a safetensors file. A file that passes describes every byte of its data exactly once.
#pragma once
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <weft/io/json.hpp>
#include <weft/io/tensor_info.hpp>

namespace weft::detail {

inline constexpr std::uint64_t longest_safetensors_header = 100'000'000;  // the limit of the reference implementation
inline constexpr std::size_t longest_tensor_name = 4096, largest_rank = 64;

struct TensorRecord {
  std::string name;
  StoredType type = StoredType::f32;
  std::vector<std::uint64_t> shape = {};
  std::uint64_t begin = 0, end = 0;  // bytes, relative to the first byte of data
};

// The JSON of the header, read event by event: memory stays in proportion to the tensors, whatever else the header holds.
class SafetensorsHeader {
 public:
  explicit SafetensorsHeader(std::string file) : file_(std::move(file)) {}

  void parse(std::string_view text) {
    if (const char* problem = forbidden_bytes(text)) fail("", problem);
    Json::sax_parse(text.begin(), text.end(), this);
  }
  // Sorted by offset the tensors must follow one another from 0 to the end of the data, without gap or overlap.
  void check_tiling(std::uint64_t data_bytes) {
    std::sort(tensors.begin(), tensors.end(),
              [](const auto& a, const auto& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
    std::uint64_t expected = 0;
    for (const auto& tensor : tensors) {
      if (tensor.begin != expected)
        fail("tensor " + in_quotes(tensor.name) + ": field \"data_offsets\"",
             std::string(tensor.begin < expected ? "overlaps another tensor" : "leaves a gap") + ": expected to begin at " +
                 std::to_string(expected) + ", found " + std::to_string(tensor.begin));
      expected = tensor.end;
    }
    if (expected != data_bytes)
      fail(tensors.empty() ? "header" : "tensor " + in_quotes(tensors.back().name) + ": field \"data_offsets\"",
           std::string(expected > data_bytes ? "the file is truncated" : "the file has bytes after the last tensor") +
               ": the tensors end at byte " + std::to_string(expected) + " of the data, but the file holds " + std::to_string(data_bytes));
  }

  std::vector<TensorRecord> tensors;
  std::map<std::string, std::string> metadata;

  // ---- events of the parser
  bool null() {
    if (place() != Place::ignored && !(place() == Place::root && key_ == "__metadata__")) wrong_type("null");
    return true;
  }
  bool boolean(bool value) { return scalar(value ? "true" : "false"); }
  bool number_integer(std::int64_t value) { return scalar(value == 0 ? "-0" : std::to_string(value)); }
  bool number_float(double, const std::string& text) { return scalar(text); }
  bool number_unsigned(std::uint64_t value) {
    if (place() == Place::shape) {
      if (tensors.back().shape.size() == largest_rank) fail(where(), "has more than " + std::to_string(largest_rank) + " axes");
      tensors.back().shape.push_back(value);
      return true;
    }
    if (place() == Place::offsets) {
      if (offsets_ == 2) fail(where(), "expected [begin, end], found more than two numbers");
      (offsets_++ == 0 ? tensors.back().begin : tensors.back().end) = value;
      return true;
    }
    return scalar(std::to_string(value));
  }
  bool string(std::string& value) {
    if (place() == Place::metadata) {
      metadata[key_] = value;
    } else if (place() == Place::tensor && key_ == "dtype") {
      const auto type = stored_type_named(value);
      if (!type) fail(where(), "unknown type " + in_quotes(value));
      tensors.back().type = *type;
    } else {
      scalar(in_quotes(value));
    }
    return true;
  }
  bool binary(Json::binary_t&) { return scalar("binary data"); }
  bool start_object(std::size_t) {
    if (places_.empty()) {
      push(Place::root);
    } else if (place() == Place::root && key_ == "__metadata__") {
      push(Place::metadata);
    } else if (place() == Place::root) {
      if (key_.size() > longest_tensor_name)
        fail("tensor " + in_quotes(key_), "its name has more than " + std::to_string(longest_tensor_name) + " bytes");
      tensors.push_back({.name = key_});
      push(Place::tensor);
    } else if (is_ignored()) {
      push(Place::ignored);
    } else {
      wrong_type("an object");
    }
    keys_.open();
    return true;
  }
  bool start_array(std::size_t) {
    if (place() == Place::tensor && (key_ == "shape" || key_ == "data_offsets")) {
      push(key_ == "shape" ? Place::shape : Place::offsets);
      offsets_ = 0;
    } else if (is_ignored()) {
      push(Place::ignored);
    } else {
      wrong_type("an array");
    }
    return true;
  }
  bool key(std::string& name) {
    key_ = name;
    if (keys_.is_new(name)) {
      if (place() == Place::tensor) note_field(name);
      return true;
    }
    if (place() == Place::root) fail(name == "__metadata__" ? in_quotes(name) : "tensor " + in_quotes(name), "is given twice");
    fail(where(), "is given twice");
  }
  bool end_object() {
    if (place() == Place::tensor) check_tensor();
    keys_.close();
    places_.pop_back();
    return true;
  }
  bool end_array() {
    if (place() == Place::offsets && offsets_ != 2) fail(where(), "expected [begin, end], found fewer than two numbers");
    places_.pop_back();
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception& problem) { fail("header", syntax_problem(problem)); }

 private:
  enum class Place { outside, root, metadata, tensor, shape, offsets, ignored };  // what encloses the current value

  Place place() const { return places_.empty() ? Place::outside : places_.back(); }
  bool is_ignored() const {  // unknown fields of a tensor may hold anything
    return place() == Place::ignored || (place() == Place::tensor && key_ != "dtype" && key_ != "shape" && key_ != "data_offsets");
  }
  void push(Place place) {
    if (places_.size() == deepest_json) fail("header", "nested deeper than " + std::to_string(deepest_json) + " levels");
    places_.push_back(place);
    if (place == Place::tensor) has_type_ = has_shape_ = has_offsets_ = false;
  }
  void note_field(const std::string& name) {
    has_type_ |= name == "dtype";
    has_shape_ |= name == "shape";
    has_offsets_ |= name == "data_offsets";
  }
  bool scalar(const std::string& found) {
    if (!is_ignored()) wrong_type(found);
    return true;
  }
  void check_tensor() const {
    const auto& tensor = tensors.back();
    const std::string name = "tensor " + in_quotes(tensor.name);
    if (!has_type_) fail(name, "the field \"dtype\" is missing");
    if (!has_shape_) fail(name, "the field \"shape\" is missing");
    if (!has_offsets_) fail(name, "the field \"data_offsets\" is missing");
    if (tensor.begin > tensor.end)
      fail(name + ": field \"data_offsets\"",
           "begins at " + std::to_string(tensor.begin) + ", after its end " + std::to_string(tensor.end));
    // in the order of the shape, as the reference multiplies: a zero ends the growth, but does not excuse an overflow before it
    std::uint64_t bits = 1;
    bool overflow = false;
    for (const auto extent : tensor.shape) overflow |= __builtin_mul_overflow(bits, extent, &bits);
    overflow |= __builtin_mul_overflow(bits, std::uint64_t{bits_of(tensor.type)}, &bits);
    const std::string type = std::string(name_of(tensor.type)) + " " + shape_text(tensor.shape);
    if (overflow) fail(name + ": field \"shape\"", type + " has more bits than 64-bit numbers can count");
    if (bits % 8 != 0) fail(name + ": field \"shape\"", type + " does not fill whole bytes");
    if (bits / 8 != tensor.end - tensor.begin)
      fail(name + ": field \"data_offsets\"",
           "expected " + std::to_string(bits / 8) + " bytes for " + type + ", found " + std::to_string(tensor.end - tensor.begin));
  }
  std::string where() const {
    switch (place()) {
      case Place::outside: return "header";
      case Place::root: return key_ == "__metadata__" ? in_quotes(key_) : "tensor " + in_quotes(key_);
      case Place::metadata: return "\"__metadata__\": key " + in_quotes(key_);
      default: return "tensor " + in_quotes(tensors.back().name) + ": field " + in_quotes(key_);
    }
  }
  [[noreturn]] void wrong_type(const std::string& found) const {
    const char* expected = "a tensor's name";
    switch (place()) {
      case Place::outside: expected = "an object"; break;
      case Place::root: expected = key_ == "__metadata__" ? "an object of strings" : "an object with dtype, shape and data_offsets"; break;
      case Place::metadata: expected = "a string"; break;
      case Place::tensor: expected = key_ == "dtype" ? "a string" : "an array of integers"; break;
      default: expected = "an integer from 0 to 2^64 - 1 in plain digits"; break;
    }
    fail(where(), std::string("expected ") + expected + ", found " + found);
  }
  [[noreturn]] void fail(const std::string& where, const std::string& problem) const {
    throw Error(file_ + ": " + (where.empty() ? "header" : where) + ": " + problem);
  }

  std::string file_, key_;
  std::vector<Place> places_;
  OpenObjects keys_;
  int offsets_ = 0;  // numbers of "data_offsets" read so far
  bool has_type_ = false, has_shape_ = false, has_offsets_ = false;
};

}  // namespace weft::detail
