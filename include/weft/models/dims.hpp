// dims: the sizes of a decoder. A size that is `runtime` is read from config.json when a model is loaded.
#pragma once
#include <weft/core/axis.hpp>

#include <string_view>

namespace weft {

struct DecoderDims {
  long hidden = runtime, intermediate = runtime, layers = runtime, heads = runtime, kv_heads = runtime, vocab = runtime;
  long head_dim = 64;  // always part of the type: the rotation is fused into the projections because its pairs are known
  bool tied = false;   // the head reads the embedding's weight; the programs are the same either way

  constexpr bool operator==(const DecoderDims&) const = default;

  constexpr bool is_closed() const {
    return hidden != runtime && intermediate != runtime && layers != runtime && heads != runtime && kv_heads != runtime && vocab != runtime;
  }
  // the extent of an axis by its name; runtime for axes that are not the model's (tokens, keys)
  constexpr long extent_of(std::string_view axis) const {
    if (axis == "hidden") return hidden;
    if (axis == "vocab") return vocab;
    if (axis == "self_attn.kv_head") return kv_heads;
    if (axis == "self_attn.group") return heads == runtime ? runtime : heads / kv_heads;
    if (axis == "mlp.intermediate") return intermediate;
    return runtime;
  }
};

}  // namespace weft
