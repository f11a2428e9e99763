// config.json in every spelling that transformers has written, and what it must not say.
#include <doctest/doctest.h>

#include <cmath>

#include "io_files.hpp"
#include <weft/io/config.hpp>

using namespace weft;

namespace {

// a small valid qwen2 config with `changes` merged into it (a null removes nothing: it is written as null)
Json small(const std::string& changes = "{}") {
  Json config = Json::parse(R"({"architectures":["Qwen2ForCausalLM"],"model_type":"qwen2","hidden_size":128,"intermediate_size":256,
    "num_hidden_layers":4,"num_attention_heads":4,"num_key_value_heads":2,"vocab_size":1000,"max_position_embeddings":512,
    "rms_norm_eps":1e-06,"rope_theta":1000000.0,"tie_word_embeddings":true,"hidden_act":"silu"})");
  config.update(Json::parse(changes));
  return config;
}
Json llama(const std::string& changes = "{}") {
  Json config = small(R"({"architectures":["LlamaForCausalLM"],"model_type":"llama"})");
  config.update(Json::parse(changes));
  return config;
}
ModelConfig read(const Json& config) {
  const TemporaryDirectory directory;
  directory.write("config.json", config.dump(2));
  return read_model_config(directory.path());
}
std::string refusal(const Json& config) {
  const TemporaryDirectory directory;
  const auto path = directory.write("config.json", config.dump(2));
  auto message = error_of([&] { read_model_config(path); });
  const auto file = message.find(path.string());
  return file == 0 ? message.substr(path.string().size()) : "(the file is not named) " + message;
}
Json moe(const std::string& changes = "{}") {
  Json config = small(R"({"architectures":["Qwen2MoeForCausalLM"],"model_type":"qwen2_moe"})");
  config.update(Json::parse(changes));
  return config;
}
Json without(Json config, const char* name) {
  config.erase(name);
  return config;
}
using Windows = std::vector<long>;

}  // namespace

TEST_CASE("a config as published in 2024") {
  const TemporaryDirectory directory;
  directory.write("config.json", R"({
  "architectures": [ "Qwen2ForCausalLM" ], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645, "hidden_act": "silu",
  "hidden_size": 896, "initializer_range": 0.02, "intermediate_size": 4864, "max_position_embeddings": 32768, "max_window_layers": 21,
  "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
  "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.43.1",
  "use_cache": true, "use_sliding_window": false, "vocab_size": 151936 })");
  const auto config = read_model_config(directory.path());
  CHECK(config.model_type == "qwen2");
  CHECK(config.hidden == 896);
  CHECK(config.intermediate == 4864);
  CHECK(config.layers == 24);
  CHECK(config.heads == 14);
  CHECK(config.kv_heads == 2);
  CHECK(config.head_dim == 64);
  CHECK(config.vocab == 151936);
  CHECK(config.max_positions == 32768);
  CHECK(config.rms_norm_eps == 1e-6);
  CHECK(config.rope_theta == 1e6);
  CHECK_FALSE(config.yarn);
  CHECK(config.tied);
  CHECK(config.qkv_bias);
  CHECK_FALSE(config.output_bias);
  CHECK(config.window == Windows(24, 0));
  CHECK(config.bos == 151643);
  CHECK(config.eos == std::vector<std::int32_t>{151645});
  CHECK_FALSE(config.pad);
  CHECK(config.dtype == "bfloat16");
  CHECK(config.warnings.empty());
}

