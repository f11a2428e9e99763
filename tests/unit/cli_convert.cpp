// The converter as a user meets it: what it writes is what it read, in the format that was asked for, and it refuses what it cannot write.
#include <doctest/doctest.h>

#include "../support/run_program.hpp"

#include <algorithm>
#include <cmath>
#include <weft/core/quantize.hpp>
#include <weft/generate/model_files.hpp>

using namespace weft;
using weft::test::Outcome;
using weft::test::run;

namespace {

Outcome convert(std::vector<std::string> arguments) { return run(WEFT_CONVERTER, std::move(arguments)); }
void convert_well(const std::vector<std::string>& arguments) {
  const auto outcome = convert(arguments);
  CAPTURE(outcome.err);
  REQUIRE(outcome.status == 0);
  CHECK(outcome.out.empty());
}
std::string refused(const std::vector<std::string>& arguments, int status) {
  const auto outcome = convert(arguments);
  CHECK(outcome.status == status);
  CHECK(outcome.err.starts_with("convert: "));
  return outcome.err;
}

const std::string golden = std::string(WEFT_SOURCE_DIR) + "/tests/golden/data/",
                  equations = std::string(WEFT_SOURCE_DIR) + "/examples/models/equations";

// the elements of a tensor in transformers' order of rows
std::vector<float> elements_of(const StoredTensor& tensor) {
  const long columns = tensor.shape.size() == 1 ? 1 : static_cast<long>(tensor.shape[1]), rows = static_cast<long>(tensor.shape[0]);
  std::vector<float> elements(static_cast<std::size_t>(rows * columns));
  for (long row = 0; row < rows; ++row)
    dequantize_row(*tensor.format, tensor.data.data() + RowOrder{tensor.interleaved}.row_in_file(row) * bytes_for(*tensor.format, columns),
                   columns, elements.data() + row * columns);
  return elements;
}
// the names of the tensors of `a` that `b` lacks or has with other elements
std::string different_tensors(const TensorSource& a, const TensorSource& b) {
  std::string names;
  for (const auto& tensor : a.tensors()) {
    const auto* other = b.find(tensor->name);
    if (!other || other->shape != tensor->shape || elements_of(*other) != elements_of(*tensor)) names += tensor->name + " ";
  }
  return names;
}
double relative_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
    norm += double{a[i]} * double{a[i]};
  }
  return std::sqrt(difference / norm);
}
void check_same_config(const ModelConfig& a, const ModelConfig& b) {
  CHECK(a.model_type == b.model_type);
  CHECK(std::vector{a.hidden, a.intermediate, a.layers, a.heads, a.kv_heads, a.head_dim, a.vocab, a.max_positions} ==
        std::vector{b.hidden, b.intermediate, b.layers, b.heads, b.kv_heads, b.head_dim, b.vocab, b.max_positions});
  CHECK(a.rms_norm_eps == b.rms_norm_eps);
  CHECK(a.rope_theta == b.rope_theta);
  CHECK(a.tied == b.tied);
  CHECK(a.qkv_bias == b.qkv_bias);
  CHECK(a.output_bias == b.output_bias);
  CHECK(a.window == b.window);
  REQUIRE(a.experts.has_value() == b.experts.has_value());
  if (!a.experts) return;
  CHECK(std::vector{a.experts->experts, a.experts->chosen, a.experts->intermediate, a.experts->shared_intermediate, a.experts->step} ==
        std::vector{b.experts->experts, b.experts->chosen, b.experts->intermediate, b.experts->shared_intermediate, b.experts->step});
  CHECK(a.experts->normalised == b.experts->normalised);
  CHECK(a.experts->dense_layers == b.experts->dense_layers);
}

}  // namespace

TEST_CASE("to GGUF and back, plain weights stay what they are, bit for bit") {
  for (const auto& name : {"llama", "group1_tied_2024", "group6_tied_bf16", "group5_head128_bf16", "group8_head128_f16", "sharded_bf16"}) {
    CAPTURE(std::string(name));
    const TemporaryDirectory directory;
    const auto file = directory / "model.gguf", back = directory / "back";
    convert_well({golden + name, file.string()});
    convert_well({file.string(), back.string()});
    const auto original = ModelFiles::open(golden + name), in_gguf = ModelFiles::open(file), in_directory = ModelFiles::open(back);
    CHECK(different_tensors(original.tensors(), in_gguf.tensors()) == "");
    CHECK(different_tensors(original.tensors(), in_directory.tensors()) == "");
    check_same_config(original.config(), in_gguf.config());
    check_same_config(original.config(), in_directory.config());
    for (const auto& tensor : in_gguf.tensors().tensors())
      CHECK(*tensor->format == (tensor->shape.size() == 1 ? DType::f32 : *original.tensors().find(tensor->name)->format));
  }
}

