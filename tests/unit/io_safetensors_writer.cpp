// What the safetensors writer writes, the reader reads back, laid out as the reference writer does it.
#include <doctest/doctest.h>

#include "io_files.hpp"
#include <weft/io/tensor_source.hpp>

using namespace weft;

namespace {

std::span<const std::byte> bytes_of_text(std::string_view text) { return std::as_bytes(std::span(text)); }

std::uint64_t header_length(std::string_view file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  return length;
}

}  // namespace

TEST_CASE("tensors come back as they were written") {
  const TemporaryDirectory directory;
  const std::vector<TensorInfo> written = {
      {"w.half", StoredType::f16, {3}, bytes_of_text("aabbcc")},
      {"bytes", StoredType::u8, {2, 2}, bytes_of_text("wxyz")},
      {"w.single", StoredType::f32, {1, 2}, bytes_of_text("AAAABBBB")},
      {"scalar", StoredType::f32, {}, bytes_of_text("CCCC")},
      {"nothing", StoredType::bf16, {0, 7}, {}},
      {"name with \"quotes\", \xc3\xa4 and \n", StoredType::i8, {1}, bytes_of_text("!")},
  };
  const auto path = directory / "model.safetensors";
  write_safetensors(path, written, {{"note", "made by a test"}});
  const auto file = SafetensorsFile::open(path);
  CHECK(file.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"note", "made by a test"}});
  CHECK(file.tensors().size() == written.size());
  for (const auto& expected : written) {
    CAPTURE(expected.name);
    const auto* found = file.find(expected.name);
    REQUIRE(found);
    CHECK(found->type == expected.type);
    CHECK(found->shape == expected.shape);
    CHECK(std::equal(found->data.begin(), found->data.end(), expected.data.begin(), expected.data.end()));
  }
}

TEST_CASE("larger elements come first, then names, behind a header of a multiple of 8 bytes") {
  const TemporaryDirectory directory;
  const std::vector<TensorInfo> written = {
      {"b", StoredType::bf16, {1}, bytes_of_text("22")},  {"a", StoredType::u8, {1}, bytes_of_text("1")},
      {"c", StoredType::f32, {1}, bytes_of_text("4444")}, {"d", StoredType::f64, {1}, bytes_of_text("88888888")},
      {"a2", StoredType::f16, {1}, bytes_of_text("zz")},
  };
  const auto path = directory / "model.safetensors";
  write_safetensors(path, written);
  const auto file = content_of(path);
  const auto length = header_length(file);
  CHECK(length % 8 == 0);
  CHECK(file.substr(8, length).starts_with(
      R"({"__metadata__":{"format":"pt"},"d":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"c":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"a2")"));
  CHECK(file.substr(8 + length) == "888888884444zz221");
}

TEST_CASE("a file without tensors has the metadata that transformers asks for") {
  const TemporaryDirectory directory;
  write_safetensors(directory / "empty.safetensors", {});
  const auto file = SafetensorsFile::open(directory / "empty.safetensors");
  CHECK(file.tensors().empty());
  CHECK(file.metadata().at("format") == "pt");
}

TEST_CASE("tensors in blocks are bytes and an entry that says what they mean") {
  const TemporaryDirectory directory;
  const auto path = directory / "model.safetensors";
  const std::string q4_0(2 * 36, 'q'), q6_k(3 * 210, 'k');
  auto small = describe_blocks("small", DType::q4_0, {2, 64}), large = describe_blocks("layer.large", DType::q6_k, {3, 1, 256});
  small.bytes.data = bytes_of_text(q4_0);
  large.bytes.data = bytes_of_text(q6_k);
  write_safetensors(path, std::vector<TensorInfo>{small.bytes, large.bytes, {"bytes", StoredType::u8, {2, 36}, bytes_of_text(q4_0)}},
                    {small.entry, large.entry});
  CHECK(SafetensorsFile::open(path).metadata() == std::map<std::string, std::string>{{"format", "pt"},
                                                                                     {"weft.blocks.layer.large", "q6_k [3, 1, 256]"},
                                                                                     {"weft.blocks.small", "q4_0 [2, 64]"}});
  const TensorSource source(Checkpoint::open(path));
  const auto *a = source.find("small"), *b = source.find("layer.large"), *plain = source.find("bytes");
  REQUIRE((a && b && plain));
  CHECK((a->format == DType::q4_0 && a->type == "q4_0" && a->shape == std::vector<std::uint64_t>{2, 64}));
  CHECK((b->format == DType::q6_k && b->shape == std::vector<std::uint64_t>{3, 1, 256}));
  CHECK((!plain->format && plain->type == "U8" && plain->shape == std::vector<std::uint64_t>{2, 36}));
  CHECK(std::ranges::equal(a->data, small.bytes.data));
  CHECK(std::ranges::equal(b->data, large.bytes.data));
}