TEST_CASE("the same config as transformers 5 writes it") {
  const TemporaryDirectory directory;
  std::string layers = "\"full_attention\"";
  for (int i = 1; i < 24; ++i) layers += ",\"full_attention\"";
  const auto path = directory.write("config.json", R"({
  "architectures": [ "Qwen2ForCausalLM" ], "attention_dropout": 0.0, "bos_token_id": 151643, "dtype": "bfloat16", "eos_token_id": [151645, 151643],
  "hidden_act": "silu", "hidden_size": 896, "initializer_range": 0.02, "intermediate_size": 4864, "layer_types": [)" +
                                                       layers + R"(],
  "max_position_embeddings": 32768, "max_window_layers": 21, "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24,
  "num_key_value_heads": 2, "pad_token_id": null, "rms_norm_eps": 1e-06, "rope_parameters": { "rope_theta": 1000000.0, "rope_type": "default" },
  "sliding_window": null, "tie_word_embeddings": true, "transformers_version": "5.23.0", "use_cache": true, "use_sliding_window": false,
  "vocab_size": 151936 })");
  const auto config = read_model_config(path);
  CHECK(config.head_dim == 64);
  CHECK(config.rope_theta == 1e6);
  CHECK_FALSE(config.yarn);
  CHECK(config.window == Windows(24, 0));
  CHECK(config.eos == std::vector<std::int32_t>{151645, 151643});
  CHECK(config.bos == 151643);
  CHECK_FALSE(config.pad);
  CHECK(config.dtype == "bfloat16");
}

TEST_CASE("missing fields take the defaults of Qwen2Config") {
  const auto config = read(Json::parse(R"({"model_type":"qwen2"})"));
  CHECK(config.hidden == 4096);
  CHECK(config.intermediate == 22016);
  CHECK(config.layers == 32);
  CHECK(config.heads == 32);
  CHECK(config.kv_heads == 32);
  CHECK(config.head_dim == 128);
  CHECK(config.vocab == 151936);
  CHECK(config.max_positions == 32768);
  CHECK(config.rms_norm_eps == 1e-6);
  CHECK(config.rope_theta == 10000);
  CHECK_FALSE(config.tied);
  CHECK(config.window == Windows(32, 0));
  CHECK(config.eos.empty());
  CHECK_FALSE(config.bos);
  CHECK(read(Json::parse(R"({"model_type":"qwen2","use_sliding_window":true})")).window[27] == 0);
  CHECK(read(Json::parse(R"({"model_type":"qwen2","use_sliding_window":true})")).window[28] == 4096);
}

TEST_CASE("experts") {
  const auto usual = read(moe());  // the defaults of Qwen2MoeConfig
  REQUIRE(usual.experts);
  CHECK(usual.experts->experts == 60);
  CHECK(usual.experts->chosen == 4);
  CHECK(usual.experts->intermediate == 1408);
  CHECK(usual.experts->shared_intermediate == 5632);
  CHECK_FALSE(usual.experts->normalised);
  CHECK(usual.experts->step == 1);
  CHECK(usual.experts->dense_layers.empty());
  CHECK(usual.qkv_bias);
  CHECK(usual.window == Windows(4, 0));
  const auto stated = read(moe(R"({"num_experts":8,"num_experts_per_tok":8,"moe_intermediate_size":24,"shared_expert_intermediate_size":40,
    "norm_topk_prob":true,"decoder_sparse_step":2,"mlp_only_layers":[3,7],"qkv_bias":false})"));
  CHECK(stated.experts->chosen == 8);
  CHECK(stated.experts->intermediate == 24);
  CHECK(stated.experts->shared_intermediate == 40);
  CHECK(stated.experts->normalised);
  CHECK(stated.experts->step == 2);
  CHECK(stated.experts->dense_layers == std::vector<long>{3, 7});
  CHECK_FALSE(stated.qkv_bias);
  CHECK(read(moe(R"({"mlp_only_layers":null})")).experts->dense_layers.empty());
  CHECK_FALSE(read(moe(R"({"num_experts":0})")).experts);
  CHECK_FALSE(read(small(R"({"num_experts":8})")).experts);
  CHECK(missing(refusal(moe(R"({"num_experts_per_tok":61})")), {"\"num_experts_per_tok\"", "at most the 60 experts", "found 61"}) == "");
  CHECK(missing(refusal(moe(R"({"mlp_only_layers":[1,-1]})")), {"\"mlp_only_layers\"", "a list of layer numbers"}) == "");
  CHECK(missing(refusal(moe(R"({"mlp_only_layers":3})")), {"\"mlp_only_layers\"", "a list of layer numbers"}) == "");
  CHECK(missing(refusal(moe(R"({"decoder_sparse_step":0})")), {"\"decoder_sparse_step\""}) == "");
  for (const char* field : {"num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size"})
    for (const char* value : {"0", "-4", "2.5", "\"4\"", "true"})
      CHECK(missing(refusal(moe((std::string("{\"") + field + "\":" + value + "}").c_str())), {field, "expected", "found"}) == "");
  CHECK(missing(refusal(moe(R"({"num_experts":-1})")), {"\"num_experts\"", "found -1"}) == "");
  for (const char* field : {"norm_topk_prob", "qkv_bias", "use_sliding_window"})
    CHECK(missing(refusal(moe((std::string("{\"") + field + "\":1}").c_str())), {field, "found 1"}) == "");
  // as in transformers, a number that no layer has means nothing; where no layer has experts the model is dense
  const auto beyond = read(moe(R"({"mlp_only_layers":[0,4]})"));
  REQUIRE(beyond.warnings.size() == 1);
  CHECK(missing(beyond.warnings[0], {"\"mlp_only_layers\" names layer 4", "layers are 0 to 3"}) == "");
  CHECK(read(moe()).warnings.empty());
  CHECK(read(moe(R"({"decoder_sparse_step":4})")).experts);
  CHECK_FALSE(read(moe(R"({"decoder_sparse_step":5})")).experts);
  CHECK_FALSE(read(moe(R"({"decoder_sparse_step":4,"mlp_only_layers":[3]})")).experts);
}

