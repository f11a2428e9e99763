// A checkpoint is one file or the shards of an index; an index that lies or leads outside its directory is refused.
#include <doctest/doctest.h>

#include "io_files.hpp"
#include <weft/io/checkpoint.hpp>

using namespace weft;

namespace {

void write_bytes(const std::filesystem::path& path, std::initializer_list<std::pair<const char*, std::string_view>> tensors) {
  std::vector<TensorInfo> list;
  for (const auto& [name, text] : tensors) list.push_back({name, StoredType::u8, {text.size()}, std::as_bytes(std::span(text))});
  write_safetensors(path, list);
}
std::string text_of(const TensorInfo* tensor) {
  return tensor ? std::string(reinterpret_cast<const char*>(tensor->data.data()), tensor->data.size()) : "(not found)";
}
constexpr const char* index_name = "model.safetensors.index.json";

}  // namespace

TEST_CASE("a directory with model.safetensors, and the file itself") {
  const TemporaryDirectory directory;
  write_bytes(directory / "model.safetensors", {{"model.norm.weight", "norm"}, {"lm_head.weight", "head"}});
  for (const auto& path : {directory.path(), directory / "model.safetensors"}) {
    const auto checkpoint = Checkpoint::open(path);
    CHECK(text_of(checkpoint.find("model.norm.weight")) == "norm");
    CHECK(text_of(checkpoint.find("lm_head.weight")) == "head");
    CHECK(checkpoint.find("model.embed_tokens.weight") == nullptr);
    CHECK(checkpoint.tensors().size() == 2);
    CHECK(checkpoint.total_bytes() == 8);
    CHECK(checkpoint.warnings().empty());
    CHECK(std::filesystem::equivalent(checkpoint.directory(), directory.path()));
  }
}

TEST_CASE("names without the leading model. are found, the full name first") {
  const TemporaryDirectory directory;
  write_bytes(directory / "model.safetensors",
              {{"norm.weight", "bare"}, {"embed_tokens.weight", "bare"}, {"model.embed_tokens.weight", "full"}});
  const auto checkpoint = Checkpoint::open(directory.path());
  CHECK(text_of(checkpoint.find("model.norm.weight")) == "bare");
  CHECK(text_of(checkpoint.find("norm.weight")) == "bare");
  CHECK(text_of(checkpoint.find("model.embed_tokens.weight")) == "full");
  CHECK(checkpoint.find("model.model.norm.weight") == nullptr);
}

TEST_CASE("shards are read through their index") {
  const TemporaryDirectory directory;
  write_bytes(directory / "model-00001-of-00002.safetensors", {{"a", "first"}, {"c", "third"}, {"unmapped", "?"}});
  write_bytes(directory / "model-00002-of-00002.safetensors", {{"b", "second"}, {"a", "not this one"}});
  directory.write(index_name, R"({"metadata":{"total_size":16,"total_parameters":16},"weight_map":{
    "a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors","c":"model-00001-of-00002.safetensors"}})");
  auto opened = Checkpoint::open(directory.path());
  const auto checkpoint = std::move(opened);
  CHECK(text_of(checkpoint.find("a")) == "first");
  CHECK(text_of(checkpoint.find("b")) == "second");
  CHECK(text_of(checkpoint.find("c")) == "third");
  CHECK(checkpoint.find("unmapped") == nullptr);
  CHECK(checkpoint.files().size() == 2);
  CHECK(checkpoint.total_bytes() == 16);
  CHECK(checkpoint.warnings().empty());
}

TEST_CASE("model.safetensors is taken before an index") {
  const TemporaryDirectory directory;
  write_bytes(directory / "model.safetensors", {{"a", "single"}});
  directory.write(index_name, "not even JSON");
  CHECK(text_of(Checkpoint::open(directory.path()).find("a")) == "single");
}

