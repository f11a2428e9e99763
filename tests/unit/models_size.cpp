// The counts of models, at compile time: parameters, cache, traffic and arithmetic of every published size.
#include <doctest/doctest.h>

#include <cmath>
#include <weft/models/describe.hpp>
#include <weft/models/llama.hpp>
#include <weft/models/qwen2.hpp>
#include <weft/models/qwen2_moe.hpp>
#include <weft/plan/plan.hpp>

using namespace weft;

namespace {

template <class Model> constexpr long tensors() {
  long n = 0;
  const auto table = Model::parameters();
  for (int i = 0; i < table.rows; ++i)
    if (const auto& row = table.row[i]; row.role == Role::parameter && !(Model::dims.tied && row.path == Model::head_path))
      n += table.count(row) * (row.may_lie_in_parts() ? row.extent[0] : 1);
  return n;
}

// the numbers of the model cards and of the published model.safetensors.index.json
template <class Model> constexpr bool counts(long parameters, long non_embedding, long weight_bytes, long tensor_count, long kv_bytes) {
  return Model::parameter_count == parameters && Model::size().non_embedding == non_embedding &&
         Model::size().weight_bytes == weight_bytes && tensors<Model>() == tensor_count && Model::kv_bytes_per_token == kv_bytes;
}
static_assert(counts<Qwen2_5_0_5B>(494'032'768, 357'898'112, 988'065'536, 290, 12'288));
static_assert(counts<Qwen2_5_1_5B>(1'543'714'304, 1'310'340'608, 3'087'428'608, 338, 28'672));
static_assert(counts<Qwen2_5_3B>(3'085'938'688, 2'774'773'760, 6'171'877'376, 434, 36'864));
static_assert(counts<Qwen2_5_7B>(7'615'616'512, 6'525'621'760, 15'231'233'024, 339, 57'344));
static_assert(counts<Qwen2_5_14B>(14'770'033'664, 13'212'898'304, 29'540'067'328, 579, 196'608));
static_assert(counts<Qwen2_5_32B>(32'763'876'352, 31'206'740'992, 65'527'752'704, 771, 262'144));
static_assert(counts<Qwen2_5_72B>(72'706'203'648, 70'214'787'072, 145'412'407'296, 963, 327'680));
static_assert(counts<Qwen2_0_5B>(494'032'768, 357'898'112, 988'065'536, 290, 12'288));
static_assert(counts<Qwen2_1_5B>(1'543'714'304, 1'310'340'608, 3'087'428'608, 338, 28'672));
static_assert(counts<Qwen2_7B>(7'615'616'512, 6'525'621'760, 15'231'233'024, 339, 57'344));
static_assert(counts<Qwen2_72B>(72'706'203'648, 70'214'787'072, 145'412'407'296, 963, 327'680));
static_assert(counts<Qwen2_57B_A14B>(57'408'658'944, 56'319'581'696, 114'817'317'888, 5771, 57'344));
static_assert(counts<Qwen1_5_MoE_A2_7B>(14'315'784'192, 13'693'454'336, 28'631'568'384, 4659, 196'608));
static_assert(Qwen2_57B_A14B::active_parameter_count == 14'249'270'784);
static_assert(Qwen1_5_MoE_A2_7B::active_parameter_count == 2'689'173'504);
static_assert(TinyLlama_1_1B::parameter_count == 1'100'048'384);
static_assert(Llama2_7B::parameter_count == 6'738'415'616);

// prefill and decode, in thousandths of GFLOP and GB per token as usually tabulated
constexpr long milli(double giga) { return static_cast<long>(giga / 1e6 + 0.5); }
template <class Model>
constexpr bool costs(long prefill, long attention_of_1024_keys_e4, long decode_flops, long decode_bytes, long at_32768_bytes) {
  constexpr ModelSize size = Model::size();
  return milli(static_cast<double>(size.prefill_flops_per_token(0))) == prefill &&
         static_cast<long>(static_cast<double>(size.flops_per_key) * 1024 / 1e5 + 0.5) == attention_of_1024_keys_e4 &&
         milli(static_cast<double>(Model::flops_per_token(0))) == decode_flops &&
         milli(static_cast<double>(Model::bytes_per_token(0))) == decode_bytes &&
         milli(static_cast<double>(Model::bytes_per_token(32768))) == at_32768_bytes;
}
static_assert(costs<Qwen2_5_0_5B>(716, 881, 988, 988, 1'391));
static_assert(costs<Qwen2_5_1_5B>(2'620, 1'762, 3'087, 3'087, 4'027));
static_assert(costs<Qwen2_5_3B>(5'549, 3'020, 6'171, 6'172, 7'380));
static_assert(costs<Qwen2_5_7B>(13'051, 4'110, 14'141, 14'141, 16'020));
static_assert(costs<Qwen2_5_14B>(26'424, 10'066, 27'981, 27'983, 34'425));
static_assert(costs<Qwen2_5_32B>(62'411, 13'422, 63'968, 63'971, 72'561));
static_assert(costs<Qwen2_5_72B>(140'425, 26'844, 142'917, 142'921, 153'658));

// the same composition has the same plan, whatever is known of its sizes and however it is stored
template <class Model, class Format> constexpr bool has_small_plans() {
  return kernel_count<EmbedProgram<Model, Format>> == 1 && kernel_count<LayerProgram<Model, Format>> == 5 &&
         kernel_count<HeadProgram<Model, Format>> == 1;
}
static_assert(has_small_plans<Qwen2_5_0_5B, Stored<bf16>>());
static_assert(has_small_plans<Qwen2_5_7B, Stored<float>>());
static_assert(has_small_plans<Qwen2Runtime<64>, Stored<bf16>>());
static_assert(has_small_plans<Qwen2Runtime<128>, Stored<float>>());
static_assert(has_small_plans<LlamaRuntime<64>, Stored<float>>());
// three for attention; then the router with the shared expert's gate and up, the experts' gate and up, the shared expert's down, the experts' down.
// Multiplicands in blocks are another left operand than the router's: one more.
static_assert(kernel_count<LayerProgram<Qwen1_5_MoE_A2_7B>> == 7 && kernel_count<LayerProgram<Qwen2MoeRuntime<128, 60, 4>>> == 7 &&
              kernel_count<OtherLayerProgram<Qwen2MoeRuntime<128, 60, 4>>> == 5 &&
              kernel_count<LayerProgram<Qwen2_57B_A14B, Stored<any_block>>> == 8);

}  // namespace

TEST_CASE("run-time sizes give the counts of the closed type") {
  const auto same = [](const ModelSize& a, const ModelSize& b) {
    CHECK(a.parameters == b.parameters);
    CHECK(a.non_embedding == b.non_embedding);
    CHECK(a.weight_bytes == b.weight_bytes);
    CHECK(a.kv_bytes_per_token == b.kv_bytes_per_token);
    CHECK(a.flops_per_token(1000) == b.flops_per_token(1000));
    CHECK(a.bytes_per_token(1000) == b.bytes_per_token(1000));
  };
  same(Qwen2Runtime<64>::size(Qwen2_5_0_5B::dims), Qwen2_5_0_5B::size());
  same(Qwen2Runtime<128>::size(Qwen2_5_72B::dims), Qwen2_5_72B::size());
  same(LlamaRuntime<64>::size(TinyLlama_1_1B::dims), TinyLlama_1_1B::size());
  same(Qwen2MoeRuntime<128, 64, 8>::size(Qwen2_57B_A14B::dims), Qwen2_57B_A14B::size());
  DecoderDims mixed = Qwen1_5_MoE_A2_7B::dims;
  mixed.kinds.step = 2;
  mixed.kinds.list(3);  // 11 of 24 layers have experts
  const ModelSize all = Qwen1_5_MoE_A2_7B::size(), some = Qwen2MoeRuntime<128, 60, 4>::size(mixed);
  const long dense = 3 * 2048 * 5632, sparse = (60 * 3 * 1408 + 60 + 3 * 5632 + 1) * 2048;
  CHECK(some.parameters == all.parameters - 13 * (sparse - dense));
  CHECK(some.kv_bytes_per_token == all.kv_bytes_per_token);
}

TEST_CASE("f32 storage doubles the bytes, not the counts") {
  const auto narrow = Qwen2_5_0_5B::size(), wide = Qwen2_5_0_5B::size<Stored<float>>();
  CHECK(wide.parameters == narrow.parameters);
  CHECK(wide.weight_bytes == 2 * narrow.weight_bytes);
  CHECK(wide.kv_bytes_per_token == 2 * narrow.kv_bytes_per_token);
}

TEST_CASE("parameters are named and shaped as the checkpoint has them") {
  const auto table = Qwen2_5_7B::parameters();
  const auto shape = [&](const char* path) {
    const int row = table.find(Name(path));
    REQUIRE(row >= 0);
    return shape_of(table.row[row]);
  };
  CHECK(shape("model.embed_tokens.weight") == "[152064, 3584]");
  CHECK(shape("model.layers.#.input_layernorm.weight") == "[3584]");
  CHECK(shape("model.layers.#.self_attn.q_proj.weight") == "[3584, 3584]");
  CHECK(shape("model.layers.#.self_attn.q_proj.bias") == "[3584]");
  CHECK(shape("model.layers.#.self_attn.k_proj.weight") == "[512, 3584]");
  CHECK(shape("model.layers.#.self_attn.v_proj.bias") == "[512]");
  CHECK(shape("model.layers.#.self_attn.o_proj.weight") == "[3584, 3584]");
  CHECK(shape("model.layers.#.mlp.gate_proj.weight") == "[18944, 3584]");
  CHECK(shape("model.layers.#.mlp.down_proj.weight") == "[3584, 18944]");
  CHECK(shape("model.norm.weight") == "[3584]");
  CHECK(shape("lm_head.weight") == "[152064, 3584]");
  CHECK(shape("model.layers.#.self_attn.keys") == "[token, 4, 128]");
  CHECK(table.find("model.layers.#.self_attn.o_proj.bias") < 0);
  CHECK(LlamaRuntime<64>::parameters(TinyLlama_1_1B::dims).find("model.layers.#.self_attn.q_proj.bias") < 0);
  CHECK(checkpoint_name("model.layers.#.mlp.up_proj.weight", 27) == "model.layers.27.mlp.up_proj.weight");
  CHECK(checkpoint_name("model.norm.weight", 0) == "model.norm.weight");
  const auto experts = Qwen2_57B_A14B::parameters();
  const int down = experts.find(Name("model.layers.#.mlp.experts.#.down_proj.weight"));
  REQUIRE(down >= 0);
  CHECK(shape_of(experts.row[down]) == "[64, 3584, 2560]");
  CHECK(checkpoint_name(text_of(experts.row[down].path), 3, 17) == "model.layers.3.mlp.experts.17.down_proj.weight");
  CHECK(checkpoint_name(text_of(experts.row[down].path), 3) == "model.layers.3.mlp.experts.#.down_proj.weight");
}

TEST_CASE("describe names modules, parameters, shapes and counts") {
  const std::string text = describe<Qwen2_5_0_5B>();
  const auto has = [&](const char* part) { return text.find(part) != text.npos; };
  CHECK(
      text.starts_with("Qwen2.5-0.5B: 494,032,768 parameters (357,898,112 without the embedding), 988,065,536 bytes of weights, 12,288 "
                       "bytes of cache per token\n"));
  CHECK(has("SelfAttention  model.layers.#.self_attn\n"));
  CHECK(has("model.layers.#.self_attn.q_proj.weight "));
  CHECK(has("[4864, 896]"));
  CHECK(has("4,358,144"));
  CHECK(has("24 times"));
  CHECK(has("tied to the embedding"));
  CHECK(describe<Qwen2Runtime<64>>(Qwen2_5_0_5B::dims).substr(sizeof "Qwen2" - 1) == text.substr(sizeof "Qwen2.5-0.5B" - 1));
}
