// The safetensors reader accepts what the format allows and refuses every file that lies about its content, naming file and culprit.
#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "io_files.hpp"
#include <weft/io/safetensors.hpp>

using namespace weft;

namespace {

std::string file_with(std::string_view header, std::string_view data, std::uint64_t claimed_length) {
  std::string file(8, '\0');
  for (int i = 0; i < 8; ++i) file[i] = static_cast<char>(claimed_length >> (8 * i));
  return file.append(header).append(data);
}
std::string file_with(std::string_view header, std::string_view data = "") { return file_with(header, data, header.size()); }

std::string bytes(std::size_t count) { return std::string(count, 'x'); }
std::string fields(const std::string& type, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}
// a file whose only tensor is described by `description`
std::string one(const std::string& description, std::size_t data_bytes) {
  return file_with("{\"a\":" + description + "}", bytes(data_bytes));
}
std::string repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}
// a file with one byte under this name, written as it would stand between the quotes
std::string named(const std::string& name) { return file_with("{\"" + name + "\":" + fields("U8", "[1]", "[0,1]") + "}", "x"); }
// levels of arrays in an unknown field; the field is itself on the third level
std::string nested(int levels) {
  return one(R"({"dtype":"U8","shape":[],"data_offsets":[0,1],"more":)" + repeated("[", levels) + repeated("]", levels) + "}", 1);
}

struct Crafted {
  std::string what, content;
  std::vector<std::string_view> message;  // what the error must say; empty: the file is accepted
};

const std::string a_byte = "\"a\":" + fields("U8", "[1]", "[0,1]"), b_byte = "\"b\":" + fields("U8", "[1]", "[1,2]");

const std::vector<Crafted> accepted = {
    {"no tensor", file_with("{}"), {}},
    {"padded with spaces", file_with("{}      "), {}},
    {"any JSON whitespace around the object", file_with("\n\t {} \r\n"), {}},
    {"one tensor", file_with("{" + a_byte + "}", "x"), {}},
    {"tensors in any order", file_with("{" + b_byte + "," + a_byte + "}", "xy"), {}},
    {"a scalar", one(fields("F32", "[]", "[0,4]"), 4), {}},
    {"fields in any order", one(R"({"data_offsets":[0,4],"shape":[1],"dtype":"F32"})", 4), {}},
    {"zero elements", one(fields("F32", "[0]", "[0,0]"), 0), {}},
    {"zero elements at a boundary", file_with("{" + a_byte + "," + b_byte + ",\"z\":" + fields("F32", "[2,0]", "[1,1]") + "}", "xy"), {}},
    {"zero elements at the end", file_with("{" + a_byte + ",\"z\":" + fields("F32", "[0]", "[1,1]") + "}", "x"), {}},
    {"a product past 2^64 behind a zero", one(fields("F32", "[0,9223372036854775808,9223372036854775808]", "[0,0]"), 0), {}},
    {"metadata", file_with(R"({"__metadata__":{"format":"pt","":"empty"}})"), {}},
    {"empty metadata", file_with(R"({"__metadata__":{}})"), {}},
    {"null metadata", file_with(R"({"__metadata__":null})"), {}},
    {"unknown fields", one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":{"x":[1,-2,3.5,null,true,"t"]},"other":8e0})", 1), {}},
    {"an empty name", named(""), {}},
    {"an escaped name", named(R"(\u0061)"), {}},
    {"a name beyond ASCII", named("\xc3\xa4\xe2\x82\xac"), {}},
    {"whole bytes of four-bit elements", one(fields("F4", "[4]", "[0,2]"), 2), {}},
    {"whole bytes of six-bit elements", one(fields("F6_E2M3", "[4]", "[0,3]"), 3), {}},
    {"a deep unknown field", nested(60), {}},
    {"many axes", one(fields("U8", "[1" + repeated(",1", 31) + "]", "[0,1]"), 1), {}},
};

