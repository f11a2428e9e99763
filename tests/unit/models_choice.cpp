// Which model type runs a config, and what is said when none does.
#include <doctest/doctest.h>

#include <weft/generate/language_model.hpp>
#include <weft/models/qwen2.hpp>
#include <weft/models/qwen2_moe.hpp>
#include <weft/nn/inverse_frequencies.hpp>

using namespace weft;

namespace {

CompiledModel entry(const std::string& name, const DecoderDims& dims, bool has_qkv_bias = true, DType format = DType::bf16,
                    std::optional<DType> cache = std::nullopt) {
  CompiledModel model;
  model.name = name;
  model.dims = dims;
  model.has_qkv_bias = has_qkv_bias;
  model.format = format;
  model.cache = cache.value_or(usual_cache(format));
  return model;
}
const std::vector<CompiledModel> compiled = {
    entry("small", Qwen2_5_0_5B::dims),
    entry("any 64", Qwen2Runtime<64>::dims),
    entry("any 64 in f32", Qwen2Runtime<64>::dims, true, DType::f32),
    entry("any 128", Qwen2Runtime<128>::dims),
    entry("no bias", Qwen2Runtime<64>::dims, false),
    entry("any 64 in blocks, cache in q8_0", Qwen2Runtime<64>::dims, true, DType::any_block, DType::q8_0),
    entry("any 64 in blocks", Qwen2Runtime<64>::dims, true, DType::any_block),
    entry("small in blocks", Qwen2_5_0_5B::dims, true, DType::any_block),
    entry("4 of 60", Qwen2MoeRuntime<128, 60, 4>::dims),
};
std::string chosen(const ModelConfig& config, DType format = DType::bf16, std::optional<DType> cache = std::nullopt) {
  try {
    return choose_model(compiled, config, format, cache).name;
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("a type with exactly these sizes is preferred") {
  auto config = qwen2_config_of(Qwen2_5_0_5B::dims);
  CHECK(chosen(config) == "small");
  CHECK(chosen(config, DType::f32) == "any 64 in f32");
  config.vocab += 8;
  CHECK(chosen(config) == "any 64");
  config.vocab -= 8;
  config.tied = false;
  CHECK(chosen(config) == "any 64");
  CHECK(chosen(qwen2_config_of(Qwen2_5_7B::dims)) == "any 128");
  config.qkv_bias = false;
  CHECK(chosen(config) == "no bias");
}

TEST_CASE("biases may be zero, experts are part of the type") {
  auto config = qwen2_config_of(Qwen2_5_7B::dims);
  config.qkv_bias = false;
  CHECK(chosen(config) == "any 128");
  config = qwen2_config_of(Qwen1_5_MoE_A2_7B::dims);
  CHECK(dims_of(config) == Qwen1_5_MoE_A2_7B::dims);
  CHECK(chosen(config) == "4 of 60");
  CHECK(chosen(config, DType::f32) ==
        "config.json: head_dim is 128, num_experts 60, num_experts_per_tok 4, and no model type for them is compiled "
        "in; in f32 there is none. To compile it, with BUILD for the directory where this program was built: "
        "cmake \"-DWEFT_EXPERTS=128:60:4\" BUILD && cmake --build BUILD; examples/run does so by itself");
  config.experts->chosen = 2;
  CHECK(chosen(config) ==
        "config.json: head_dim is 128, num_experts 60, num_experts_per_tok 2, and no model type for them is compiled in; "
        "in bf16 there is head_dim 128 with 4 of 60 experts. To compile it, with BUILD for the directory where this program was built: "
        "cmake \"-DWEFT_EXPERTS=128:60:2;128:60:4\" BUILD && cmake --build BUILD; examples/run does so by itself");
  CompiledModel on_device = entry("on a device", Qwen2Runtime<128>::dims);
  on_device.runs_on_host = false;
  CHECK_THROWS_WITH_AS(choose_model(std::span(&on_device, 1), config, DType::f32),
                       doctest::Contains("in f32 there is none. To compile it, with BUILD for the directory where this program was built: "
                                         "cmake -DWEFT_CUDA=ON \"-DWEFT_CUDA_MODELS=128:60:2:f32\" BUILD && cmake --build BUILD"),
                       Error);
  CHECK_THROWS_WITH_AS(check_dims("M", Qwen1_5_MoE_A2_7B::dims, config),
                       "config.json does not fit M: num_experts_per_tok: expected 4, found 2", Error);
  config.experts->dense_layers = {300};
  config.layers = 400;
  CHECK_THROWS_WITH_AS(dims_of(config), doctest::Contains("\"mlp_only_layers\": expected layers below 256, found 300"), Error);
}

TEST_CASE("keys and values are kept as usual or as asked for, sizes at run time rather than in another format") {
  const auto config = qwen2_config_of(Qwen2_5_0_5B::dims);
  CHECK(chosen(config, DType::any_block) == "small in blocks");
  CHECK(chosen(config, DType::any_block, DType::bf16) == "small in blocks");
  CHECK(chosen(config, DType::any_block, DType::q8_0) == "any 64 in blocks, cache in q8_0");
  CHECK(chosen(config, DType::f32, DType::f32) == "any 64 in f32");
  CHECK(chosen(config, DType::any_block, DType::f16) ==
        "keys and values in f16 beside weights in block formats: expected one of those that are compiled in: bf16, q8_0");
  CHECK(chosen(config, DType::f32, DType::q8_0) ==
        "keys and values in q8_0 beside weights in f32: expected one of those that are compiled in: f32");
}

TEST_CASE("what no type computes is refused by its field") {
  auto config = qwen2_config_of(Qwen2_5_0_5B::dims);
  SUBCASE("head_dim") {
    config.head_dim = 96;
    CHECK(chosen(config) ==
          "config.json: head_dim is 96, and no model type for it is compiled in; for qwen2 in bf16 there is head_dim 64, 128");
  }
  SUBCASE("YaRN") {
    config.yarn = Yarn{};
    CHECK(chosen(config).find("yarn") != std::string::npos);
  }
  SUBCASE("a bias after attention") {
    config.output_bias = true;
    CHECK(chosen(config).find("attention_bias") != std::string::npos);
  }
}

TEST_CASE("a config that does not fit the type is refused with every field") {
  auto config = qwen2_config_of(Qwen2_5_0_5B::dims);
  CHECK_NOTHROW(check_dims("M", Qwen2_5_0_5B::dims, config));
  config.hidden = 1024;
  config.layers = 12;
  CHECK_THROWS_WITH_AS(check_dims("M", Qwen2_5_0_5B::dims, config),
                       "config.json does not fit M: hidden_size: expected 896, found 1024; num_hidden_layers: expected 24, found 12",
                       Error);
  CHECK_NOTHROW(check_dims("M", Qwen2Runtime<64>::dims, config));
  CHECK_THROWS_AS(check_dims("M", Qwen2Runtime<128>::dims, config), Error);
}

TEST_CASE("inverse frequencies") {  // of the pre-training, as YaRN's tables give them
  std::vector<float> of64(32), of128(64);
  inverse_frequencies(1e6, of64);
  inverse_frequencies(1e6, of128);
  CHECK(of64[0] == 1.f);
  CHECK(of64[11] == doctest::Approx(8.659643234e-3).epsilon(1e-7));
  CHECK(of128[23] == doctest::Approx(6.978305849e-3).epsilon(1e-7));
  // rounded after the power and after the division: 1000 is exact, and so is its inverse's rounding
  CHECK(of64[16] == 1.f / 1000.f);
}
