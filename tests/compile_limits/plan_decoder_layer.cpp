// planning a decoder layer of modules, with Hugging Face's rounding, and a layer without modules
#include "../support/formulas.hpp"
#include <weft/nn/layers.hpp>
#include <weft/plan/plan_errors.hpp>

using namespace weft;

using Hidden = Axis<"hidden", 896>;
using Layer = Chain<Residual<RmsNorm<"input_layernorm", Hidden>, SelfAttention<"self_attn", Hidden, 14, 2, 64>>,
                    Residual<RmsNorm<"post_attention_layernorm", Hidden>, SwiGlu<"mlp", Hidden, 4864>>>;
struct Decoder
    : decltype(program(assign(Output<"y", Activation, Token, Hidden>{}, apply<Layer>(Input<"x", Activation, Token, Hidden>{})))) {
  using storage = Stored<bf16>;
};
static_assert(kernel_count<Decoder> == 5);
static_assert(kernel_count<formulas::Real::Layer> == 5);
