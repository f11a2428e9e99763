// A GGUF file as a model: its config, its tensors under Hugging Face's names, and what is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "io_files.hpp"
#include <weft/io/gguf_model.hpp>
#include <weft/io/gguf_writer.hpp>

using namespace weft;

namespace {

// A model with 2 layers, 4 heads of 4 and 2 key heads, whose file a test may change before it is written. Tensors hold zeros.
struct SmallModel {
  std::string architecture = "qwen2";
  std::map<std::string, std::function<void(GgufWriter&, const std::string&)>> entries = {};
  std::map<std::string, std::vector<std::uint64_t>> tensors = {};

  explicit SmallModel(std::string name = "qwen2") : architecture(std::move(name)) {
    set("general.architecture", std::string_view(architecture));
    for (const auto& [key, value] : {std::pair("block_count", 2u),
                                     {"context_length", 64u},
                                     {"embedding_length", 16u},
                                     {"feed_forward_length", 24u},
                                     {"attention.head_count", 4u},
                                     {"attention.head_count_kv", 2u}})
      set(architecture + "." + key, std::uint32_t{value});
    set(architecture + ".attention.layer_norm_rms_epsilon", 1e-6f);
    set(architecture + ".rope.freq_base", 1e6f);
    tensors = {{"token_embd.weight", {40, 16}}, {"output_norm.weight", {16}}};
    for (const char* layer : {"blk.0.", "blk.1."}) {
      for (const auto& [kind, shape] : std::map<std::string, std::vector<std::uint64_t>>{{"attn_norm.weight", {16}},
                                                                                         {"attn_q.weight", {16, 16}},
                                                                                         {"attn_k.weight", {8, 16}},
                                                                                         {"attn_v.weight", {8, 16}},
                                                                                         {"attn_output.weight", {16, 16}},
                                                                                         {"ffn_norm.weight", {16}},
                                                                                         {"ffn_gate.weight", {24, 16}},
                                                                                         {"ffn_up.weight", {24, 16}},
                                                                                         {"ffn_down.weight", {16, 24}}})
        tensors[layer + kind] = shape;
      if (architecture == "qwen2")
        for (const auto& [kind, rows] : {std::pair("attn_q.bias", 16u), {"attn_k.bias", 8u}, {"attn_v.bias", 8u}})
          tensors[std::string(layer) + kind] = {rows};
    }
  }
  template <class T> SmallModel& set(const std::string& key, T value) {
    if constexpr (std::is_same_v<T, std::string_view>)
      entries[key] = [text = std::string(value)](GgufWriter& w, const std::string& k) { w.add(k, std::string_view(text)); };
    else
      entries[key] = [value](GgufWriter& w, const std::string& k) { w.add(k, value); };
    return *this;
  }
  SmallModel& text(const std::string& key, std::string_view value) { return set(key, value); }
  SmallModel& without(const std::string& name) {
    entries.erase(name);
    tensors.erase(name);
    return *this;
  }
  SmallModel& with(const std::string& tensor, std::vector<std::uint64_t> shape) {
    tensors[tensor] = std::move(shape);
    return *this;
  }
  std::filesystem::path write(const TemporaryDirectory& directory, std::byte content = {}) const {
    const auto path = directory / "model.gguf";
    GgufWriter writer(path);
    for (const auto& [key, add] : entries) add(writer, key);
    for (const auto& [name, shape] : tensors) writer.add_tensor(name, DType::f32, shape);
    for (const auto& [name, shape] : tensors) {
      std::size_t elements = 1;
      for (const auto extent : shape) elements *= extent;
      writer.write(std::vector<std::byte>(4 * elements, content));
    }
    writer.commit();
    return path;
  }
  ModelConfig config() const {
    const TemporaryDirectory directory;
    return GgufModel::open(write(directory)).config();
  }
  std::string refusal() const {
    const TemporaryDirectory directory;
    const auto path = write(directory);
    const auto message = error_of([&] { GgufModel::open(path); });
    CHECK(missing(message, {path.string()}) == "");
    return message;
  }
};
SmallModel qwen() { return SmallModel("qwen2"); }
SmallModel llama() { return SmallModel("llama"); }

}  // namespace

