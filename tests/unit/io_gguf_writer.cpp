// What the GGUF writer writes, the reader reads; what the reader would refuse is not written.
#include <doctest/doctest.h>

#include <cstring>

#include "io_files.hpp"
#include "io_gguf_bytes.hpp"
#include <weft/io/gguf_writer.hpp>

using namespace weft;

namespace {

std::span<const std::byte> bytes_of_text(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text_of_bytes(std::span<const std::byte> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace

TEST_CASE("a file comes back as it was written, byte by byte as the format says") {
  const TemporaryDirectory directory;
  const auto path = directory / "model.gguf";
  const std::string f(24, 'f'), q(68, 'q');
  GgufWriter writer(path);
  writer.add("name", "weft");
  writer.add("count", std::uint32_t{3});
  writer.add("eps", 0.5f);
  writer.add("yes", true);
  writer.add("words", std::span<const std::string>(std::vector<std::string>{"a", "b c"}));
  writer.add("ids", std::span<const std::int32_t>(std::vector<std::int32_t>{1, -2}));
  writer.add_tensor("v", DType::f32, {3, 2});
  writer.add_tensor("empty", DType::bf16, {0, 4});
  writer.add_tensor("w", DType::q8_0, {2, 32});
  writer.write(bytes_of_text(f));
  for (const char& letter : q) writer.write(bytes_of_text({&letter, 1}));
  CHECK(!std::filesystem::exists(path));
  writer.commit();

  const std::string expected =
      gguf::File{
          {gguf::string("name", "weft"), gguf::u32("count", 3), gguf::f32("eps", 0.5f), gguf::boolean("yes", 1),
           gguf::array("words", 8, 2, gguf::text("a") + gguf::text("b c")), gguf::array("ids", 5, 2, gguf::bytes(1) + gguf::bytes(-2))},
          {gguf::tensor("v", {2, 3}, 0, 0), gguf::tensor("empty", {4, 0}, 30, 32), gguf::tensor("w", {32, 2}, 8, 32)},
          f + std::string(8, '\0') + q + std::string(28, '\0')}
          .whole();
  CHECK(content_of(path) == expected);

  const auto file = GgufFile::open(path);
  CHECK(text_of_bytes(file.tensor("v")->data) == f);
  CHECK(text_of_bytes(file.tensor("w")->data) == q);
  GgufWriter copy(directory / "copy.gguf");
  for (const auto& entry : file.entries()) copy.add(entry);
  for (const auto& tensor : file.tensors()) copy.add_tensor(tensor.name, tensor.type, tensor.shape);
  for (const auto& tensor : file.tensors()) copy.write(tensor.data);
  copy.commit();
  CHECK(content_of(directory / "copy.gguf") == expected);
}

TEST_CASE("what the reader would refuse is not written, and the old file stays") {
  const TemporaryDirectory directory;
  const auto path = directory.write("model.gguf", "old");
  const auto refusal = [&](auto&& action) {
    GgufWriter writer(path);
    return error_of([&] { action(writer); });
  };
  using W = GgufWriter&;
  CHECK(missing(refusal([](W w) { w.add("k", 1), w.add("k", 2); }), {path.string(), "key \"k\"", "twice"}) == "");
  CHECK(missing(refusal([](W w) { w.add("general.alignment", 64u); }), {"general.alignment"}) == "");
  CHECK(missing(refusal([](W w) { w.add_tensor("a", DType::i32, {8}); }), {path.string(), "tensor \"a\"", "i32"}) == "");
  CHECK(missing(refusal([](W w) { w.add_tensor("a", DType::any_block, {32}); }), {"tensor \"a\"", "any_block"}) == "");
  CHECK(missing(refusal([](W w) { w.add_tensor("a", DType::q4_k, {2, 128}); }), {"tensor \"a\"", "q4_k [2, 128]", "256"}) == "");
  CHECK(missing(refusal([](W w) { w.add_tensor(std::string(64, 'n'), DType::f32, {8}); }), {"1 to 63 bytes"}) == "");
  CHECK(missing(refusal([](W w) { w.add_tensor("a", DType::f32, {1, 1, 1, 1, 1}); }), {"tensor \"a\"", "4 axes"}) == "");
  CHECK(missing(refusal([](W w) { w.add_tensor("a", DType::f32, {1}), w.add_tensor("a", DType::f32, {1}); }), {"tensor \"a\"", "twice"}) ==
        "");
  const auto one = [](W w) { w.add_tensor("a", DType::f32, {2}); };
  CHECK(missing(refusal([&](W w) { one(w), w.commit(); }), {"tensor \"a\"", "expected 8 bytes", "found 0"}) == "");
  CHECK(missing(refusal([&](W w) { one(w), w.write(bytes_of_text("1234567")), w.commit(); }), {"tensor \"a\"", "expected 8", "found 7"}) ==
        "");
  CHECK(missing(refusal([&](W w) { one(w), w.write(bytes_of_text("123456789")); }), {"tensor \"a\"", "expected 8", "found 9"}) == "");
  CHECK(missing(refusal([&](W w) { one(w), w.write(bytes_of_text("12345678")), w.write(bytes_of_text("9")); }), {"more data"}) == "");
  CHECK(missing(refusal([&](W w) { one(w), w.write(bytes_of_text("1")), w.add("k", 1); }), {"key \"k\"", "after data"}) == "");
  CHECK(missing(refusal([&](W w) { one(w), w.write({}), w.add_tensor("b", DType::f32, {1}); }), {"tensor \"b\"", "after data"}) == "");
  CHECK(content_of(path) == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}
