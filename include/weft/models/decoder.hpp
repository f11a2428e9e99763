// decoder: the composition that Qwen2 and Llama share: pre-norm residual blocks of grouped-query attention and SwiGLU. Names are those of
// the checkpoints that Hugging Face transformers writes.
#pragma once
#include <weft/models/causal_lm.hpp>

namespace weft {

template <DecoderDims d, Bias qkv_bias, class Hidden = Axis<"hidden", d.hidden>> using DecoderLayer =
    Chain<Residual<RmsNorm<"input_layernorm", Hidden>, SelfAttention<"self_attn", Hidden, d.heads, d.kv_heads, d.head_dim, qkv_bias>>,
          Residual<RmsNorm<"post_attention_layernorm", Hidden>, SwiGlu<"mlp", Hidden, d.intermediate>>>;

template <DecoderDims d, Bias qkv_bias, class Storage, class Hidden = Axis<"hidden", d.hidden>, class Vocab = Axis<"vocab", d.vocab>>
using Decoder = CausalLM<d, Embedding<"model.embed_tokens", Vocab, Hidden>, Repeat<"model.layers", DecoderLayer<d, qkv_bias>>,
                         RmsNorm<"model.norm", Hidden>, Linear<"lm_head", Vocab, Hidden>, Storage>;

}  // namespace weft
