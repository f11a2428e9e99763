// dims: the sizes of a decoder. A size that is `runtime` is read from config.json when a model is loaded.
#pragma once
#include <weft/core/axis.hpp>

#include <cstdint>
#include <string_view>

namespace weft {

// Which layers of a model with experts have none, as Qwen2MoeConfig says it: layer l has experts if l + 1 is a multiple of `step` and l is not in the
// list. Kind 0 are those with experts (in a dense model: all), kind 1 the others.
struct LayerKinds {
  static constexpr long most_listed = 256;  // layers that a list can name
  long step = 1;
  std::uint64_t listed[most_listed / 64]{};

  constexpr bool operator==(const LayerKinds&) const = default;
  constexpr void list(long layer) { listed[layer / 64] |= std::uint64_t{1} << layer % 64; }
  constexpr int of(long layer) const {
    const bool is_listed = layer < most_listed && (listed[layer / 64] >> layer % 64 & 1) != 0;
    return (layer + 1) % step != 0 || is_listed ? 1 : 0;
  }
};

struct DecoderDims {
  long hidden = runtime, intermediate = runtime, layers = runtime, heads = runtime, kv_heads = runtime, vocab = runtime;
  long head_dim = 64;  // always part of the type: the rotation is fused into the projections because its pairs are known
  bool tied = false;   // the head reads the embedding's weight; the programs are the same either way
  // Experts, and how many of them a token passes through: always part of the type, for the router selects in registers. 0: there are none.
  long experts = 0, chosen = 0;
  long expert_intermediate = runtime, shared_intermediate = runtime;  // of an expert, of the one that all tokens share
  LayerKinds kinds{};

  constexpr bool operator==(const DecoderDims&) const = default;

  constexpr bool is_closed() const {
    const bool has_sizes_of_experts = experts == 0 || (expert_intermediate != runtime && shared_intermediate != runtime);
    return hidden != runtime && intermediate != runtime && layers != runtime && heads != runtime && kv_heads != runtime &&
           vocab != runtime && has_sizes_of_experts;
  }
  // the extent of an axis by its name; runtime for axes that are not the model's (tokens, keys)
  constexpr long extent_of(std::string_view axis) const {
    if (axis == "hidden") return hidden;
    if (axis == "vocab") return vocab;
    if (axis == "self_attn.kv_head") return kv_heads;
    if (axis == "self_attn.group") return heads == runtime ? runtime : heads / kv_heads;
    if (axis == "mlp.intermediate") return intermediate;
    if (axis == "mlp.expert_intermediate") return expert_intermediate;
    if (axis == "shared_expert.intermediate") return shared_intermediate;
    return runtime;
  }
};

}  // namespace weft
