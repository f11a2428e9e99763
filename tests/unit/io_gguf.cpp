// The GGUF reader accepts what the format allows and refuses every file that lies about its content, naming file and culprit.
#include <doctest/doctest.h>

#include <cstring>

#include "io_files.hpp"
#include "io_gguf_bytes.hpp"
#include <weft/io/gguf.hpp>

using namespace weft;

namespace {

struct Crafted {
  std::string what, content;
  std::vector<std::string_view> message = {};  // what the error must say; empty: the file is accepted
};

std::string zeros(std::size_t count) { return std::string(count, '\0'); }
std::string with_entry(const std::string& entry) { return gguf::File{{entry}}.whole(); }
std::string with_tensor(const std::string& tensor, std::size_t data) { return gguf::File{{}, {tensor}, zeros(data)}.whole(); }
std::string with_tensors(const std::vector<std::string>& tensors, std::size_t data) { return gguf::File{{}, tensors, zeros(data)}.whole(); }
std::string header(std::uint64_t tensors, std::uint64_t entries, std::uint32_t version = 3) {
  return "GGUF" + gguf::bytes(version) + gguf::bytes(tensors) + gguf::bytes(entries);
}
constexpr std::uint64_t huge = ~std::uint64_t{0};
const auto name_of_63 = std::string(63, 'n');
const auto a = gguf::tensor("a", {8}, 0, 0);  // 32 bytes

const std::vector<Crafted> accepted = {
    {"nothing at all", header(0, 0)},
    {"version 2", header(0, 0, 2)},
    {"a value of each type",
     gguf::File{{gguf::entry("0", 0, "x"), gguf::entry("1", 1, "x"), gguf::entry("2", 2, "xx"), gguf::entry("3", 3, "xx"),
                 gguf::entry("4", 4, "xxxx"), gguf::entry("5", 5, "xxxx"), gguf::entry("6", 6, "xxxx"), gguf::boolean("7", 1),
                 gguf::string("8", "xyz"), gguf::array("9", 8, 2, gguf::text("p") + gguf::text("")), gguf::entry("10", 10, "xxxxxxxx"),
                 gguf::entry("11", 11, "xxxxxxxx"), gguf::entry("12", 12, "xxxxxxxx")}}
         .whole()},
    {"an empty array", with_entry(gguf::array("k", 8, 0, ""))},
    {"an array of bools", with_entry(gguf::array("k", 7, 2, std::string("\0\1", 2)))},
    {"a scalar", with_tensor(gguf::tensor("a", {}, 0, 0), 4)},
    {"four axes", with_tensor(gguf::tensor("a", {2, 1, 2, 2}, 0, 0), 32)},
    {"a tensor without elements", with_tensors({gguf::tensor("a", {4, 0}, 0, 0), gguf::tensor("b", {4}, 0, 0)}, 16)},
    {"a name of 63 bytes", with_tensor(gguf::tensor(name_of_63, {8}, 0, 0), 32)},
    {"tensors that follow one another", with_tensors({a, gguf::tensor("b", {32}, 8, 32), gguf::tensor("c", {2}, 30, 96)}, 100)},
    {"padding behind the last tensor", with_tensor(gguf::tensor("a", {1}, 0, 0), 32)},
    {"an alignment of its own",
     gguf::File{{gguf::u32("general.alignment", 8)}, {gguf::tensor("a", {1}, 0, 0), gguf::tensor("b", {1}, 0, 8)}, zeros(12), 3, 8}
         .whole()},
};

const std::vector<Crafted> refused = {
    // ---- the header
    {"an empty file", "", {"header", "truncated"}},
    {"another file", "PK\3\4" + zeros(60), {"header", "letters GGUF", "PK"}},
    {"the letters only", "GGUF", {"header", "truncated", "version"}},
    {"version 1", header(0, 0, 1), {"header", "version 2 or 3", "found 1"}},
    {"version 4", header(0, 0, 4), {"header", "version 2 or 3", "found 4"}},
    {"a big-endian file", header(0, 0, 3u << 24), {"header", "little-endian"}},
    {"no counts", header(0, 0).substr(0, 12), {"header", "truncated", "number of tensors"}},
    {"more tensors than bytes", header(huge, 0), {"header", "number of tensors", "18446744073709551615", "8 bytes follow"}},
    {"more keys than bytes", header(0, huge), {"header", "number of keys", "0 bytes follow"}},
    {"a key that is not there", header(0, 1) + zeros(12), {"number of keys", "found 1", "12 bytes follow"}},
    // ---- metadata
    {"a key longer than the file", header(0, 1) + gguf::bytes(huge) + zeros(20), {"key 1 of 1", "truncated", "18446744073709551615", "20"}},
    {"an empty key", with_entry(gguf::u32("", 1)), {"key \"\"", "empty"}},
    {"a key twice", gguf::File{{gguf::u32("k", 1), gguf::f32("k", 1)}}.whole(), {"key \"k\"", "twice"}},
    {"type 13", with_entry(gguf::entry("k", 13, zeros(8))), {"key \"k\"", "0 to 12", "found 13"}},
    {"no value", with_entry(gguf::entry("key", 10, "1234")), {"key \"key\"", "truncated", "8 bytes", "found 4"}},
    {"a string longer than the file", with_entry(gguf::entry("k", 8, gguf::bytes(huge))), {"key \"k\"", "truncated", "found 0"}},
    {"a bool of 2", with_entry(gguf::boolean("k", 2)), {"key \"k\"", "bool", "found 2"}},
    {"a bool of 255 in an array", with_entry(gguf::array("k", 7, 2, "\1\xff")), {"key \"k\"", "bool", "found 255"}},
    {"an array of arrays", with_entry(gguf::array("k", 9, 1, zeros(12))), {"key \"k\"", "array of arrays"}},
    {"an array of type 200", with_entry(gguf::array("k", 200, 1, zeros(12))), {"key \"k\"", "elements", "found 200"}},
    {"an array longer than the file", with_entry(gguf::array("k", 4, 3, zeros(8))), {"key \"k\"", "elements", "found 3", "8 bytes follow"}},
    {"an array whose bytes overflow", with_entry(gguf::array("k", 10, (huge >> 3) + 2, zeros(8))), {"key \"k\"", "8 bytes follow"}},
    {"more strings than bytes", with_entry(gguf::array("k", 8, huge, zeros(8))), {"key \"k\"", "elements", "8 bytes follow"}},
    {"a string of an array longer than the file", with_entry(gguf::array("k", 8, 1, gguf::bytes(huge))), {"key \"k\"", "truncated"}},
    {"an alignment of 0", with_entry(gguf::u32("general.alignment", 0)), {"general.alignment", "power of two", "found 0"}},
    {"an alignment of 24", with_entry(gguf::u32("general.alignment", 24)), {"general.alignment", "power of two", "found 24"}},
    {"an alignment that is a string",
     with_entry(gguf::string("general.alignment", "32")),
     {"general.alignment", "integer", "string \"32\""}},
    // ---- tensors
    {"a tensor cut short", with_tensor(a.substr(0, 20), 0) + zeros(4), {"tensor \"a\"", "truncated"}},
    {"a name of 64 bytes", with_tensor(gguf::tensor(name_of_63 + "n", {8}, 0, 0), 32), {"tensor \"nnn", "63", "found 64"}},
    {"a name longer than the file", header(1, 0) + gguf::bytes(huge) + zeros(32), {"tensor 1 of 1", "truncated"}},
    {"a tensor twice", with_tensors({a, gguf::tensor("a", {8}, 0, 32)}, 64), {"tensor \"a\"", "twice"}},
    {"five axes", with_tensor(gguf::tensor("a", {1, 1, 1, 1, 8}, 0, 0), 32), {"tensor \"a\"", "4 axes", "found 5"}},
    {"axes without end", header(1, 0) + gguf::text("a") + gguf::bytes(0xffffffffu) + zeros(64), {"tensor \"a\"", "4 axes"}},
    {"an unknown type", with_tensor(gguf::tensor("a", {8}, 99, 0), 32), {"tensor \"a\"", "Q4_K", "found type 99"}},
    {"a type that weft lacks", with_tensor(gguf::tensor("a", {256}, 16, 0), 66), {"tensor \"a\"", "found type 16 (IQ2_XXS)"}},
    {"integers", with_tensor(gguf::tensor("a", {8}, 26, 0), 32), {"tensor \"a\"", "found type 26 (I32)"}},
    {"rows of half a block", with_tensor(gguf::tensor("a", {16, 2}, 8, 0), 34), {"tensor \"a\"", "q8_0 [2, 16]", "whole blocks of 32"}},
    {"rows of half a large block",
     with_tensor(gguf::tensor("a", {128, 2}, 12, 0), 144),
     {"tensor \"a\"", "q4_k [2, 128]", "256", "found 128"}},
    {"a size that overflows",
     with_tensor(gguf::tensor("a", {1ull << 32, 1ull << 32}, 0, 0), 32),
     {"tensor \"a\"", "truncated", "more bytes"}},
    {"a size beyond 2^63", with_tensor(gguf::tensor("a", {1ull << 63}, 0, 0), 32), {"tensor \"a\"", "truncated"}},
    {"a gap", with_tensors({a, gguf::tensor("b", {8}, 0, 64)}, 96), {"tensor \"b\"", "gap", "byte 32", "found 64"}},
    {"a gap before the first", with_tensor(gguf::tensor("a", {8}, 0, 32), 64), {"tensor \"a\"", "gap", "byte 0", "found 32"}},
    {"an overlap", with_tensors({a, gguf::tensor("b", {8}, 0, 0)}, 64), {"tensor \"b\"", "overlaps", "byte 32", "found 0"}},
    {"no padding between",
     with_tensors({gguf::tensor("a", {1}, 0, 0), gguf::tensor("b", {1}, 0, 4)}, 8),
     {"tensor \"b\"", "byte 32", "found 4"}},
    {"data cut short", with_tensor(a, 31), {"tensor \"a\"", "truncated"}},
    {"no data", with_tensor(a, 0), {"tensor \"a\"", "truncated"}},
    {"data of the second tensor missing", with_tensors({a, gguf::tensor("b", {8}, 0, 32)}, 40), {"tensor \"b\"", "truncated"}},
};

}  // namespace