TEST_CASE("in Qwen2-MoE every second of the first layers has a window") {
  CHECK(read(moe(R"({"use_sliding_window":true,"sliding_window":16,"max_window_layers":3})")).window == Windows{16, 0, 16, 0});
  CHECK(read(moe(R"({"sliding_window":16,"max_window_layers":3})")).window == Windows(4, 0));
}

TEST_CASE("missing fields take the defaults of LlamaConfig") {
  const auto config = read(Json::parse(R"({"model_type":"llama","num_attention_heads":16})"));
  CHECK(config.model_type == "llama");
  CHECK(config.intermediate == 11008);
  CHECK(config.kv_heads == 16);
  CHECK(config.head_dim == 256);
  CHECK(config.vocab == 32000);
  CHECK(config.max_positions == 2048);
  CHECK(config.rope_theta == 10000);
  CHECK_FALSE(config.qkv_bias);
  CHECK_FALSE(config.output_bias);
  CHECK(config.bos == 1);
  CHECK(config.eos == std::vector<std::int32_t>{2});
}

TEST_CASE("heads") {
  CHECK(read(small()).kv_heads == 2);
  CHECK(read(small(R"({"num_key_value_heads":null})")).kv_heads == 4);
  CHECK(missing(refusal(without(small(), "num_key_value_heads")), {"\"num_key_value_heads\"", "divisor of the 4", "found 32"}) == "");
  CHECK(read(without(llama(), "num_key_value_heads")).kv_heads == 4);
  CHECK(read(small(R"({"head_dim":64})")).head_dim == 64);
  CHECK(read(small(R"({"head_dim":null})")).head_dim == 32);
  CHECK(read(small(R"({"head_dim":64,"hidden_size":130})")).head_dim == 64);
  CHECK(missing(refusal(small(R"({"num_key_value_heads":3})")), {"\"num_key_value_heads\"", "divisor", "found 3"}) == "");
  CHECK(missing(refusal(small(R"({"hidden_size":130})")), {"\"hidden_size\"", "multiple", "(4)", "found 130"}) == "");
  CHECK(missing(refusal(small(R"({"head_dim":63})")), {"\"head_dim\"", "even", "found 63"}) == "");
  CHECK(missing(refusal(small(R"({"hidden_size":132})")), {"\"hidden_size\"", "even", "found 33"}) == "");
}

TEST_CASE("biases") {
  CHECK(read(small(R"({"attention_bias":false})")).qkv_bias);
  CHECK(read(llama(R"({"attention_bias":true})")).qkv_bias);
  CHECK(read(llama(R"({"attention_bias":true})")).output_bias);
  CHECK_FALSE(read(llama()).qkv_bias);
  CHECK(missing(refusal(llama(R"({"mlp_bias":true})")), {"\"mlp_bias\"", "false", "found true"}) == "");
  CHECK(read(llama(R"({"mlp_bias":false})")).layers == 4);
}