TEST_CASE("GGUF keeps the experts of a layer in one tensor, a directory each in its own") {
  const TemporaryDirectory directory;
  const auto file = directory / "model.gguf", back = directory / "back", mixed = directory / "mixed";
  convert_well({golden + "experts", file.string()});
  convert_well({file.string(), back.string()});
  const auto original = ModelFiles::open(golden + "experts"), in_gguf = ModelFiles::open(file), in_directory = ModelFiles::open(back);
  check_same_config(original.config(), in_gguf.config());
  check_same_config(original.config(), in_directory.config());
  CHECK(different_tensors(original.tensors(), in_directory.tensors()) == "");
  CHECK(different_tensors(in_directory.tensors(), original.tensors()) == "");
  const auto* merged = in_gguf.tensors().find("model.layers.1.mlp.experts.#.up_proj.weight");
  REQUIRE(merged);
  CHECK(merged->shape == std::vector<std::uint64_t>{60, 8, 64});
  for (const std::size_t expert : {0, 17, 59}) {
    const auto* one = original.tensors().find("model.layers.1.mlp.experts." + std::to_string(expert) + ".up_proj.weight");
    CHECK(std::ranges::equal(one->data, merged->data.subspan(expert * one->data.size(), one->data.size())));
  }
  CHECK(*in_gguf.tensors().find("model.layers.0.mlp.gate.weight")->format == DType::f32);
  CHECK(in_gguf.tensors().find("model.layers.0.mlp.shared_expert_gate.weight")->shape == std::vector<std::uint64_t>{64});

  // what only config.json can say: a window in some layers, layers without experts, weights that sum to 1
  convert_well({golden + "experts_mixed_bf16", mixed.string(), "--to", "q8_0"});
  check_same_config(ModelFiles::open(golden + "experts_mixed_bf16").config(), ModelFiles::open(mixed).config());
  CHECK(missing(refused({golden + "experts_mixed_bf16", (directory / "mixed.gguf").string()}, 1), {"GGUF has no key"}) == "");
}

TEST_CASE("files of llama keep the rows of queries and keys in pairs") {
  const TemporaryDirectory directory;
  const auto file = directory / "model.gguf";
  convert_well({golden + "llama", file.string()});
  const auto original = ModelFiles::open(golden + "llama");
  const auto stored = GgufFile::open(file);
  const auto heads = original.config().heads, half = original.config().head_dim / 2;
  const auto& q = *original.tensors().find("model.layers.0.self_attn.q_proj.weight");
  const auto* in_file = stored.tensor("blk.0.attn_q.weight");
  REQUIRE(in_file);
  const auto row_bytes = in_file->data.size() / in_file->shape[0];
  int differ = 0;
  for (long head = 0; head < heads; ++head)
    for (long i = 0; i < half; ++i)
      for (long part = 0; part < 2; ++part) {
        const auto here = static_cast<std::size_t>(head * 2 * half + part * half + i),
                   there = static_cast<std::size_t>(head * 2 * half + 2 * i + part);
        differ += std::memcmp(q.data.data() + here * row_bytes, in_file->data.data() + there * row_bytes, row_bytes) != 0;
      }
  CHECK(differ == 0);
}

TEST_CASE("each format gives what its quantizer gives, and rows that it cannot hold fall back") {
  const auto original = ModelFiles::open(equations);  // rows of 192 and of 384
  struct Case {
    const char* name;
    DType format, head;  // of the layers' matrices, of the embedding
    double distance;     // at most, of every matrix
  };
  for (const auto& [name, format, head, distance] :
       {Case{"q8_0", DType::q8_0, DType::q8_0, 0.01}, Case{"q4_0", DType::q4_0, DType::q8_0, 0.15},
        Case{"q4_k", DType::q5_0, DType::q8_0, 0.08}, Case{"q5_k", DType::q5_1, DType::q8_0, 0.08},
        Case{"q6_k", DType::q8_0, DType::q8_0, 0.01}, Case{"bf16", DType::bf16, DType::bf16, 0}}) {
    CAPTURE(std::string(name));
    const TemporaryDirectory directory;
    const auto file = directory / "model.gguf";
    convert_well({equations, file.string(), "--to", name});
    const auto written = ModelFiles::open(file);
    for (const auto& tensor : original.tensors().tensors()) {
      CAPTURE(tensor->name);
      const auto* found = written.tensors().find(tensor->name);
      REQUIRE(found);
      const bool is_embedding = tensor->name == "model.embed_tokens.weight";
      CHECK(*found->format == (tensor->shape.size() == 1 ? DType::f32 : is_embedding ? head : format));
      const auto x = elements_of(*tensor), y = elements_of(*found);
      if (tensor->shape.size() == 1)
        CHECK(x == y);
      else
        CHECK(relative_distance(x, y) <= distance);
      std::vector<std::byte> blocks(found->data.size());
      quantize_row(x.data(), static_cast<long>(x.size()), *found->format, blocks.data());
      CHECK(std::equal(blocks.begin(), blocks.end(), found->data.begin()));
    }
  }
  const TemporaryDirectory directory;
  const auto file = directory / "model.gguf";
  convert_well({equations, file.string(), "--to", "q4_0", "--output-type", "q5_1"});
  CHECK(GgufFile::open(file).tensor("token_embd.weight")->type == DType::q5_1);
  CHECK(GgufFile::open(file).require<std::uint32_t>("general.file_type") == 2);
}

