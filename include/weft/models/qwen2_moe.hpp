// qwen2_moe: Qwen2-57B-A14B (arXiv 2407.10671) and Qwen1.5-MoE-A2.7B: the attention of Qwen2, and experts in the place of the MLP.
#pragma once
#include <weft/models/decoder.hpp>
#include <weft/nn/sparse_mlp.hpp>

namespace weft {

using Qwen2MoeDims = DecoderDims;

template <Qwen2MoeDims d, class Hidden = Axis<"hidden", d.hidden>> using SparseDecoderLayer =
    Chain<Residual<RmsNorm<"input_layernorm", Hidden>, SelfAttention<"self_attn", Hidden, d.heads, d.kv_heads, d.head_dim, Bias::yes>>,
          Residual<RmsNorm<"post_attention_layernorm", Hidden>,
                   SparseMlp<"mlp", Hidden, d.experts, d.chosen, d.expert_intermediate, d.shared_intermediate>>>;

template <Qwen2MoeDims d, class Blocks, class Storage, class Hidden = Axis<"hidden", d.hidden>, class Vocab = Axis<"vocab", d.vocab>>
using SparseDecoder = CausalLM<d, Embedding<"model.embed_tokens", Vocab, Hidden>, Blocks, RmsNorm<"model.norm", Hidden>,
                               Linear<"lm_head", Vocab, Hidden>, Storage>;

// every layer has experts, as in the published models
template <Qwen2MoeDims d, class Storage = Stored<bf16>> using Qwen2Moe =
    SparseDecoder<d, Repeat<"model.layers", SparseDecoderLayer<d>>, Storage>;
// layers with experts and dense ones (decoder_sparse_step, mlp_only_layers)
template <Qwen2MoeDims d, class Storage = Stored<bf16>> using Qwen2MoeMixed =
    SparseDecoder<d, Repeat<"model.layers", SparseDecoderLayer<d>, DecoderLayer<d, Bias::yes>>, Storage>;

// clang-format off
namespace qwen2_moe {
inline constexpr Qwen2MoeDims
  a14b  = {.hidden = 3584, .intermediate = 18944, .layers = 28, .heads = 28, .kv_heads =  4, .vocab = 151936, .head_dim = 128,
           .experts = 64, .chosen = 8, .expert_intermediate = 2560, .shared_intermediate = 20480},
  a2_7b = {.hidden = 2048, .intermediate =  5632, .layers = 24, .heads = 16, .kv_heads = 16, .vocab = 151936, .head_dim = 128,
           .experts = 60, .chosen = 4, .expert_intermediate = 1408, .shared_intermediate = 5632};
}  // namespace qwen2_moe

struct Qwen2_57B_A14B : Qwen2Moe<qwen2_moe::a14b> { static constexpr Name name = "Qwen2-57B-A14B"; };
struct Qwen1_5_MoE_A2_7B : Qwen2Moe<qwen2_moe::a2_7b> { static constexpr Name name = "Qwen1.5-MoE-A2.7B"; };

// any other size: config.json says which, and which layers are dense; head_dim and the numbers of experts are part of the type
template <long head_dim, long experts, long chosen> struct Qwen2MoeRuntime
    : Qwen2MoeMixed<Qwen2MoeDims{.head_dim = head_dim, .experts = experts, .chosen = chosen}> { static constexpr Name name = "Qwen2-MoE"; };
// clang-format on

}  // namespace weft
