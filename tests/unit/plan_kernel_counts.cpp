// how many kernels formulas of transformers need, and that this does not depend on whether extents are known
#include <doctest/doctest.h>

#include "../support/formulas.hpp"
#include "../support/same_plan.hpp"
#include <weft/nn/experts.hpp>

using namespace weft;

namespace {

using formulas::Open;
using formulas::Real;
using formulas::Small;

// ---- one kernel each
static_assert(kernel_count<Real::RmsNorm> == 1);
static_assert(kernel_count<Real::SwiGlu> == 1);
static_assert(kernel_count<Real::GeGlu> == 1);
static_assert(kernel_count<Real::Down> == 1);
static_assert(kernel_count<Real::Qkv> == 1);
static_assert(kernel_count<Real::Attention> == 1);
static_assert(kernel_count<Real::HeadNorm> == 1);
static_assert(kernel_count<Real::Capped> == 1);
static_assert(kernel_count<Real::Sigmoid> == 1);
static_assert(kernel_count<Real::Sink> == 1);
static_assert(kernel_count<Real::Router> == 1);
// ---- two
static_assert(kernel_count<Real::Lora> == 2);
static_assert(kernel_count<Real::Loss> == 2);
static_assert(kernel_count<Real::Parallel> == 2);
static_assert(kernel_count<Real::PostNorm> == 2);
static_assert(kernel_count<Real::WithoutCache> == 2);  // Q, K and V; attention
// ---- five
static_assert(kernel_count<Real::Layer> == 5);

// queries, keys and values: three segments of one kernel; the halves of a rotation are stores of their own
constexpr auto& qkv = Compiled<Real::Qkv>::plan;
static_assert(qkv.kernel[0].segments == 3 && qkv.stores == 5 && qkv.temporaries == 0);
static_assert(qkv.kernel[0].segment[0].contractions == 2 && qkv.kernel[0].segment[2].contractions == 1);
// a window is a loop from a lower to an upper bound
constexpr auto& capped = Compiled<Real::Capped>::plan.kernel[0];
static_assert(capped.skeleton == Skeleton::stream && capped.stream.lows == 1 && capped.stream.highs == 1);
// attention has a running maximum and a running sum, sigmoid attention neither
static_assert(Compiled<Real::Attention>::plan.kernel[0].stream.maximum >= 0 && Compiled<Real::Attention>::plan.kernel[0].stream.sums == 1);
static_assert(Compiled<Real::Sigmoid>::plan.kernel[0].stream.maximum < 0 && Compiled<Real::Sigmoid>::plan.kernel[0].stream.sums == 0);
// the norm of a head and the softmax of a router are reduced in the tile
static_assert(Compiled<Real::HeadNorm>::plan.kernel[0].segment[0].reductions == 1);
static_assert(Compiled<Real::Router>::plan.kernel[0].segment[0].reductions == 2);

// ---- extents known or not, large or small: the same plan
template <class F, class G> constexpr bool plan_alike() {
  return same_plan<typename F::RmsNorm, typename G::RmsNorm>() && same_plan<typename F::SwiGlu, typename G::SwiGlu>() &&
         same_plan<typename F::Qkv, typename G::Qkv>() && same_plan<typename F::Attention, typename G::Attention>() &&
         same_plan<typename F::HeadNorm, typename G::HeadNorm>() && same_plan<typename F::Router, typename G::Router>() &&
         same_plan<typename F::Lora, typename G::Lora>() && same_plan<typename F::Loss, typename G::Loss>() &&
         same_plan<typename F::Parallel, typename G::Parallel>() && same_plan<typename F::PostNorm, typename G::PostNorm>() &&
         same_plan<typename F::WithoutCache, typename G::WithoutCache>() && same_plan<typename F::Layer, typename G::Layer>();
}
static_assert(plan_alike<Real, Open<64>>());
static_assert(plan_alike<Small, Open<8, float>>());

// ---- the decoder layer of modules, with Hugging Face's rounding
template <long hidden, long inter, long heads, long kv_heads, long head_dim> struct Decoder {
  using Hidden = Axis<"hidden", hidden>;
  using Layer = Chain<Residual<RmsNorm<"input_layernorm", Hidden>, SelfAttention<"self_attn", Hidden, heads, kv_heads, head_dim>>,
                      Residual<RmsNorm<"post_attention_layernorm", Hidden>, SwiGlu<"mlp", Hidden, inter>>>;
  using type = decltype(program(assign(Output<"y", Activation, Token, Hidden>{}, apply<Layer>(Input<"x", Activation, Token, Hidden>{}))));
};
template <class Storage, long hidden, long inter, long heads, long kv_heads, long head_dim> struct DecoderLayer
    : Decoder<hidden, inter, heads, kv_heads, head_dim>::type {
  using storage = Storage;
};
using Static = DecoderLayer<Stored<bf16>, 896, 4864, 14, 2, 64>;
using Runtime = DecoderLayer<Stored<bf16>, runtime, runtime, runtime, runtime, 64>;
static_assert(kernel_count<Static> == 5);
static_assert(same_plan<Static, Runtime>());
static_assert(kernel_count<DecoderLayer<Stored<float>, 896, 4864, 14, 2, 64>> == 5);

// ---- a mixture of experts with a shared one, with Hugging Face's rounding (modeling_qwen2_moe.py)
template <long hidden, long inter, long wide> struct Mixture {
  using Hidden = Axis<"hidden", hidden>;
  using Inter = Axis<"inter", inter>;
  using Expert = Tile<"expert", 60>;
  using Choice = Tile<"choice", 4>;
  static constexpr auto formula() {
    auto x = Input<"x", Activation, Token, Hidden>{};
    auto h = apply<RmsNorm<"norm", Hidden>>(x);
    const auto best = choose<Expert, Choice, ChoiceWeights::normalised>(softmax<Expert>(apply<Linear<"router", Expert, Hidden>>(h)));
    auto made = gated_experts<Expert, Hidden, Inter>(h, best.indices, Param<"gate", Expert, Inter, Hidden>{},
                                                     Param<"up", Expert, Inter, Hidden>{}, Param<"down", Expert, Hidden, Inter>{});
    auto shared = rounded(sigmoid(rounded(dot<Hidden>(h, Param<"shared_gate", Hidden>{})))) * apply<SwiGlu<"shared", Hidden, wide>>(h);
    return rounded(x + rounded(sum<Choice>(made * rounded(best.values))) + rounded(shared));
  }
  using type = decltype(program(assign(Output<"y", Activation, Token, Hidden>{}, formula())));
};
template <long hidden, long inter, long wide> struct MixtureLayer : Mixture<hidden, inter, wide>::type { using storage = Stored<bf16>; };
using Mixed = MixtureLayer<2048, 1408, 5632>;
static_assert(kernel_count<Mixed> == 4 && same_plan<Mixed, MixtureLayer<runtime, runtime, runtime>>());
constexpr auto& mixed = Compiled<Mixed>::plan;
// the router with softmax, selection and normalisation, the shared gate and up, the shared gate's scalar: segments of one kernel
static_assert(mixed.kernel[0].skeleton == Skeleton::contraction && mixed.kernel[0].segments == 3);
// gate and up of the chosen; the shared down; the chosen's down, weighted, added up over the choices, with all the rest
static_assert(mixed.kernel[1].skeleton == Skeleton::route && mixed.kernel[1].segment[0].contractions == 2 && !mixed.kernel[1].combined);
static_assert(mixed.kernel[2].skeleton == Skeleton::contraction);
static_assert(mixed.kernel[3].skeleton == Skeleton::route && count_axes(mixed.kernel[3].combined) == 1);

}  // namespace

TEST_CASE("static and runtime decoder layers store the same temporaries") {
  CHECK(Compiled<Static>::plan.temporaries == 4);
  for (int t = 0; t < 4; ++t) {
    CHECK(Compiled<Static>::plan.temporary[t].dtype == DType::bf16);  // what is kept between kernels was rounded
    CHECK(Compiled<Static>::plan.temporary[t].rank == Compiled<Runtime>::plan.temporary[t].rank);
  }
}
