// routing_formulas: mixtures of experts of kinds that the library does not contain, as a user would write them.
#pragma once
#include <weft/nn/module.hpp>
#include <weft/plan/plan.hpp>

namespace weft::unseen::routing {

using Token = Axis<"token">;
using Hidden = Axis<"hidden", 44>;
using Inter = Axis<"inter", 35>;
using Wide = Axis<"wide", 70>;
using Expert = Tile<"expert", 24>;
using Choice = Tile<"choice", 3>;

constexpr Input<"x", float, Token, Hidden> x{};
constexpr Input<"gain", float, Hidden> gain{};
constexpr Input<"router", float, Expert, Hidden> router{};
constexpr Input<"bias", float, Expert> bias{};
constexpr Input<"gate", bf16, Expert, Inter, Hidden> gate{};
constexpr Input<"up", bf16, Expert, Inter, Hidden> up{};
constexpr Input<"down", bf16, Expert, Hidden, Inter> down{};
constexpr Input<"wide_gate", bf16, Wide, Hidden> wide_gate{};
constexpr Input<"wide_up", bf16, Wide, Hidden> wide_up{};
constexpr Input<"wide_down", bf16, Hidden, Wide> wide_down{};
constexpr Output<"y", float, Token, Hidden> y{};

constexpr auto normed() { return x * rsqrt(mean<Hidden>(square(x)) + 1e-6_c) * gain; }
// what the experts that index names make of e
constexpr auto experts(auto e, auto index) {
  auto a = silu(dot<Hidden>(e, gather<Expert>(gate, index))) * dot<Hidden>(e, gather<Expert>(up, index));
  return dot<Inter>(a, gather<Expert>(down, index));
}

// a dense branch beside the experts, on the same normalised input
constexpr auto hybrid() {
  auto h = normed();
  auto best = top_k<Expert, Choice>(softmax<Expert>(dot<Hidden>(h, router)));
  auto dense = dot<Wide>(silu(dot<Hidden>(h, wide_gate)) * dot<Hidden>(h, wide_up), wide_down);
  return program(assign(y, x + dense + sum<Choice>(experts(h, best.indices) * best.values)));
}
struct Hybrid : decltype(hybrid()) {};
// router with dense gate and up; dense down; the experts' gate and up; their down, weighted, added up, with the dense branch and x
static_assert(kernel_count<Hybrid> == 4);

// DeepSeek-V3 (arXiv 2412.19437): the bias decides who is chosen and is no part of the weights; only experts of the best groups are eligible, a group
// being as good as its best two
constexpr auto grouped_choice(auto e) {
  using Group = Tile<"expert_group", 6>;
  using Member = Tile<"member", 4>;
  using Two = Tile<"two", 2>;
  using Kept = Tile<"kept", 3>;
  auto s = sigmoid(dot<Hidden>(e, router));
  auto biased = split<Expert, Group, Member>(s + bias);
  auto kept = top_k<Group, Kept>(sum<Two>(top_k<Member, Two>(biased).values)).indices;
  auto eligible = max<Kept>(where(position<Group> == kept, 1_c, 0_c)) > 0_c;
  auto index = top_k<Expert, Choice>(merge<Group, Member, Expert>(where(eligible, biased, minus_inf))).indices;
  auto weight = gather<Expert>(s, index);
  auto scaled = weight / (sum<Choice>(weight) + 1e-20_c) * 2.5_c;
  return Largest<decltype(scaled), decltype(index)>{scaled, index};
}
constexpr auto grouped() {
  auto h = normed();
  const auto best = grouped_choice(h);
  auto dense = dot<Wide>(silu(dot<Hidden>(h, wide_gate)) * dot<Hidden>(h, wide_up), wide_down);
  return program(assign(y, x + dense + sum<Choice>(experts(h, best.indices) * best.values)));
}
struct Grouped : decltype(grouped()) {};
static_assert(kernel_count<Grouped> == 4);
static_assert(Compiled<Grouped>::plan.kernel[0].skeleton == Skeleton::contraction);
static_assert(Compiled<Grouped>::plan.kernel[1].skeleton == Skeleton::route);

// Expert choice (Zhou et al., arXiv 2202.09368): each expert takes the tokens that suit it best; a token may be taken by none or by many. Tokens
// are an axis of any length, so their probabilities are saved before experts choose, and what they make before it is added up.
using Slot = Axis<"slot">;
constexpr auto expert_choice() {
  auto best = top_k<Token, Slot>(softmax<Expert>(dot<Hidden>(x, router)));
  auto taken = gather<Token>(x, best.indices);  // [expert, slot, hidden]
  return program(assign(y, x), add_to(at<Token>(y, best.indices), experts(taken, position<Expert>) * best.values));
}
struct ExpertChoice : decltype(expert_choice()) {};
// y = x; the router; who is chosen; the weights; gate and up; down and weights; the sum
static_assert(kernel_count<ExpertChoice> == 7);

}  // namespace weft::unseen::routing