TEST_CASE("an entry of blocks that does not fit its tensor is refused") {
  const TemporaryDirectory directory;
  const auto path = directory / "model.safetensors";
  const std::string bytes(72, 'q');
  const std::vector<TensorInfo> tensors = {{"w", StoredType::u8, {2, 36}, bytes_of_text(bytes)},
                                           {"f", StoredType::f32, {18}, bytes_of_text(bytes)},
                                           {"scalar", StoredType::u8, {}, bytes_of_text("q")},
                                           {"empty", StoredType::u8, {0, 0xfffffffffffffff0 / 18 * 18}, {}}};
  const auto refused = [&](const std::string& name, const std::string& text) {
    write_safetensors(path, tensors, {{"weft.blocks." + name, text}});
    return error_of([&] { TensorSource source(Checkpoint::open(path)); });
  };
  CHECK(refused("w", "q4_0 [2, 64]") == "");
  CHECK(missing(refused("v", "q4_0 [2, 64]"), {path.string(), "\"weft.blocks.v\"", "no tensor of this name"}) == "");
  for (const auto* text : {"", "q4_2 [2, 64]", "bf16 [2, 18]", "any_block [2, 64]", "Q4_0 [2, 64]"})
    CHECK(missing(refused("w", text), {path.string(), "\"weft.blocks.w\"", "expected a block format"}) == "");
  for (const auto* text : {"q4_0", "q4_0 [2, 96]", "q4_0 [2, 64] ", "q4_0 [128]"})
    CHECK(missing(refused("w", text), {"\"weft.blocks.w\"", "expected \"q4_0 [2, 64]\" for U8 [2, 36]"}) == "");
  CHECK(missing(refused("w", "q8_0 [2, 32]"), {"\"weft.blocks.w\"", "whole blocks of 34 bytes", "U8 [2, 36]"}) == "");
  CHECK(missing(refused("f", "q4_0 [64]"), {"\"weft.blocks.f\"", "expected a tensor of U8", "F32 [18]"}) == "");
  CHECK(missing(refused("scalar", "q4_0 []"), {"\"weft.blocks.scalar\"", "found U8 []"}) == "");
  CHECK(missing(refused("empty", "q4_0 [0, 1]"), {"\"weft.blocks.empty\"", "too long"}) == "");
}

TEST_CASE("what the reader would refuse is not written, and the old file stays") {
  const TemporaryDirectory directory;
  const auto path = directory.write("model.safetensors", "old");
  const auto refused = [&](const std::vector<TensorInfo>& tensors) { return error_of([&] { write_safetensors(path, tensors); }); };
  const TensorInfo good{"a", StoredType::f32, {1}, bytes_of_text("4444")};
  CHECK(missing(refused({good, good}), {path.string(), "tensor \"a\"", "twice"}) == "");
  CHECK(missing(refused({{"a", StoredType::f32, {2}, bytes_of_text("4444")}}),
                {path.string(), "tensor \"a\"", "expected 8 bytes", "found 4"}) == "");
  CHECK(missing(refused({{"__metadata__", StoredType::f32, {1}, bytes_of_text("4444")}}), {path.string(), "\"__metadata__\""}) == "");
  CHECK(missing(refused({{"\xff", StoredType::f32, {1}, bytes_of_text("4444")}}), {path.string(), "UTF-8"}) == "");
  CHECK(content_of(path) == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}
