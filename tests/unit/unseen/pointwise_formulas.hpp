// pointwise_formulas: formulas that the library does not contain, as a user would write them: norms, gates, low-rank updates, losses. Each
// fuses as its static_assert says and computes what double precision says.
#pragma once
#include <weft/nn/module.hpp>
#include <weft/plan/plan.hpp>

namespace weft::unseen::pointwise {

using Token = Axis<"token">;
using Hidden = Axis<"hidden", 56>;
using Inter = Axis<"inter", 41>;
using Vocab = Axis<"vocab", 77>;
using Rank = Axis<"rank", 4>;

constexpr Input<"x", float, Token, Hidden> x{};
constexpr Input<"gain", float, Hidden> gain{};
constexpr Input<"shift", float, Hidden> shift{};
constexpr Input<"w_gate", bf16, Inter, Hidden> w_gate{};
constexpr Input<"w_up", bf16, Inter, Hidden> w_up{};
constexpr Output<"y", float, Token, Hidden> y{};
constexpr Output<"wide", float, Token, Inter> wide{};

constexpr auto layer_norm = [](auto e, auto g, auto b) {
  auto centred = e - mean<Hidden>(e);
  return centred * rsqrt(mean<Hidden>(square(centred)) + 1e-5_c) * g + b;
};
constexpr auto gelu = [](auto e) { return 0.5_c * e * (1_c + tanh(0.7978845608028654_c * (e + 0.044715_c * e * e * e))); };

struct LayerNorm : decltype(program(assign(y, layer_norm(x, gain, shift)))) {};
static_assert(kernel_count<LayerNorm> == 1);

struct GeGlu : decltype(program(
                   assign(wide, gelu(dot<Hidden>(layer_norm(x, gain, shift), w_gate)) * dot<Hidden>(layer_norm(x, gain, shift), w_up)))) {};
static_assert(kernel_count<GeGlu> == 1);

// y = W x + (alpha / r) B A x (Hu et al., arXiv 2106.09685): the narrow product is made first
constexpr Input<"a", bf16, Rank, Hidden> lora_a{};
constexpr Input<"b", bf16, Inter, Rank> lora_b{};
struct Lora : decltype(program(assign(wide, dot<Hidden>(x, w_up) + 2_c * dot<Rank>(dot<Hidden>(x, lora_a), lora_b)))) {};
static_assert(kernel_count<Lora> == 2);

// a residual whose two operands are mixed by a learned gate
constexpr Input<"u", float, Token, Hidden> u{};
using Gate = Axis<"gate", 56>;
constexpr Input<"w_from_x", bf16, Gate, Hidden> w_from_x{};
constexpr Input<"w_from_u", bf16, Gate, Hidden> w_from_u{};
constexpr auto mixed = [] {
  auto g = rename<Gate, Hidden>(sigmoid(dot<Hidden>(x, w_from_x) + dot<Hidden>(u, w_from_u)));
  return g * x + (1_c - g) * u;
};
struct GatedResidual : decltype(program(assign(y, mixed()))) {};
static_assert(kernel_count<GatedResidual> == 1);

// the loss of a token is -log softmax(z)[label]; the row of logits is read once
constexpr Input<"logits", float, Token, Vocab> logits{};
constexpr Input<"label", std::int32_t, Token> label{};
constexpr Output<"loss", float, Token> loss{};
struct CrossEntropy : decltype(program(assign(loss, logsumexp<Vocab>(logits) - gather<Vocab>(logits, label)))) {};
static_assert(kernel_count<CrossEntropy> == 1);

}  // namespace weft::unseen::pointwise