TEST_CASE("the config has every size, and what the file does not say has the architecture's default") {
  const auto c = qwen().config();
  CHECK(c.model_type == "qwen2");
  CHECK(c.layers == 2);
  CHECK(c.hidden == 16);
  CHECK(c.intermediate == 24);
  CHECK(c.heads == 4);
  CHECK(c.kv_heads == 2);
  CHECK(c.head_dim == 4);
  CHECK(c.vocab == 40);
  CHECK(c.max_positions == 64);
  CHECK(c.rms_norm_eps == 1e-6);  // the decimal number, not the float nearest to it
  CHECK(c.rope_theta == 1e6);
  CHECK(c.tied);
  CHECK(c.qkv_bias);
  CHECK(!c.output_bias);
  CHECK(!c.yarn);
  CHECK(c.window == std::vector<long>{0, 0});
  CHECK(c.eos.empty());
  CHECK(c.dtype == "f32");

  const auto l =
      llama().without("llama.rope.freq_base").without("llama.attention.head_count_kv").set("llama.attention.key_length", 4u).config();
  CHECK(l.model_type == "llama");
  CHECK(l.rope_theta == 10000);
  CHECK(l.kv_heads == 4);
  CHECK(!l.qkv_bias);
  CHECK(!qwen().with("output.weight", {40, 16}).config().tied);
}

TEST_CASE("biases of llama are those that all layers have") {
  auto model = llama();
  for (const char* layer : {"blk.0.", "blk.1."})
    for (const char* kind : {"attn_q.bias", "attn_k.bias", "attn_v.bias"}) model.with(layer + std::string(kind), {8});
  CHECK(model.config().qkv_bias);
  CHECK(!model.config().output_bias);
  model.without("blk.1.attn_k.bias");
  CHECK(missing(model.refusal(), {"1 layers", "k_proj.bias", "expected all 2"}) == "");
  CHECK(missing(qwen().with("blk.0.attn_output.bias", {16}).refusal(), {"o_proj.bias", "expected none", "qwen2"}) == "");
}

TEST_CASE("the ends of a text are those that the file names, and Qwen's end of a document") {
  auto model = qwen()
                   .set("tokenizer.ggml.eos_token_id", 7u)
                   .set("tokenizer.ggml.bos_token_id", 5u)
                   .set("tokenizer.ggml.padding_token_id", 0xffffffffu);
  const TemporaryDirectory directory;
  const auto opened = GgufModel::open(model.write(directory));
  CHECK(opened.config().eos == std::vector<std::int32_t>{7});
  CHECK(opened.config().bos == 5);
  CHECK(!opened.config().pad);
  CHECK(opened.generation().eos == opened.config().eos);
  CHECK(!opened.generation().do_sample);
  CHECK(model.set("tokenizer.ggml.eot_token_id", 9u).config().eos == std::vector<std::int32_t>{7, 9});
  CHECK(missing(model.set("tokenizer.ggml.eos_token_id", 40u).refusal(), {"eos_token_id", "below the 40 rows", "found 40"}) == "");

  constexpr std::uint32_t vocabulary = 151646;
  std::vector<std::string> tokens(vocabulary);
  const auto set_tokens = [&](SmallModel& m) {
    m.entries["tokenizer.ggml.tokens"] = [tokens](GgufWriter& w, const std::string& k) { w.add(k, std::span<const std::string>(tokens)); };
  };
  auto large = qwen().with("token_embd.weight", {vocabulary, 16}).set("tokenizer.ggml.eos_token_id", 151645u);
  set_tokens(large);
  CHECK(large.config().eos == std::vector<std::int32_t>{151645});
  tokens[151643] = "<|endoftext|>";
  set_tokens(large);
  CHECK(large.config().eos == std::vector<std::int32_t>{151645, 151643});
}

TEST_CASE("YaRN is read, other scalings are refused") {
  const auto scaled = [](std::string_view type, float factor) {
    return qwen().text("qwen2.rope.scaling.type", type).set("qwen2.rope.scaling.factor", factor);
  };
  const auto c = scaled("yarn", 4).set("qwen2.rope.scaling.original_context_length", 32u).config();
  REQUIRE(c.yarn);
  CHECK(c.yarn->factor == 4);
  CHECK(c.yarn->original_max_positions == 32);
  CHECK(c.yarn->attention_factor == doctest::Approx(0.1 * std::log(4) + 1));
  CHECK(!scaled("none", 4).config().yarn);
  CHECK(!scaled("linear", 1).config().yarn);
  CHECK(missing(scaled("linear", 2).refusal(), {"qwen2.rope.scaling.type", "\"yarn\"", "\"linear\""}) == "");
  CHECK(missing(qwen().set("qwen2.rope.scaling.factor", 2.f).refusal(), {"qwen2.rope.scaling.type", "\"linear\""}) == "");
  CHECK(missing(qwen().set("qwen2.rope.scale_linear", 2.f).refusal(), {"qwen2.rope.scale_linear"}) == "");
  CHECK(missing(qwen().text("qwen2.rope.scaling.type", "yarn").refusal(), {"rope.scaling.factor", "missing"}) == "");
  CHECK(missing(scaled("yarn", -1).refusal(), {"rope.scaling.factor", "positive"}) == "");
}