TEST_CASE("the reader accepts every legal file") {
  const TemporaryDirectory directory;
  for (const auto& crafted : accepted) {
    CAPTURE(crafted.what);
    const auto path = directory.write("accepted.gguf", crafted.content);
    CHECK(error_of([&] { GgufFile::open(path); }) == "");
  }
}

TEST_CASE("the reader refuses every lying file, naming the file and the culprit") {
  const TemporaryDirectory directory;
  for (const auto& crafted : refused) {
    CAPTURE(crafted.what);
    const auto path = directory.write("refused.gguf", crafted.content);
    const auto message = error_of([&] { GgufFile::open(path); });
    CHECK(missing(message, {path.string()}) == "");
    CHECK(missing(message, crafted.message) == "");
    CHECK(message.find('\n') == message.npos);
  }
}

TEST_CASE("cutting a file anywhere makes it refused") {
  const TemporaryDirectory directory;
  const auto whole =
      gguf::File{{gguf::string("k", "value"), gguf::array("n", 4, 2, zeros(8))}, {a, gguf::tensor("b", {32}, 8, 32)}, zeros(66)}.whole();
  REQUIRE(error_of([&] { GgufFile::open(directory.write("whole.gguf", whole)); }) == "");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CAPTURE(length);
    const auto path = directory.write("cut.gguf", std::string_view(whole).substr(0, length));
    CHECK(missing(error_of([&] { GgufFile::open(path); }), {path.string()}) == "");
  }
}