TEST_CASE("the base of the rotary embedding") {
  CHECK(read(small()).rope_theta == 1e6);
  CHECK(read(small(R"({"rope_theta":500000})")).rope_theta == 500000);
  CHECK(read(without(small(), "rope_theta")).rope_theta == 10000);
  CHECK(read(small(R"({"rope_parameters":{"rope_theta":2e6,"rope_type":"default"}})")).rope_theta == 2e6);
  CHECK(read(small(R"({"rope_parameters":{"rope_type":"default"}})")).rope_theta == 1e6);
  CHECK(read(small(R"({"rope_parameters":null,"rope_scaling":null})")).rope_theta == 1e6);
  CHECK(read(small(R"({"rope_parameters":{"rope_theta":2e6},"rope_scaling":{"rope_type":"default"}})")).rope_theta == 1e6);
  CHECK(read(small(R"({"rope_parameters":{"rope_theta":2e6},"rope_scaling":{"type":"default","rope_theta":3e6}})")).rope_theta == 3e6);
  CHECK(missing(refusal(small(R"({"rope_theta":0})")), {"\"rope_theta\"", "positive", "found 0"}) == "");
  CHECK(missing(refusal(small(R"({"rope_theta":"1e6"})")), {"\"rope_theta\"", "a number", "found \"1e6\""}) == "");
  CHECK(missing(refusal(small(R"({"rope_parameters":{"rope_theta":-1.0}})")), {"\"rope_parameters\"", "\"rope_theta\"", "positive"}) == "");
}

TEST_CASE("rope types that weft does not know are refused by name") {
  for (const char* type : {"linear", "dynamic", "llama3", "longrope", "su", "proportional"})
    for (const char* key : {"type", "rope_type"})
      for (const char* holder : {"rope_scaling", "rope_parameters"}) {
        Json config = llama();
        config[holder] = {{key, type}, {"factor", 8.0}};
        CHECK(missing(refusal(config), {holder, key, "\"default\" or \"yarn\"", std::string_view(type)}) == "");
      }
  CHECK(missing(refusal(small(R"({"rope_scaling":{"type":"default","rope_type":"linear"}})")), {"\"rope_type\"", "\"linear\""}) == "");
  CHECK(read(small(R"({"rope_scaling":{"type":"linear","rope_type":"default"}})")).rope_theta == 1e6);
  CHECK(missing(refusal(small(R"({"rope_scaling":{"type":1}})")), {"\"rope_scaling\"", "\"type\"", "a string", "found 1"}) == "");
  CHECK(missing(refusal(small(R"({"rope_scaling":{"rope_type":null}})")), {"\"rope_type\"", "a string", "null"}) == "");
  CHECK(missing(refusal(small(R"({"rope_scaling":"yarn"})")), {"\"rope_scaling\"", "an object", "\"yarn\""}) == "");
  CHECK(missing(refusal(small(R"({"rope_parameters":{"full_attention":{"rope_type":"default"}}})")),
                {"\"full_attention\"", "all layers"}) == "");
  CHECK(missing(refusal(small(R"({"partial_rotary_factor":0.5})")), {"\"partial_rotary_factor\"", "found 0.5"}) == "");
  CHECK(read(small(R"({"partial_rotary_factor":1.0})")).head_dim == 32);
}