TEST_CASE("a wrong total size is a warning") {
  const TemporaryDirectory directory;
  write_bytes(directory / "one.safetensors", {{"a", "first"}});
  for (const char* stated : {"7", "\"5\"", "null"}) {
    directory.write(index_name, std::string(R"({"metadata":{"total_size":)") + stated + R"(},"weight_map":{"a":"one.safetensors"}})");
    const auto checkpoint = Checkpoint::open(directory.path());
    REQUIRE(checkpoint.warnings().size() == 1);
    CHECK(missing(checkpoint.warnings()[0], {index_name, "total_size", stated, "5 bytes"}) == "");
  }
  for (const char* metadata : {"", R"("metadata":{},)", R"("metadata":null,)", R"("metadata":{"total_size":5},)"}) {
    directory.write(index_name, std::string("{") + metadata + R"("weight_map":{"a":"one.safetensors"}})");
    CHECK(Checkpoint::open(directory.path()).warnings().empty());
  }
}

TEST_CASE("an index leads only to plain names in its own directory") {
  const TemporaryDirectory outer;
  const auto inner = outer / "model";
  std::filesystem::create_directory(inner);
  write_bytes(outer / "outside.safetensors", {{"a", "first"}});
  write_bytes(inner / "inside.safetensors", {{"a", "first"}});
  const std::string absolute = (outer / "outside.safetensors").string();
  for (const std::string& shard :
       {std::string("../outside.safetensors"), absolute, std::string(".."), std::string("."), std::string(""),
        std::string("./inside.safetensors"), std::string(R"(..\\outside.safetensors)"), std::string("inside.safetensors\\u0000")}) {
    CAPTURE(shard);
    outer.write(std::string("model/") + index_name, R"({"weight_map":{"a":")" + shard + R"("}})");
    CHECK(missing(error_of([&] { Checkpoint::open(inner); }), {(inner / index_name).string(), "tensor \"a\"", "plain file name"}) == "");
  }
}

TEST_CASE("what is missing is named") {
  const TemporaryDirectory directory;
  CHECK(missing(error_of([&] { Checkpoint::open(directory / "absent"); }), {(directory / "absent").string(), "no such file"}) == "");
  CHECK(missing(error_of([&] { Checkpoint::open(directory.path()); }), {directory.path().string(), "model.safetensors", index_name}) == "");
  write_bytes(directory / "one.safetensors", {{"a", "first"}});
  directory.write(index_name, R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  CHECK(missing(error_of([&] { Checkpoint::open(directory.path()); }), {(directory / "two.safetensors").string(), "missing", index_name}) ==
        "");
  directory.write(index_name, R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors"}})");
  CHECK(missing(error_of([&] { Checkpoint::open(directory.path()); }),
                {(directory / "one.safetensors").string(), "tensor \"b\"", "missing"}) == "");
  directory.write("one.safetensors", "broken");
  CHECK(missing(error_of([&] { Checkpoint::open(directory.path()); }), {(directory / "one.safetensors").string()}) == "");
}

TEST_CASE("an index that is not one is refused") {
  const TemporaryDirectory directory;
  write_bytes(directory / "one.safetensors", {{"a", "first"}});
  const std::pair<const char*, std::vector<std::string_view>> indices[] = {
      {"", {"not valid JSON"}},
      {"[]", {"expected an object"}},
      {"{}", {"\"weight_map\""}},
      {R"({"weight_map":[]})", {"\"weight_map\"", "an object"}},
      {R"({"weight_map":{}})", {"\"weight_map\"", "no tensor"}},
      {R"({"weight_map":{"a":1}})", {"tensor \"a\"", "found 1"}},
      {R"({"weight_map":{"a":"one.safetensors","a":"one.safetensors"}})", {"\"a\"", "twice"}},
      {"{\"weight_map\":{\"a\":\"one.safetensors\"}} {}", {"not valid JSON"}},
      {"\xef\xbb\xbf{\"weight_map\":{\"a\":\"one.safetensors\"}}", {"byte order mark"}},
  };
  for (const auto& [content, message] : indices) {
    const std::string index = content;
    CAPTURE(index);
    const auto path = directory.write(index_name, index);
    const auto found = error_of([&] { Checkpoint::open(directory.path()); });
    CHECK(missing(found, {path.string()}) == "");
    CHECK(missing(found, message) == "");
  }
  const auto path = directory.write(index_name, std::string(500, '[') + std::string(500, ']'));
  CHECK(missing(error_of([&] { Checkpoint::open(directory.path()); }), {path.string(), "deeper than 128"}) == "");
}