const std::vector<Crafted> refused = {
    // ---- the frame
    {"an empty file", "", {"0 bytes"}},
    {"seven bytes", std::string("\x02\0\0\0\0\0\0", 7), {"7 bytes"}},
    {"no header behind the length", file_with("", "", 2), {"header", "2 bytes", "ends 0 bytes after"}},
    {"a header longer than the file", file_with("{}", "", 3), {"header", "3 bytes"}},
    {"a length that overflows", file_with("{}", "", ~std::uint64_t{0}), {"header", "18446744073709551615", "at most 100000000"}},
    {"a length past the limit", file_with("{}", "", 100'000'001), {"header", "100000001", "at most 100000000"}},
    {"an empty header", file_with(""), {"header", "not valid JSON"}},
    {"a header cut short", file_with("{" + a_byte + "}", "x", 20), {"header", "not valid JSON"}},
    // ---- the JSON
    {"not JSON", file_with("hello   "), {"header", "not valid JSON"}},
    {"spaces only", file_with("        "), {"header", "not valid JSON"}},
    {"an array", file_with("[]"), {"header", "an object"}},
    {"a number", file_with("12"), {"header", "an object", "12"}},
    {"a string", file_with("\"a\""), {"header", "an object", "\"a\""}},
    {"null", file_with("null"), {"header", "an object", "null"}},
    {"a byte order mark", file_with("\xef\xbb\xbf{}"), {"header", "byte order mark"}},
    {"text after the object", file_with("{} x"), {"header", "not valid JSON"}},
    {"a second object", file_with("{}{}"), {"header", "not valid JSON"}},
    {"a NUL after the object", file_with(std::string("{}\0", 3)), {"header", "NUL"}},
    {"a NUL and more after the object", file_with(std::string("{}\0garbage", 10)), {"header", "NUL"}},
    {"a comma too many", file_with("{" + a_byte + ",}", "x"), {"header", "not valid JSON"}},
    {"a comment", file_with("{}//"), {"header", "not valid JSON"}},
    {"invalid UTF-8 in a name", named("\xff"), {"header", "not valid JSON"}},
    {"an overlong UTF-8 sequence", named("\xc0\xaf"), {"header", "not valid JSON"}},
    {"half a surrogate pair", named(R"(\ud800)"), {"header", "not valid JSON"}},
    {"a raw line break in a name", named("a\n"), {"header", "not valid JSON"}},
    {"too deep", nested(200), {"deeper than 128"}},
    {"far too deep", nested(100'000), {"deeper than 128"}},
    // ---- keys
    {"a tensor twice, over the same bytes", file_with("{" + a_byte + "," + a_byte + "}", "x"), {"tensor \"a\"", "twice"}},
    {"a tensor twice, tiling", file_with("{" + a_byte + ",\"a\":" + fields("U8", "[1]", "[1,2]") + "}", "xy"), {"tensor \"a\"", "twice"}},
    {"a tensor twice, once escaped",
     file_with("{" + a_byte + R"(,"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", "xy"),
     {"tensor \"a\"", "twice"}},
    {"metadata twice", file_with(R"({"__metadata__":{},"__metadata__":{}})"), {"\"__metadata__\"", "twice"}},
    {"a metadata key twice", file_with(R"({"__metadata__":{"k":"1","k":"2"}})"), {"\"__metadata__\"", "\"k\"", "twice"}},
    {"dtype twice", one(R"({"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]})", 1), {"tensor \"a\"", "\"dtype\"", "twice"}},
    {"shape twice", one(R"({"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]})", 1), {"tensor \"a\"", "\"shape\"", "twice"}},
    {"data_offsets twice",
     one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"data_offsets":[0,1]})", 1),
     {"tensor \"a\"", "\"data_offsets\"", "twice"}},
    {"an unknown field twice",
     one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1,"more":2})", 1),
     {"tensor \"a\"", "\"more\"", "twice"}},
    // ---- metadata
    {"metadata that is a number", file_with(R"({"__metadata__":1})"), {"\"__metadata__\"", "an object of strings", "found 1"}},
    {"metadata that is a list", file_with(R"({"__metadata__":[]})"), {"\"__metadata__\"", "an object of strings", "an array"}},
    {"a number in the metadata", file_with(R"({"__metadata__":{"k":1}})"), {"\"__metadata__\"", "\"k\"", "a string", "found 1"}},
    {"null in the metadata", file_with(R"({"__metadata__":{"k":null}})"), {"\"__metadata__\"", "\"k\"", "a string", "null"}},
    {"an object in the metadata", file_with(R"({"__metadata__":{"k":{}}})"), {"\"__metadata__\"", "\"k\"", "a string", "an object"}},
    // ---- a tensor's fields
    {"a tensor that is null", one("null", 0), {"tensor \"a\"", "an object with dtype", "null"}},
    {"a tensor that is a list", one("[]", 0), {"tensor \"a\"", "an object with dtype", "an array"}},
    {"no dtype", one(R"({"shape":[1],"data_offsets":[0,1]})", 1), {"tensor \"a\"", "\"dtype\" is missing"}},
    {"no shape", one(R"({"dtype":"U8","data_offsets":[0,1]})", 1), {"tensor \"a\"", "\"shape\" is missing"}},
    {"no data_offsets", one(R"({"dtype":"U8","shape":[1]})", 1), {"tensor \"a\"", "\"data_offsets\" is missing"}},
    {"an unknown dtype", one(fields("F31", "[1]", "[0,4]"), 4), {"tensor \"a\"", "\"dtype\"", "\"F31\""}},
    {"a dtype in lower case", one(fields("f32", "[1]", "[0,4]"), 4), {"tensor \"a\"", "\"dtype\"", "\"f32\""}},
    {"a dtype that is a number",
     one(R"({"dtype":32,"shape":[1],"data_offsets":[0,4]})", 4),
     {"tensor \"a\"", "\"dtype\"", "a string", "32"}},
    {"a dtype that is null", one(R"({"dtype":null,"shape":[1],"data_offsets":[0,4]})", 4), {"tensor \"a\"", "\"dtype\"", "null"}},
    {"a shape that is a number",
     one(R"({"dtype":"U8","shape":1,"data_offsets":[0,1]})", 1),
     {"tensor \"a\"", "\"shape\"", "an array of integers", "found 1"}},
    {"a shape that is null", one(R"({"dtype":"U8","shape":null,"data_offsets":[0,1]})", 1), {"tensor \"a\"", "\"shape\"", "null"}},
    {"a negative extent", one(fields("U8", "[-1]", "[0,1]"), 1), {"tensor \"a\"", "\"shape\"", "-1"}},
    {"an extent of minus zero", one(fields("U8", "[-0]", "[0,0]"), 0), {"tensor \"a\"", "\"shape\"", "-0"}},
    {"a fractional extent", one(fields("U8", "[1.0]", "[0,1]"), 1), {"tensor \"a\"", "\"shape\"", "1.0"}},
    {"an extent with an exponent", one(fields("U8", "[8e0]", "[0,8]"), 8), {"tensor \"a\"", "\"shape\"", "8e0"}},
    {"an extent of 2^64", one(fields("U8", "[18446744073709551616]", "[0,0]"), 0), {"tensor \"a\"", "\"shape\"", "18446744073709551616"}},
    {"an extent in a string", one(R"({"dtype":"U8","shape":["1"],"data_offsets":[0,1]})", 1), {"tensor \"a\"", "\"shape\"", "\"1\""}},
    {"a list in the shape", one(fields("U8", "[[1]]", "[0,1]"), 1), {"tensor \"a\"", "\"shape\"", "an array"}},
    {"an extent with a leading zero", one(fields("U8", "[01]", "[0,1]"), 1), {"header", "not valid JSON"}},
    {"too many axes", one(fields("U8", "[1" + repeated(",1", 64) + "]", "[0,1]"), 1), {"tensor \"a\"", "\"shape\"", "64 axes"}},
    {"a name too long", named(repeated("n", 5000)), {"4096 bytes"}},
    {"one offset", one(fields("U8", "[0]", "[0]"), 0), {"tensor \"a\"", "\"data_offsets\"", "fewer than two"}},
    {"three offsets", one(fields("U8", "[1]", "[0,1,1]"), 1), {"tensor \"a\"", "\"data_offsets\"", "more than two"}},
    {"a fractional offset", one(fields("U8", "[1]", "[0,1.0]"), 1), {"tensor \"a\"", "\"data_offsets\"", "1.0"}},
    {"a negative offset", one(fields("U8", "[1]", "[-1,0]"), 1), {"tensor \"a\"", "\"data_offsets\"", "-1"}},
    {"an offset that is null", one(fields("U8", "[1]", "[null,1]"), 1), {"tensor \"a\"", "\"data_offsets\"", "null"}},
    {"offsets in an object",
     one(R"({"dtype":"U8","shape":[1],"data_offsets":{"b":0,"e":1}})", 1),
     {"tensor \"a\"", "\"data_offsets\"", "an object"}},
    // ---- sizes
    {"a range that ends before it begins",
     one(fields("U8", "[1]", "[1,0]"), 1),
     {"tensor \"a\"", "\"data_offsets\"", "1, after its end 0"}},
    {"elements past 2^64", one(fields("U8", "[9223372036854775808,2]", "[0,0]"), 0), {"tensor \"a\"", "\"shape\"", "64-bit"}},
    {"elements past 2^64 before a zero",
     one(fields("U8", "[9223372036854775808,9223372036854775808,0]", "[0,0]"), 0),
     {"tensor \"a\"", "\"shape\"", "64-bit"}},
    {"bits past 2^64", one(fields("F64", "[288230376151711744]", "[0,0]"), 0), {"tensor \"a\"", "\"shape\"", "64-bit"}},
    {"half a byte", one(fields("F4", "[1]", "[0,1]"), 1), {"tensor \"a\"", "\"shape\"", "F4 [1]", "whole bytes"}},
    {"a range too short",
     one(fields("F32", "[2]", "[0,4]"), 4),
     {"tensor \"a\"", "\"data_offsets\"", "expected 8 bytes", "F32 [2]", "found 4"}},
    {"a range too long", one(fields("F32", "[1]", "[0,8]"), 8), {"tensor \"a\"", "\"data_offsets\"", "expected 4 bytes", "found 8"}},
    {"a scalar without bytes", one(fields("F32", "[]", "[0,0]"), 0), {"tensor \"a\"", "\"data_offsets\"", "expected 4 bytes"}},
    // ---- the tiling
    {"a gap before the first tensor",
     one(fields("U8", "[1]", "[1,2]"), 2),
     {"tensor \"a\"", "\"data_offsets\"", "gap", "expected to begin at 0, found 1"}},
    {"a gap between tensors",
     file_with("{" + a_byte + ",\"b\":" + fields("U8", "[1]", "[2,3]") + "}", "xyz"),
     {"tensor \"b\"", "\"data_offsets\"", "gap"}},
    {"two tensors over the same bytes",
     file_with("{" + a_byte + ",\"b\":" + fields("U8", "[1]", "[0,1]") + "}", "x"),
     {"\"data_offsets\"", "overlaps"}},
    {"tensors that overlap in part",
     file_with("{\"a\":" + fields("U8", "[2]", "[0,2]") + ",\"b\":" + fields("U8", "[2]", "[1,3]") + "}", "xyz"),
     {"tensor \"b\"", "\"data_offsets\"", "overlaps"}},
    {"zero elements inside another tensor",
     file_with("{\"a\":" + fields("U8", "[2]", "[0,2]") + ",\"z\":" + fields("U8", "[0]", "[1,1]") + "}", "xy"),
     {"tensor \"z\"", "\"data_offsets\"", "overlaps"}},
    {"zero elements behind the end",
     file_with("{" + a_byte + ",\"z\":" + fields("U8", "[0]", "[2,2]") + "}", "x"),
     {"tensor \"z\"", "gap"}},
    {"data cut short", file_with("{" + a_byte + "," + b_byte + "}", "x"), {"tensor \"b\"", "truncated", "end at byte 2", "holds 1"}},
    {"a range far behind the file", one(fields("U8", "[18446744073709551615]", "[0,18446744073709551615]"), 1), {"tensor \"a\""}},
    {"bytes behind the last tensor",
     file_with("{" + a_byte + "}", "xy"),
     {"tensor \"a\"", "after the last tensor", "end at byte 1", "holds 2"}},
    {"bytes without a tensor", file_with("{}", "x"), {"header", "after the last tensor"}},
};

}  // namespace

