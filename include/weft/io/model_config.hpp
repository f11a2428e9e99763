// model_config: what config.json and generation_config.json say, as plain values. io/config.hpp reads them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weft {

// YaRN's change of the rotary frequencies (arXiv 2309.00071), with every default of transformers filled in.
struct Yarn {
  double factor = 1;                     // how many times longer than the original the context may be
  long original_max_positions = 0;       // positions of the pre-training, from which the ramp is computed
  double attention_factor = 1;           // cos and sin are multiplied by it
  double beta_fast = 32, beta_slow = 1;  // turns over the original length: faster pairs stay, slower ones are interpolated
  bool truncate = true;                  // the ends of the ramp are whole pairs
};

// Layers with a router and experts in the place of one MLP.
struct ExpertsConfig {
  long experts = 0, chosen = 0;                    // how many there are, through how many of them a token passes
  long intermediate = 0, shared_intermediate = 0;  // of an expert, of the one that all tokens share
  bool normalised = false;                         // the weights of the chosen experts are made to sum to 1
  long step = 1;                                   // layer l may have experts where l + 1 is a multiple of it
  std::vector<long> dense_layers;                  // and has none where it is in this list
};

struct ModelConfig {
  std::string model_type;  // "qwen2", "qwen2_moe" or "llama"
  long hidden = 0, intermediate = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, vocab = 0;
  long max_positions = 0;
  double rms_norm_eps = 0, rope_theta = 0;
  std::optional<Yarn> yarn;
  std::optional<ExpertsConfig> experts;
  bool tied = false;              // the head reads the embedding's weights
  bool qkv_bias = false;          // q_proj, k_proj and v_proj add a bias
  bool output_bias = false;       // o_proj adds a bias
  std::vector<long> window;       // by layer: how many keys a query sees, its own included; 0 is all of them
  std::vector<std::int32_t> eos;  // any of these ends a text
  std::optional<std::int32_t> bos, pad;
  std::string dtype;  // as the file names it, possibly empty; every tensor has its own
  std::vector<std::string> warnings;
};

// How to continue a text: the fields of generation_config.json, with the defaults of transformers.
struct GenerationConfig {
  bool do_sample = false;  // false: always the most probable token
  double temperature = 1, top_p = 1, min_p = 0, repetition_penalty = 1;
  long top_k = 50;
  std::optional<long> max_new_tokens;
  std::vector<std::int32_t> eos;
  std::optional<std::int32_t> bos, pad;
};

}  // namespace weft