TEST_CASE("YaRN") {
  const auto yarn = [](const std::string& fields) {
    return read(small(R"({"max_position_embeddings":32768,"rope_scaling":)" + fields + "}"));
  };
  for (const char* key : {"type", "rope_type"}) {
    const auto config = yarn(std::string(R"({")") + key + R"(":"yarn","factor":4.0,"original_max_position_embeddings":32768})");
    REQUIRE(config.yarn);
    CHECK(config.yarn->factor == 4);
    CHECK(config.yarn->original_max_positions == 32768);
    CHECK(config.yarn->attention_factor == doctest::Approx(1.138629436).epsilon(1e-9));
    CHECK(config.yarn->beta_fast == 32);
    CHECK(config.yarn->beta_slow == 1);
    CHECK(config.yarn->truncate);
    CHECK(config.warnings.empty());
  }
  const auto full = yarn(R"({"type":"yarn","factor":2,"beta_fast":16,"beta_slow":2.0,"truncate":false,"attention_factor":1.5,
    "original_max_position_embeddings":16384})");
  CHECK(full.yarn->factor == 2);
  CHECK(full.yarn->beta_fast == 16);
  CHECK(full.yarn->beta_slow == 2);
  CHECK_FALSE(full.yarn->truncate);
  CHECK(full.yarn->attention_factor == 1.5);
  CHECK(full.warnings.empty());
  const auto nulls = yarn(R"({"type":"yarn","factor":null,"beta_fast":null,"beta_slow":null,"attention_factor":null,"truncate":null,
    "original_max_position_embeddings":8192})");
  CHECK(nulls.yarn->factor == 4);
  CHECK(nulls.yarn->beta_fast == 32);
  CHECK(nulls.yarn->attention_factor == doctest::Approx(0.1 * std::log(4) + 1));
  CHECK(yarn(R"({"type":"yarn","factor":4.0})").yarn->original_max_positions == 32768);
  CHECK(yarn(R"({"type":"yarn","factor":0.5})").yarn->attention_factor == 1);
  CHECK(yarn(R"({"type":"yarn","factor":4.0,"mscale":0.5,"mscale_all_dim":2.0})").yarn->attention_factor ==
        doctest::Approx((0.05 * std::log(4) + 1) / (0.2 * std::log(4) + 1)));
  CHECK(yarn(R"({"type":"yarn","factor":4.0,"mscale":0.5})").yarn->attention_factor == doctest::Approx(0.1 * std::log(4) + 1));
  const auto odd = yarn(R"({"type":"yarn","factor":4.0,"original_max_position_embeddings":10000})");
  REQUIRE(odd.warnings.size() == 1);
  CHECK(missing(odd.warnings[0], {"YaRN", "32768", "10000"}) == "");
  CHECK(missing(refusal(small(R"({"rope_scaling":{"type":"yarn"}})")), {"\"rope_scaling\"", "\"factor\"", "missing"}) == "");
  CHECK(missing(refusal(small(R"({"rope_scaling":{"type":"yarn","factor":0}})")), {"\"factor\"", "positive"}) == "");
  CHECK(missing(refusal(small(R"({"rope_scaling":{"type":"yarn","factor":"4"}})")), {"\"factor\"", "a number", "\"4\""}) == "");
  CHECK(missing(refusal(small(R"({"rope_scaling":{"type":"yarn","factor":4.0,"mscale":-99.0,"mscale_all_dim":1.0}})")),
                {"\"attention_factor\"", "positive"}) == "");
}