TEST_CASE("the reader accepts every legal file") {
  const TemporaryDirectory directory;
  int number = 0;
  for (const auto& crafted : accepted) {
    CAPTURE(crafted.what);
    const auto path = directory.write("accepted-" + std::to_string(number++) + ".safetensors", crafted.content);
    CHECK(error_of([&] { SafetensorsFile::open(path); }) == "");
  }
}

TEST_CASE("the reader refuses every lying file, naming the file and the culprit") {
  const TemporaryDirectory directory;
  int number = 0;
  for (const auto& crafted : refused) {
    CAPTURE(crafted.what);
    const auto path = directory.write("refused-" + std::to_string(number++) + ".safetensors", crafted.content);
    const auto message = error_of([&] { SafetensorsFile::open(path); });
    CHECK(missing(message, {path.string()}) == "");
    CHECK(missing(message, crafted.message) == "");
    CHECK(message.find('\n') == message.npos);
  }
}

TEST_CASE("cutting a file anywhere makes it refused") {
  const TemporaryDirectory directory;
  const auto whole = file_with("{" + a_byte + "," + b_byte + "}", "xy");
  REQUIRE(error_of([&] { SafetensorsFile::open(directory.write("whole.safetensors", whole)); }) == "");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    const auto path = directory.write("cut.safetensors", std::string_view(whole).substr(0, length));
    CHECK(missing(error_of([&] { SafetensorsFile::open(path); }), {path.string()}) == "");
  }
}

