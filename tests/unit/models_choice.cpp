// Which model type runs a config, and what is said when none does.
#include <doctest/doctest.h>

#include <weft/generate/language_model.hpp>
#include <weft/models/qwen2.hpp>
#include <weft/nn/inverse_frequencies.hpp>

using namespace weft;

namespace {

CompiledModel entry(const std::string& name, const DecoderDims& dims, bool has_qkv_bias = true, DType format = DType::bf16) {
  CompiledModel model;
  model.name = name;
  model.dims = dims;
  model.has_qkv_bias = has_qkv_bias;
  model.format = format;
  return model;
}
const std::vector<CompiledModel> compiled = {
    entry("small", Qwen2_5_0_5B::dims),
    entry("any 64", Qwen2Runtime<64>::dims),
    entry("any 64 in f32", Qwen2Runtime<64>::dims, true, DType::f32),
    entry("any 128", Qwen2Runtime<128>::dims),
    entry("no bias", Qwen2Runtime<64>::dims, false),
};
ModelConfig config_of(const DecoderDims& d) {
  ModelConfig c;
  c.model_type = "qwen2";
  c.hidden = d.hidden;
  c.intermediate = d.intermediate;
  c.layers = d.layers;
  c.heads = d.heads;
  c.kv_heads = d.kv_heads;
  c.vocab = d.vocab;
  c.head_dim = d.head_dim;
  c.tied = d.tied;
  c.qkv_bias = true;
  return c;
}
std::string chosen(const ModelConfig& config, DType format = DType::bf16) {
  try {
    return choose_model(compiled, config, format).name;
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("a type with exactly these sizes is preferred") {
  auto config = config_of(Qwen2_5_0_5B::dims);
  CHECK(chosen(config) == "small");
  CHECK(chosen(config, DType::f32) == "any 64 in f32");
  config.vocab += 8;
  CHECK(chosen(config) == "any 64");
  config.vocab -= 8;
  config.tied = false;
  CHECK(chosen(config) == "any 64");
  CHECK(chosen(config_of(Qwen2_5_7B::dims)) == "any 128");
  config.qkv_bias = false;
  CHECK(chosen(config) == "no bias");
}

TEST_CASE("what no type computes is refused by its field") {
  auto config = config_of(Qwen2_5_0_5B::dims);
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
  auto config = config_of(Qwen2_5_0_5B::dims);
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
