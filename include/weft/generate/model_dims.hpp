// model_dims: a config.json against the type of a model.
#pragma once
#include <string>

#include "weft/core/error.hpp"
#include "weft/io/model_config.hpp"
#include "weft/models/dims.hpp"

namespace weft {

// Throws Error where a list of layers names one that is too far back to be named in a type.
inline DecoderDims dims_of(const ModelConfig& config) {
  DecoderDims dims = {.hidden = config.hidden,
                      .intermediate = config.intermediate,
                      .layers = config.layers,
                      .heads = config.heads,
                      .kv_heads = config.kv_heads,
                      .vocab = config.vocab,
                      .head_dim = config.head_dim,
                      .tied = config.tied};
  if (!config.experts) return dims;
  const ExpertsConfig& e = *config.experts;
  dims.experts = e.experts;
  dims.chosen = e.chosen;
  dims.expert_intermediate = e.intermediate;
  dims.shared_intermediate = e.shared_intermediate;
  dims.kinds.step = e.step;
  for (const long layer : e.dense_layers) {
    if (layer >= config.layers) continue;
    if (layer >= LayerKinds::most_listed)
      throw Error("config.json: field \"mlp_only_layers\": expected layers below " + std::to_string(LayerKinds::most_listed) + ", found " +
                  std::to_string(layer));
    dims.kinds.list(layer);
  }
  return dims;
}

// The opposite: the config of a model of the Qwen2 family with these sizes, all of them known, and what all its published sizes share. How many
// positions it was made for, and its tokens' ids, are left open.
inline ModelConfig qwen2_config_of(const DecoderDims& dims) {
  ModelConfig c;
  c.model_type = dims.experts > 0 ? "qwen2_moe" : "qwen2";
  c.hidden = dims.hidden;
  c.intermediate = dims.intermediate;
  c.layers = dims.layers;
  c.heads = dims.heads;
  c.kv_heads = dims.kv_heads;
  c.vocab = dims.vocab;
  c.head_dim = dims.head_dim;
  c.tied = dims.tied;
  c.qkv_bias = true;
  c.rms_norm_eps = 1e-6;
  c.rope_theta = 1e6;
  c.window.assign(static_cast<std::size_t>(dims.layers), 0);
  if (dims.experts == 0) return c;
  ExpertsConfig& e = c.experts.emplace();
  e.experts = dims.experts;
  e.chosen = dims.chosen;
  e.intermediate = dims.expert_intermediate;
  e.shared_intermediate = dims.shared_intermediate;
  e.step = dims.kinds.step;
  for (long l = 0; l < dims.layers; ++l)
    if ((l + 1) % e.step == 0 && dims.kinds.of(l) == 1) e.dense_layers.push_back(l);
  return c;
}

// Throws one Error that names every field of config.json that differs from a size in the type. Sizes that the type leaves open fit all.
inline void check_dims(const std::string& model, const DecoderDims& type, const ModelConfig& config) {
  std::string problems;
  const auto compare = [&](const char* field, long expected, long found) {
    if (expected != runtime && expected != found)
      problems += (problems.empty() ? "" : "; ") + std::string(field) + ": expected " + std::to_string(expected) + ", found " +
                  std::to_string(found);
  };
  compare("hidden_size", type.hidden, config.hidden);
  compare("intermediate_size", type.intermediate, config.intermediate);
  compare("num_hidden_layers", type.layers, config.layers);
  compare("num_attention_heads", type.heads, config.heads);
  compare("num_key_value_heads", type.kv_heads, config.kv_heads);
  compare("vocab_size", type.vocab, config.vocab);
  compare("head_dim", type.head_dim, config.head_dim);
  const ExpertsConfig experts = config.experts.value_or(ExpertsConfig{});
  compare("num_experts", type.experts, experts.experts);
  compare("num_experts_per_tok", type.chosen, experts.chosen);
  if (type.experts > 0) {
    compare("moe_intermediate_size", type.expert_intermediate, experts.intermediate);
    compare("shared_expert_intermediate_size", type.shared_intermediate, experts.shared_intermediate);
  }
  if (!problems.empty()) throw Error("config.json does not fit " + model + ": " + problems);
}

}  // namespace weft
