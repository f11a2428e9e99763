// sparse_mlp: a router and experts in the place of one MLP, and a shared expert beside them (Qwen2-MoE, arXiv 2407.10671, section 2.2.2). Rounds where
// Hugging Face transformers does (modeling_qwen2_moe.py); the sum over experts is taken in f32 and rounded once, as its grouped matrix product does.
#pragma once
#include <weft/nn/experts.hpp>

namespace weft {

// A matrix that is stored as vectors are: files in blocks keep the router in f32.
template <Name name, class... Dim> using SmallParam = Leaf<Role::parameter, chars<name>, VectorFormat, Dim...>;

template <Name name, class Hidden, long experts, long chosen, long expert_intermediate, long shared_intermediate> struct SparseMlp
    : Module<name> {
  using Expert = Tile<name / "expert", experts>;
  using Choice = Tile<name / "choice", chosen>;
  using Inter = Axis<name / "expert_intermediate", expert_intermediate>;

  SmallParam<"gate.weight", Expert, Hidden> router;
  Param<"experts.#.gate_proj.weight", Expert, Inter, Hidden> gate;
  Param<"experts.#.up_proj.weight", Expert, Inter, Hidden> up;
  Param<"experts.#.down_proj.weight", Expert, Hidden, Inter> down;
  Param<"shared_expert_gate.weight", Hidden> shared_gate;
  Use<SwiGlu<"shared_expert", Hidden, shared_intermediate>> shared_expert;
  Input<"norm_topk_prob", float> is_normalised;  // 1: the weights of the chosen experts are made to sum to 1; 0: they stay probabilities

  constexpr auto formula(auto x) const {
    auto p = softmax<Expert>(rounded(dot<Hidden>(x, router)));  // in f32
    auto best = top_k<Expert, Choice>(p);
    auto weight = rounded(best.values / where(is_normalised > 0_c, sum<Choice>(best.values), 1_c));
    auto each = gated_experts<Expert, Hidden, Inter>(x, best.indices, gate, up, down);
    auto routed = rounded(sum<Choice>(rounded(each * weight)));
    auto shared = rounded(rounded(sigmoid(rounded(dot<Hidden>(x, shared_gate)))) * shared_expert(x));
    return rounded(routed + shared);
  }
};

// The loss that keeps experts equally busy, of the router's probabilities p[Row, Expert] and its choices index[Row, Choice], both of all tokens in all
// layers with experts: (number of experts) * sum over experts of the share of rows that chose it times its mean probability. Where all are equally busy
// it is the number of choices. As transformers computes it (load_balancing_loss_func), which multiplies it by router_aux_loss_coef.
template <class Row, class Expert, class Choice> constexpr auto load_balance(auto p, auto index) {
  auto chosen = sum<Choice>(where(position<Expert> == index, 1_c, 0_c));
  return number<Expert::extent> * sum<Expert>(mean<Row>(chosen) * mean<Row>(p));
}

}  // namespace weft