TEST_CASE("changing any byte of the header never lets a tensor leave the file") {
  const TemporaryDirectory directory;
  const auto whole = file_with("{" + a_byte + "," + b_byte + "}", "xy");
  for (std::size_t i = 0; i + 2 < whole.size(); ++i)
    for (const char replacement : {'0', '9', '"', '{', ']', ' ', '\0', '\x80'}) {
      auto changed = whole;
      changed[i] = replacement;
      const auto path = directory.write("changed.safetensors", changed);
      try {
        const auto file = SafetensorsFile::open(path);
        std::size_t total = 0;
        for (const auto& tensor : file.tensors()) {
          total += tensor.data.size();
          const auto all = file.file().bytes();
          CHECK((tensor.data.data() >= all.data() && tensor.data.data() + tensor.data.size() <= all.data() + all.size()));
        }
        CHECK(total == 2);
      } catch (const Error& error) {
        CHECK(missing(error.what(), {path.string()}) == "");
      }
    }
}

TEST_CASE("tensors are found by name, with type, shape and their bytes in place") {
  const TemporaryDirectory directory;
  // the header has 3 bytes more than a multiple of 8, so the floats are not aligned
  std::string header = R"({"__metadata__":{"format":"pt"},"m.weight":)" + fields("F32", "[2,1]", "[3,11]") + R"(,"\u0061":)" +
                       fields("U8", "[3]", "[0,3]") + "}";
  header.resize((header.size() + 7) / 8 * 8 + 3, ' ');
  const float values[] = {1.5f, -2.f};
  const auto path =
      directory.write("model.safetensors", file_with(header, "abc" + std::string(reinterpret_cast<const char*>(values), sizeof values)));
  auto opened = SafetensorsFile::open(path);
  const auto file = std::move(opened);
  CHECK(file.path() == path);
  REQUIRE(file.tensors().size() == 2);
  CHECK(file.tensors()[0].name == "a");
  CHECK(file.tensors()[1].name == "m.weight");
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}});

  const auto* bytes_tensor = file.find("a");
  REQUIRE(bytes_tensor);
  CHECK(bytes_tensor->type == StoredType::u8);
  CHECK(std::memcmp(bytes_tensor->data.data(), "abc", 3) == 0);
  const auto* weight = file.find("m.weight");
  REQUIRE(weight);
  CHECK(weight->type == StoredType::f32);
  CHECK(weight->shape == std::vector<std::uint64_t>{2, 1});
  CHECK(shape_text(weight->shape) == "[2, 1]");
  REQUIRE(weight->data.size() == sizeof values);
  CHECK(std::memcmp(weight->data.data(), values, sizeof values) == 0);
  CHECK(file.file().bytes().data() + 8 + header.size() + 3 == weight->data.data());
  CHECK(file.find("m") == nullptr);
  CHECK(file.find("__metadata__") == nullptr);
}

TEST_CASE("every type of the format is known, with its size") {
  const TemporaryDirectory directory;
  for (const auto& facts : detail::stored_types) {
    CAPTURE(facts.name);
    const auto size = std::to_string(facts.bits);  // 8 elements of n bits are n bytes
    const auto path = directory.write("type.safetensors", one(fields(std::string(facts.name), "[8]", "[0," + size + "]"), facts.bits));
    const auto file = SafetensorsFile::open(path);
    REQUIRE(file.find("a"));
    CHECK(file.find("a")->type == facts.type);
    CHECK(name_of(file.find("a")->type) == facts.name);
  }
  CHECK(as_dtype(StoredType::bf16) == DType::bf16);
  CHECK(as_dtype(StoredType::f16) == DType::f16);
  CHECK(as_dtype(StoredType::f32) == DType::f32);
  CHECK(as_dtype(StoredType::i32) == DType::i32);
  CHECK(as_dtype(StoredType::f64) == std::nullopt);
}