TEST_CASE("changing any byte never lets a tensor or a value leave the file") {
  const TemporaryDirectory directory;
  const auto whole =
      gguf::File{{gguf::array("k", 8, 2, gguf::text("ab") + gguf::text("c"))}, {a, gguf::tensor("b", {32}, 8, 32)}, zeros(66)}.whole();
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (const char replacement : {'\0', '\1', '\x09', '\x7f', '\xff'}) {
      auto changed = whole;
      changed[i] = replacement;
      const auto path = directory.write("changed.gguf", changed);
      try {
        const auto file = GgufFile::open(path);
        const auto all = file.file().bytes();
        const auto inside = [&](const void* begin, std::size_t size) {
          return size == 0 || (begin >= all.data() && static_cast<const std::byte*>(begin) + size <= all.data() + all.size());
        };
        for (const auto& tensor : file.tensors()) CHECK(inside(tensor.data.data(), tensor.data.size()));
        for (const auto& entry : file.entries()) {
          CHECK(inside(entry.bytes.data(), entry.bytes.size()));
          for (const auto string : entry.strings) CHECK(inside(string.data(), string.size()));
        }
      } catch (const Error& error) {
        CHECK(missing(error.what(), {path.string()}) == "");
      }
    }
}

TEST_CASE("values are found by key, as what they can be without loss") {
  const TemporaryDirectory directory;
  const auto path = directory.write(
      "values.gguf",
      gguf::File{{gguf::u32("count", 70000), gguf::entry("below", 5, gguf::bytes(-3)), gguf::entry("large", 10, gguf::bytes(huge)),
                  gguf::f32("half", 0.5f), gguf::entry("third", 12, gguf::bytes(1.0 / 3)), gguf::boolean("yes", 1),
                  gguf::string("name", "weft"), gguf::array("ids", 5, 3, gguf::bytes(1) + gguf::bytes(-2) + gguf::bytes(3)),
                  gguf::array("words", 8, 2, gguf::text("a b") + gguf::text("c"))}}
          .whole());
  auto opened = GgufFile::open(path);
  const auto file = std::move(opened);
  CHECK(file.path() == path);
  CHECK(file.version() == 3);
  CHECK(file.alignment() == 32);
  CHECK(file.entries().size() == 9);
  CHECK(file.find<std::uint32_t>("count") == 70000);
  CHECK(file.find<std::int64_t>("count") == 70000);
  CHECK(file.find<int>("below") == -3);
  CHECK(file.find<std::uint64_t>("large") == huge);
  CHECK(file.find<float>("half") == 0.5f);
  CHECK(file.find<double>("half") == 0.5);
  CHECK(file.find<double>("third") == 1.0 / 3);
  CHECK(file.find<bool>("yes") == true);
  CHECK(file.require<std::string_view>("name") == "weft");
  CHECK(file.require<std::vector<std::int32_t>>("ids") == std::vector<std::int32_t>{1, -2, 3});
  CHECK(file.require<std::vector<long>>("ids") == std::vector<long>{1, -2, 3});
  const auto words = file.require<std::span<const std::string_view>>("words");
  CHECK(std::vector<std::string_view>(words.begin(), words.end()) == std::vector<std::string_view>{"a b", "c"});
  CHECK(file.find<int>("absent") == std::nullopt);
  CHECK(file.entry("absent") == nullptr);

  const auto refusal = [&](auto&& action) { return error_of(action); };
  CHECK(missing(refusal([&] { file.find<std::uint16_t>("count"); }), {path.string(), "\"count\"", "0 to 65535", "u32 70000"}) == "");
  CHECK(missing(refusal([&] { file.find<std::uint32_t>("below"); }), {"\"below\"", "i32 -3"}) == "");
  CHECK(missing(refusal([&] { file.find<std::int64_t>("large"); }), {"\"large\"", "u64 18446744073709551615"}) == "");
  CHECK(missing(refusal([&] { file.find<int>("half"); }), {"\"half\"", "integer", "f32 0.5"}) == "");
  CHECK(missing(refusal([&] { file.find<float>("count"); }), {"\"count\"", "floating-point", "u32 70000"}) == "");
  CHECK(missing(refusal([&] { file.find<bool>("count"); }), {"\"count\"", "a bool", "u32"}) == "");
  CHECK(missing(refusal([&] { file.find<int>("yes"); }), {"\"yes\"", "bool true"}) == "");
  CHECK(missing(refusal([&] { file.find<std::string_view>("words"); }), {"\"words\"", "a string", "array of 2 string"}) == "");
  CHECK(missing(refusal([&] { file.find<int>("ids"); }), {"\"ids\"", "integer", "array of 3 i32"}) == "");
  CHECK(missing(refusal([&] { file.find<std::vector<std::uint32_t>>("ids"); }), {"\"ids\"", "an array", "array of 3 i32"}) == "");
  CHECK(missing(refusal([&] { file.find<std::vector<int>>("words"); }), {"\"words\"", "an array", "string"}) == "");
  CHECK(missing(refusal([&] { file.find<std::span<const std::string_view>>("name"); }), {"\"name\"", "array of strings", "weft"}) == "");
  CHECK(missing(refusal([&] { file.require<int>("absent"); }), {path.string(), "\"absent\"", "missing"}) == "");
}

TEST_CASE("tensors are found by name, with type, shape in row-major order and their bytes in place") {
  const TemporaryDirectory directory;
  std::string data(32 + 68, '\0');
  data[0] = 'f';
  data[32] = 'q';
  const auto path =
      directory.write("model.gguf", gguf::File{{}, {gguf::tensor("v", {2, 3}, 0, 0), gguf::tensor("w", {32, 2}, 8, 32)}, data}.whole());
  const auto file = GgufFile::open(path);
  REQUIRE(file.tensors().size() == 2);
  const auto* v = file.tensor("v");
  REQUIRE(v);
  CHECK(v->type == DType::f32);
  CHECK(v->shape == std::vector<std::uint64_t>{3, 2});
  CHECK(v->data.size() == 24);
  CHECK(v->data[0] == std::byte{'f'});
  const auto* w = file.tensor("w");
  REQUIRE(w);
  CHECK(w->type == DType::q8_0);
  CHECK(w->shape == std::vector<std::uint64_t>{2, 32});
  CHECK(w->data.size() == 68);
  CHECK(w->data[0] == std::byte{'q'});
  CHECK((w->data.data() - file.file().bytes().data()) % 32 == 0);
  CHECK(file.tensor("x") == nullptr);
}