TEST_CASE("experts: their sizes are keys, or the shapes of their tensors") {
  const auto moe = [] {
    SmallModel model("qwen2moe");
    for (const std::string layer : {"blk.0.", "blk.1."}) {
      for (const char* kind : {"gate", "up", "down"}) {
        model.without(layer + "ffn_" + kind + ".weight");
        const bool is_down = kind == std::string("down");
        model.with(layer + "ffn_" + kind + "_exps.weight",
                   is_down ? std::vector<std::uint64_t>{6, 16, 8} : std::vector<std::uint64_t>{6, 8, 16});
        model.with(layer + "ffn_" + kind + "_shexp.weight",
                   is_down ? std::vector<std::uint64_t>{16, 20} : std::vector<std::uint64_t>{20, 16});
      }
      model.with(layer + "ffn_gate_inp.weight", {6, 16}).with(layer + "ffn_gate_inp_shexp.weight", {16});
      for (const char* bias : {"attn_q.bias", "attn_k.bias", "attn_v.bias"}) model.with(layer + bias, {bias[5] == 'q' ? 16u : 8u});
    }
    return model.set("qwen2moe.expert_count", 6u).set("qwen2moe.expert_used_count", 2u);
  };
  const auto c = moe().config();
  CHECK(c.model_type == "qwen2_moe");
  CHECK(c.qkv_bias);
  REQUIRE(c.experts);
  CHECK(c.experts->experts == 6);
  CHECK(c.experts->chosen == 2);
  CHECK(c.experts->intermediate == 8);
  CHECK(c.experts->shared_intermediate == 20);
  CHECK_FALSE(c.experts->normalised);
  CHECK(moe().set("qwen2moe.expert_feed_forward_length", 8u).config().experts->intermediate == 8);
  const TemporaryDirectory directory;
  const auto model = GgufModel::open(moe().write(directory));
  REQUIRE(model.find("model.layers.1.mlp.experts.#.down_proj.weight"));
  CHECK(model.find("model.layers.1.mlp.experts.#.down_proj.weight")->shape == std::vector<std::uint64_t>{6, 16, 8});
  CHECK(model.find("model.layers.0.mlp.shared_expert.up_proj.weight"));
  CHECK(missing(moe().set("qwen2moe.expert_used_count", 7u).refusal(), {"expert_used_count", "at most the 6 experts", "7"}) == "");
  CHECK(missing(moe().without("qwen2moe.expert_count").refusal(), {"expert_count", "missing"}) == "");
  CHECK(missing(moe().without("blk.0.ffn_gate_exps.weight").refusal(), {"\"blk.0.ffn_gate_exps.weight\"", "missing"}) == "");
}

TEST_CASE("what weft does not compute is refused, naming key or tensor") {
  CHECK(missing(SmallModel("gemma").refusal(), {"general.architecture", "\"qwen2\", \"qwen2moe\" or \"llama\"", "\"gemma\""}) == "");
  CHECK(missing(qwen().without("general.architecture").refusal(), {"general.architecture", "missing"}) == "");
  CHECK(missing(qwen().set("split.count", std::uint16_t{3}).refusal(), {"split.count", "3 parts"}) == "");
  CHECK(missing(qwen().set("qwen2.attention.sliding_window", 16u).refusal(), {"sliding_window", "found 16"}) == "");
  CHECK(qwen().set("qwen2.attention.sliding_window", 0u).config().layers == 2);
  CHECK(missing(llama().set("llama.expert_count", 8u).refusal(), {"llama.expert_count", "found 8"}) == "");
  CHECK(missing(llama().set("llama.attention.scale", 0.1f).refusal(), {"llama.attention.scale"}) == "");
  CHECK(missing(llama().set("llama.attention.causal", false).refusal(), {"llama.attention.causal", "true"}) == "");
  CHECK(missing(qwen().with("blk.0.attn_q_norm.weight", {4}).refusal(), {"\"blk.0.attn_q_norm.weight\"", "no such parameter"}) == "");
  CHECK(missing(qwen().with("blk.2.ffn_up.weight", {24, 16}).refusal(), {"\"blk.2.ffn_up.weight\"", "2 layers", "no such parameter"}) ==
        "");
  CHECK(missing(qwen().with("blk.99999999999999999999.ffn_up.weight", {1}).refusal(), {"no such parameter"}) == "");
  const auto scaled = llama().with("rope_freqs.weight", {2});
  CHECK(missing(scaled.refusal(), {"\"rope_freqs.weight\"", "ones", "found 0"}) == "");
}

TEST_CASE("rotary frequencies that are all divided by one are no scaling") {
  const TemporaryDirectory directory;
  const auto path = directory / "model.gguf";
  auto model = llama();
  GgufWriter writer(path);
  for (const auto& [key, add] : model.entries) add(writer, key);
  writer.add_tensor("rope_freqs.weight", DType::f32, {2});
  writer.add_tensor("token_embd.weight", DType::f32, {1, 16});
  const std::vector<float> ones(18, 1.f);
  writer.write(std::as_bytes(std::span(ones).first(2)));
  writer.write(std::as_bytes(std::span(ones).first(16)));
  writer.commit();
  CHECK(GgufModel::open(path).config().layers == 2);
}