TEST_CASE("a directory holds blocks, too: the same as a GGUF file, and they go back and forth bit for bit") {
  for (const auto& [model, to] : {std::pair{golden + "llama", "q4_0"}, {equations, "q4_k_m"}}) {
    CAPTURE(model);
    const TemporaryDirectory directory;
    const auto in_gguf = directory / "model.gguf", direct = directory / "direct", back = directory / "back",
               again = directory / "again.gguf";
    convert_well({model, in_gguf.string(), "--to", to});
    convert_well({model, direct.string(), "--to", to});
    convert_well({in_gguf.string(), back.string(), "--to", to});
    convert_well({direct.string(), again.string(), "--to", to});
    const auto expected = ModelFiles::open(in_gguf);
    for (const auto& path : {direct, back, again}) {
      CAPTURE(path.string());
      const auto files = ModelFiles::open(path);
      check_same_config(files.config(), expected.config());
      CHECK(files.format() == expected.format());
      CHECK(different_tensors(expected.tensors(), files.tensors()) == "");
      int other_formats = 0;
      for (const auto& tensor : expected.tensors().tensors()) other_formats += files.tensors().find(tensor->name)->format != tensor->format;
      CHECK(other_formats == 0);
      CHECK(files.has_tokenizer() == (model == equations));
    }
    CHECK(content_of(direct / "model.safetensors") == content_of(back / "model.safetensors"));
  }
}

TEST_CASE("the tokenizer goes both ways") {
  const TemporaryDirectory directory;
  const auto file = directory / "model.gguf", back = directory / "back";
  convert_well({equations, file.string()});
  convert_well({file.string(), back.string()});
  const std::string text = "2x + 3 = 7\n-15.5y<|im_end|>";
  const auto expected = ModelFiles::open(equations).tokenizer().encode(text);
  for (const auto& path : {file, back}) {
    CAPTURE(path.string());
    const auto files = ModelFiles::open(path);
    const auto ids = files.tokenizer().encode(text);
    CHECK(ids == expected);
    CHECK(files.tokenizer().decode(ids) == text);
  }
  CHECK(GgufFile::open(file).require<std::uint32_t>("tokenizer.ggml.eos_token_id") == 315);
}

TEST_CASE("random weights depend on the seed and on nothing else") {
  const TemporaryDirectory directory;
  const auto one = directory / "one.gguf", three = directory / "three.gguf";
  const std::vector<std::string> model = {"--random", "tinyllama-1.1b", "--layers", "1", "--to", "q4_0", "--output-type", "q4_0"};
  auto arguments = model;
  arguments.insert(arguments.end(), {one.string(), "--threads", "1"});
  convert_well(arguments);
  arguments = model;
  arguments.insert(arguments.end(), {three.string(), "--threads", "3"});
  convert_well(arguments);
  const auto a = ModelFiles::open(one), b = ModelFiles::open(three);
  CHECK(a.config().layers == 1);
  CHECK(a.config().hidden == 2048);
  CHECK(a.has_tokenizer());
  int differ = 0;
  for (const auto& tensor : a.tensors().tensors()) differ += !std::ranges::equal(tensor->data, b.tensors().find(tensor->name)->data);
  CHECK(differ == 0);

  // in a directory the same blocks are in transformers' order of rows
  convert_well({one.string(), (directory / "blocks").string(), "--to", "q4_0", "--output-type", "q4_0"});
  const auto blocks = ModelFiles::open(directory / "blocks");
  CHECK(blocks.format() == DType::any_block);
  for (const char* name : {"model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.down_proj.weight"}) {
    const auto &in_file = *a.tensors().find(name), &in_directory = *blocks.tensors().find(name);
    CHECK(in_directory.format == DType::q4_0);
    CHECK(elements_of(in_directory) == elements_of(in_file));
    CHECK(std::ranges::equal(in_directory.data, in_file.data) == (in_file.interleaved == 0));
  }
  const auto v = elements_of(*a.tensors().find("model.layers.0.self_attn.v_proj.weight"));
  double sum = 0, squares = 0;
  for (const float x : v) sum += x, squares += double{x} * x;
  const auto n = static_cast<double>(v.size());
  CHECK(std::abs(sum / n) < 0.001);
  CHECK(std::sqrt(squares / n) == doctest::Approx(0.02).epsilon(0.02));
}