TEST_CASE("sliding windows") {
  CHECK(read(small(R"({"sliding_window":8,"max_window_layers":2})")).window == Windows{0, 0, 0, 0});
  CHECK(read(small(R"({"use_sliding_window":true,"sliding_window":8,"max_window_layers":2})")).window == Windows{0, 0, 8, 8});
  CHECK(read(small(R"({"use_sliding_window":true,"sliding_window":8,"max_window_layers":0})")).window == Windows{8, 8, 8, 8});
  CHECK(read(small(R"({"use_sliding_window":true,"sliding_window":8})")).window == Windows{0, 0, 0, 0});
  CHECK(read(small(R"({"use_sliding_window":true,"sliding_window":null,"max_window_layers":0})")).window == Windows{0, 0, 0, 0});
  CHECK(read(small(R"({"use_sliding_window":true,"max_window_layers":3})")).window == Windows{0, 0, 0, 4096});
  CHECK(read(small(R"({"use_sliding_window":false,"sliding_window":0})")).window == Windows{0, 0, 0, 0});
  const auto types = [](const std::string& others, const char* list) { return small("{" + others + "\"layer_types\":" + list + "}"); };
  const char* mixed = R"(["sliding_attention","full_attention","sliding_attention","full_attention"])";
  CHECK(read(types(R"("use_sliding_window":true,"sliding_window":8,)", mixed)).window == Windows{8, 0, 8, 0});
  CHECK(read(types(R"("use_sliding_window":true,"sliding_window":8,"max_window_layers":0,)",
                   R"(["full_attention","full_attention","full_attention","full_attention"])"))
            .window == Windows{0, 0, 0, 0});
  CHECK(read(types("", "null")).window == Windows{0, 0, 0, 0});
  CHECK(read(llama(R"({"use_sliding_window":true,"sliding_window":8,"max_window_layers":0})")).window == Windows{0, 0, 0, 0});

  CHECK(missing(refusal(types(R"("use_sliding_window":true,"sliding_window":0,)", mixed)), {"\"sliding_window\"", "layer 0", "found 0"}) ==
        "");
  CHECK(missing(refusal(types(R"("use_sliding_window":true,"sliding_window":null,)", mixed)),
                {"\"sliding_window\"", "layer 0", "found null"}) == "");
  CHECK(missing(refusal(types(R"("sliding_window":8,)", mixed)), {"\"use_sliding_window\"", "layer 0", "found false"}) == "");
  CHECK(missing(refusal(small(R"({"use_sliding_window":true,"sliding_window":0,"max_window_layers":1})")),
                {"\"sliding_window\"", "layer 1", "found 0"}) == "");
  CHECK(missing(refusal(types("", R"(["full_attention"])")), {"\"layer_types\"", "4 entries", "found 1"}) == "");
  CHECK(missing(refusal(types("", R"(["full_attention","chunked_attention","full_attention","full_attention"])")),
                {"\"layer_types\"", "\"chunked_attention\""}) == "");
  CHECK(missing(refusal(types("", R"(["full_attention",1,"full_attention","full_attention"])")), {"\"layer_types\"", "found 1"}) == "");
  CHECK(missing(refusal(types("", "\"full_attention\"")), {"\"layer_types\"", "a list"}) == "");
}

TEST_CASE("token ids") {
  CHECK(read(small(R"({"eos_token_id":7})")).eos == std::vector<std::int32_t>{7});
  CHECK(read(small(R"({"eos_token_id":[7,8]})")).eos == std::vector<std::int32_t>{7, 8});
  CHECK(read(small(R"({"eos_token_id":null})")).eos.empty());
  CHECK(read(llama(R"({"eos_token_id":null,"bos_token_id":null})")).eos.empty());
  CHECK_FALSE(read(llama(R"({"eos_token_id":null,"bos_token_id":null})")).bos);
  CHECK(read(small(R"({"pad_token_id":5})")).pad == 5);
  CHECK_FALSE(read(small(R"({"pad_token_id":-1})")).pad);
  CHECK(missing(refusal(small(R"({"eos_token_id":"</s>"})")), {"\"eos_token_id\"", "token id", "\"</s>\""}) == "");
  CHECK(missing(refusal(small(R"({"eos_token_id":[7,true]})")), {"\"eos_token_id\"", "token id", "[7,true]"}) == "");
  CHECK(missing(refusal(small(R"({"eos_token_id":7.0})")), {"\"eos_token_id\"", "token id", "7.0"}) == "");
  CHECK(missing(refusal(small(R"({"eos_token_id":-7})")), {"\"eos_token_id\"", "-7"}) == "");
  CHECK(missing(refusal(small(R"({"bos_token_id":[1]})")), {"\"bos_token_id\"", "integer", "[1]"}) == "");
}