TEST_CASE("sizes that are missing or do not fit are refused") {
  for (const char* key : {"block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count",
                          "attention.layer_norm_rms_epsilon"}) {
    CAPTURE(std::string(key));
    const std::string name = "qwen2." + std::string(key);
    CHECK(missing(qwen().without(name).refusal(), {name, "missing"}) == "");
  }
  CHECK(missing(qwen().set("qwen2.block_count", 0u).refusal(), {"qwen2.block_count", "1 to 65536", "found 0"}) == "");
  CHECK(missing(qwen().set("qwen2.block_count", 100000u).refusal(), {"qwen2.block_count", "found 100000"}) == "");
  CHECK(missing(qwen().text("qwen2.block_count", "2").refusal(), {"qwen2.block_count", "integer", "string \"2\""}) == "");
  CHECK(missing(qwen().set("qwen2.embedding_length", 18u).refusal(), {"qwen2.embedding_length", "multiple", "found 18"}) == "");
  CHECK(missing(qwen().set("qwen2.attention.head_count_kv", 3u).refusal(), {"head_count_kv", "divisor of the 4", "found 3"}) == "");
  CHECK(missing(qwen().set("qwen2.attention.key_length", 5u).refusal(), {"key_length", "even", "found 5"}) == "");
  CHECK(missing(qwen().set("qwen2.attention.value_length", 8u).refusal(), {"value_length", "the 4 elements", "found 8"}) == "");
  CHECK(missing(qwen().set("qwen2.rope.dimension_count", 2u).refusal(), {"rope.dimension_count", "the 4 elements", "found 2"}) == "");
  CHECK(missing(qwen().set("qwen2.rope.freq_base", 0.f).refusal(), {"rope.freq_base", "positive"}) == "");
  CHECK(missing(qwen().without("token_embd.weight").refusal(), {"token_embd.weight", "missing"}) == "");
  CHECK(missing(qwen().with("token_embd.weight", {40, 8}).refusal(), {"token_embd.weight", "[vocabulary, 16]", "[40, 8]"}) == "");
}

TEST_CASE("names go both ways, and the rows of llama's queries and keys are where its files keep them") {
  CHECK(gguf_name_of("model.layers.12.mlp.up_proj.weight") == "blk.12.ffn_up.weight");
  CHECK(gguf_name_of("lm_head.weight") == "output.weight");
  CHECK(!gguf_name_of("model.layers..mlp.up_proj.weight"));
  CHECK(!gguf_name_of("model.layers.1x.mlp.up_proj.weight"));
  CHECK(!gguf_name_of("model.layers.0.self_attn.rotary_emb.inv_freq"));
  CHECK(!hugging_face_name_of("blk.0.attn_q_norm.weight"));
  for (const auto& names : detail::parameter_names) {
    CAPTURE(std::string(names.gguf));
    const auto at = [](std::string name) { return name.replace(std::min(name.find('*'), name.size()), name.find('*') != name.npos, "7"); };
    const bool has_layer = names.gguf.find('*') != names.gguf.npos;
    const std::string there = has_layer ? at(std::string(names.gguf)) : std::string(names.gguf);
    const std::string here = has_layer ? at(std::string(names.hugging_face)) : std::string(names.hugging_face);
    CHECK(gguf_name_of(here) == there);
    CHECK(hugging_face_name_of(there) == here);
  }

  const TemporaryDirectory directory;
  const auto file = GgufModel::open(llama().write(directory));
  const auto q = file.rows("model.layers.1.self_attn.q_proj.weight");
  REQUIRE(q.is_changed());
  const long expected[] = {0, 2, 1, 3, 4, 6, 5, 7};  // heads of 4: the first half lies on even rows, the second on odd ones
  for (long row = 0; row < 8; ++row) {
    CHECK(q.row_in_file(row) == expected[row]);
    CHECK(q.row_in_model(q.row_in_file(row)) == row);
  }
  const RowOrder large{128};
  for (long row = 0; row < 1024; ++row) CHECK(large.row_in_model(large.row_in_file(row)) == row);
  CHECK(file.rows("model.layers.1.self_attn.k_proj.bias").is_changed());
  CHECK(!file.rows("model.layers.1.self_attn.v_proj.weight").is_changed());
  CHECK(file.find("model.layers.1.self_attn.q_proj.weight") == file.file().tensor("blk.1.attn_q.weight"));
  CHECK(file.find("lm_head.weight") == nullptr);
  const auto other = GgufModel::open(qwen().write(directory));
  CHECK(!other.rows("model.layers.1.self_attn.q_proj.weight").is_changed());
}