TEST_CASE("a config.json is enough for a model with random weights") {
  const TemporaryDirectory directory;
  convert_well({"--random", golden + "experts/config.json", (directory / "model.gguf").string(), "--to", "f32"});
  const auto files = ModelFiles::open(directory / "model.gguf");
  CHECK(files.config().model_type == "qwen2_moe");
  CHECK(files.config().experts->experts == 60);
  CHECK(files.config().layers == 2);
  CHECK(files.tensors().find("model.layers.1.mlp.experts.#.down_proj.weight")->shape == std::vector<std::uint64_t>{60, 64, 8});
  const auto missing_file = refused({"--random", (directory / "config.json").string(), (directory / "other").string()}, 1);
  CHECK(missing(missing_file, {"config.json", "cannot open"}) == "");
  CHECK(!std::filesystem::exists(directory / "other"));
}

TEST_CASE("what cannot be converted is refused, and nothing is left behind") {
  const TemporaryDirectory directory;
  const auto file = (directory / "model.gguf").string(), other = (directory / "other").string();
  CHECK(missing(refused({golden + "llama", other}, 1), {"other", "expected the name of a .gguf file, or --to with a block format"}) == "");
  CHECK(missing(refused({golden + "llama", golden + "llama", "--to", "q8_0"}, 1), {"llama", "expected another directory"}) == "");
  CHECK(missing(refused({"/nowhere", file}, 1), {"/nowhere", "no such file"}) == "");
  CHECK(missing(refused({golden + "group8_window", file}, 1), {"sliding attention", "GGUF"}) == "");
  CHECK(missing(refused({golden + "llama", "--to", "q9", file}, 2), {"q4_k_m", "--help"}) == "");
  CHECK(missing(refused({file}, 2), {"INPUT and OUTPUT"}) == "");
  CHECK(missing(refused({"--random", "qwen9", file}, 2), {"qwen2.5-0.5b"}) == "");
  CHECK(missing(refused({"--random", "qwen2.5-0.5b", golden + "llama", file}, 2), {"--random", "OUTPUT alone"}) == "");
  CHECK(missing(refused({golden + "llama", file, "--layers", "2"}, 2), {"--layers", "--random"}) == "");
  CHECK(std::filesystem::is_empty(directory.path()));
  convert_well({golden + "llama", file, "--to", "q8_0"});
  CHECK(missing(refused({file, other, "--output-type", "q4_0"}, 1), {"--output-type", "block format", "f32"}) == "");
  CHECK(!std::filesystem::exists(other));
  CHECK(convert({"--help"}).status == 0);

  // weights that f16 scales cannot hold
  const TemporaryDirectory copy;
  std::filesystem::copy(golden + "llama", copy.path(), std::filesystem::copy_options::recursive);
  const auto source = SafetensorsFile::open(golden + "llama/model.safetensors");
  std::vector<TensorInfo> tensors(source.tensors().begin(), source.tensors().end());
  std::vector<std::byte> changed;
  for (auto& tensor : tensors)
    if (tensor.name == "model.layers.0.mlp.up_proj.weight") {
      REQUIRE(tensor.type == StoredType::f32);
      changed.assign(tensor.data.begin(), tensor.data.end());
      const float infinite = HUGE_VALF;
      std::memcpy(changed.data() + 4 * (2 * tensor.shape[1] + 1), &infinite, sizeof infinite);
      tensor.data = changed;
    }
  write_safetensors(copy / "model.safetensors", tensors);
  CHECK(missing(refused({copy.path().string(), (directory / "infinite.gguf").string(), "--to", "q8_0"}, 1),
                {"model.layers.0.mlp.up_proj.weight", "row 2", "finite", "inf"}) == "");
  CHECK(!std::filesystem::exists(directory / "infinite.gguf"));
}