TEST_CASE("values of another type or out of range are refused by the field's name") {
  struct Case {
    std::string field, value;
    std::string_view expected;
  };
  const Case cases[] = {
      {"hidden_size", "\"128\"", "an integer"},
      {"hidden_size", "128.0", "an integer"},
      {"hidden_size", "0", "from 1"},
      {"hidden_size", "-128", "from 1"},
      {"hidden_size", "null", "an integer"},
      {"hidden_size", "99999999999", "2147483647"},
      {"hidden_size", "18446744073709551615", "2147483647"},
      {"intermediate_size", "true", "an integer"},
      {"num_hidden_layers", "4.0", "an integer"},
      {"num_hidden_layers", "100000", "65536"},
      {"num_attention_heads", "[4]", "an integer"},
      {"num_key_value_heads", "0", "from 1"},
      {"vocab_size", "1e3", "an integer"},
      {"max_position_embeddings", "-1", "from 1"},
      {"rms_norm_eps", "1", "a fraction"},
      {"rms_norm_eps", "-1e-6", "not negative"},
      {"rms_norm_eps", "null", "a fraction"},
      {"rms_norm_eps", "\"1e-6\"", "a fraction"},
      {"tie_word_embeddings", "1", "true or false"},
      {"use_sliding_window", "\"no\"", "true or false"},
      {"sliding_window", "-1", "from 0"},
      {"sliding_window", "8.5", "an integer"},
      {"max_window_layers", "-1", "from 0"},
      {"hidden_act", "\"gelu\"", "\"silu\""},
      {"hidden_act", "1", "a string"},
      {"torch_dtype", "16", "a string"},
      {"head_dim", "0", "from 1"},
      {"head_dim", "32.0", "an integer"},
      {"quantization_config", R"({"bits":4})", "none"},
      {"quantization_config", R"({"quant_method":"weft","bits":4})", "none"},
  };
  for (const auto& wrong : cases) {
    CAPTURE(wrong.field);
    CAPTURE(wrong.value);
    Json config = small();
    config[wrong.field] = Json::parse(wrong.value);
    const std::string name = "\"" + wrong.field + "\"", found = "found " + config[wrong.field].dump();
    CHECK(missing(refusal(config), {name, wrong.expected, found}) == "");
  }
}

TEST_CASE("models that weft does not have are refused by name") {
  CHECK(missing(refusal(small(R"({"model_type":"gpt2"})")), {"\"model_type\"", "\"qwen2\"", "\"llama\"", "found \"gpt2\""}) == "");
  CHECK(missing(refusal(small(R"({"model_type":"qwen3_moe"})")), {"\"model_type\"", "found \"qwen3_moe\""}) == "");
  CHECK(missing(refusal(without(small(), "model_type")), {"\"model_type\"", "found nothing"}) == "");
  CHECK(missing(refusal(small(R"({"model_type":2})")), {"\"model_type\"", "a string", "found 2"}) == "");
  CHECK(missing(refusal(small(R"({"architectures":["Qwen2ForSequenceClassification"]})")),
                {"\"architectures\"", "Qwen2ForCausalLM", "Classification"}) == "");
  CHECK(missing(refusal(llama(R"({"architectures":["Qwen2ForCausalLM"]})")), {"\"architectures\"", "LlamaForCausalLM", "\"llama\""}) == "");
  CHECK(missing(refusal(small(R"({"architectures":"Qwen2ForCausalLM"})")), {"\"architectures\""}) == "");
  CHECK(read(small(R"({"architectures":["Qwen2Model"]})")).layers == 4);
  CHECK(read(small(R"({"architectures":null})")).layers == 4);
  CHECK(read(small(R"({"an_unknown_field":{"with":[1,2]},"use_mrope":false})")).warnings.empty());
  const auto warned = read(small(R"({"dual_chunk_attention_config":{"chunk_size":262144}})"));
  REQUIRE(warned.warnings.size() == 1);
  CHECK(missing(warned.warnings[0], {"dual_chunk_attention_config"}) == "");
  CHECK(read(small(R"({"dtype":"float32","torch_dtype":"bfloat16"})")).dtype == "float32");
}

TEST_CASE("a config that is not an object of JSON is refused with the file's name") {
  const TemporaryDirectory directory;
  for (const char* content :
       {"", "[]", "null", "{\"model_type\":\"qwen2\"", "{\"model_type\":\"qwen2\",\"model_type\":\"llama\"}", "{\"rope_theta\":1e999}"}) {
    CAPTURE(content);
    const auto path = directory.write("config.json", content);
    CHECK(missing(error_of([&] { read_model_config(directory.path()); }), {path.string()}) == "");
  }
  const TemporaryDirectory empty;
  CHECK(missing(error_of([&] { read_model_config(empty.path()); }), {(empty / "config.json").string(), "No such file"}) == "");
}
