// model_dims: a config.json against the type of a model.
#pragma once
#include <string>

#include "weft/core/error.hpp"
#include "weft/io/model_config.hpp"
#include "weft/models/dims.hpp"

namespace weft {

inline DecoderDims dims_of(const ModelConfig& config) {
  return {.hidden = config.hidden,
          .intermediate = config.intermediate,
          .layers = config.layers,
          .heads = config.heads,
          .kv_heads = config.kv_heads,
          .vocab = config.vocab,
          .head_dim = config.head_dim,
          .tied = config.tied};
}

// The opposite: the config of a model of the Qwen2 family with these sizes, all of them known, and what all its published sizes share. How many
// positions it was made for, and its tokens' ids, are left open.
inline ModelConfig qwen2_config_of(const DecoderDims& dims) {
  ModelConfig c;
  c.model_type = "qwen2";
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
  if (!problems.empty()) throw Error("config.json does not fit " + model + ": " + problems);
}

}  // namespace weft
