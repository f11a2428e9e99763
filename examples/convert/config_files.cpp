#include "config_files.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace {

using Json = nlohmann::ordered_json;

double usual_attention_factor(double factor) { return factor <= 1 ? 1 : 0.1 * std::log(factor) + 1; }

Json ids_of(const std::vector<std::int32_t>& ids) { return ids.empty() ? Json(nullptr) : ids.size() == 1 ? Json(ids[0]) : Json(ids); }
Json id_of(std::optional<std::int32_t> id) { return id ? Json(*id) : Json(nullptr); }

void add_windows(Json& json, const weft::ModelConfig& c) {
  const long widest = *std::ranges::max_element(c.window);  // all that are not 0 are the same
  json["use_sliding_window"] = widest > 0;
  if (widest == 0) return;
  json["sliding_window"] = widest;
  for (const long window : c.window) json["layer_types"].push_back(window > 0 ? "sliding_attention" : "full_attention");
}

}  // namespace

void add_config(weft::GgufWriter& writer, const Model& model, std::uint32_t file_type) {
  const auto& c = model.config;
  if (std::ranges::any_of(c.window, [](long window) { return window != 0; }))
    throw weft::Error(model.name + ": sliding attention: GGUF has no key for it in the architecture of " + c.model_type);
  if (c.experts && c.experts->normalised)
    throw weft::Error(model.name + ": norm_topk_prob: GGUF has no key for it in the architecture qwen2moe");
  for (long l = 0; l < c.layers; ++l)
    if (c.experts && !has_experts(c, l))
      throw weft::Error(model.name + ": layer " + std::to_string(l) + " has no experts: in the architecture qwen2moe all layers have");
  const std::string architecture = c.model_type == "qwen2_moe" ? "qwen2moe" : c.model_type;
  const auto add = [&](const char* key, auto value) { writer.add(architecture + "." + key, value); };
  const auto size = [](long value) { return static_cast<std::uint32_t>(value); };
  writer.add("general.architecture", architecture);
  writer.add("general.type", "model");
  writer.add("general.name", model.name);
  writer.add("general.file_type", file_type);
  writer.add("general.quantization_version", std::uint32_t{2});
  add("block_count", size(c.layers));
  add("context_length", size(c.max_positions));
  add("embedding_length", size(c.hidden));
  add("feed_forward_length", size(c.intermediate));
  add("attention.head_count", size(c.heads));
  add("attention.head_count_kv", size(c.kv_heads));
  add("attention.layer_norm_rms_epsilon", static_cast<float>(c.rms_norm_eps));
  add("attention.key_length", size(c.head_dim));
  add("attention.value_length", size(c.head_dim));
  add("rope.dimension_count", size(c.head_dim));
  add("rope.freq_base", static_cast<float>(c.rope_theta));
  add("vocab_size", size(c.vocab));
  if (c.experts) {
    add("expert_count", size(c.experts->experts));
    add("expert_used_count", size(c.experts->chosen));
    add("expert_feed_forward_length", size(c.experts->intermediate));
    add("expert_shared_feed_forward_length", size(c.experts->shared_intermediate));
  }
  if (!c.yarn) return;
  const auto& yarn = *c.yarn;
  if (std::abs(yarn.attention_factor - usual_attention_factor(yarn.factor)) > 1e-6 || !yarn.truncate)
    throw weft::Error(model.name + ": YaRN with an attention factor of its own, or without truncation: GGUF has no key for it");
  add("rope.scaling.type", "yarn");
  add("rope.scaling.factor", static_cast<float>(yarn.factor));
  add("rope.scaling.original_context_length", size(yarn.original_max_positions));
  add("rope.scaling.yarn_beta_fast", static_cast<float>(yarn.beta_fast));
  add("rope.scaling.yarn_beta_slow", static_cast<float>(yarn.beta_slow));
}

std::string config_json(const Model& model, weft::DType format) {
  const auto& c = model.config;
  const bool is_llama = c.model_type == "llama";
  if (is_llama && c.qkv_bias != c.output_bias)
    throw weft::Error(model.name + ": biases in the projections of attention: config.json has one key for all four, found some of them");
  const bool is_moe = c.model_type == "qwen2_moe";
  Json json = {{"architectures",
                {is_llama ? "LlamaForCausalLM"
                 : is_moe ? "Qwen2MoeForCausalLM"
                          : "Qwen2ForCausalLM"}},
               {"model_type", c.model_type},
               {"hidden_act", "silu"},
               {"hidden_size", c.hidden},
               {"intermediate_size", c.intermediate},
               {"num_hidden_layers", c.layers},
               {"num_attention_heads", c.heads},
               {"num_key_value_heads", c.kv_heads},
               {"head_dim", c.head_dim},
               {"max_position_embeddings", c.max_positions},
               {"rms_norm_eps", c.rms_norm_eps},
               {"rope_theta", c.rope_theta},
               {"tie_word_embeddings", c.tied},
               {"vocab_size", c.vocab},
               {"bos_token_id", id_of(c.bos)},
               {"eos_token_id", ids_of(c.eos)},
               {"pad_token_id", id_of(c.pad)},
               {"torch_dtype", format == weft::DType::bf16  ? "bfloat16"
                               : format == weft::DType::f16 ? "float16"
                                                            : "float32"},
               {"use_cache", true}};
  if (weft::is_block(format)) json["quantization_config"] = {{"quant_method", "weft"}};  // transformers refuses what it cannot read
  if (is_llama) json["attention_bias"] = c.qkv_bias;
  if (!is_llama) add_windows(json, c);
  if (is_moe) {
    const weft::ExpertsConfig e = c.experts.value_or(weft::ExpertsConfig{});
    json["num_experts"] = e.experts;
    json["num_experts_per_tok"] = e.chosen;
    json["moe_intermediate_size"] = e.intermediate;
    json["shared_expert_intermediate_size"] = e.shared_intermediate;
    json["norm_topk_prob"] = e.normalised;
    json["decoder_sparse_step"] = e.step;
    json["mlp_only_layers"] = e.dense_layers;
    json["qkv_bias"] = c.qkv_bias;
  }
  if (c.yarn)
    json["rope_scaling"] = {{"rope_type", "yarn"},
                            {"factor", c.yarn->factor},
                            {"original_max_position_embeddings", c.yarn->original_max_positions},
                            {"attention_factor", c.yarn->attention_factor},
                            {"beta_fast", c.yarn->beta_fast},
                            {"beta_slow", c.yarn->beta_slow}};
  return json.dump(2) + "\n";
}

std::string generation_json(const Model& model) {
  const auto& g = model.generation;
  Json json = {{"do_sample", g.do_sample}, {"bos_token_id", id_of(g.bos)}, {"eos_token_id", ids_of(g.eos)}, {"pad_token_id", id_of(g.pad)}};
  return json.dump(2) + "\n";
}
