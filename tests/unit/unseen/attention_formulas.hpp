// attention_formulas: attention of kinds that the library does not contain: each is one kernel, streamed along the keys, with the mask as
// the bounds of its loop.
#pragma once
#include <weft/nn/module.hpp>
#include <weft/plan/plan.hpp>

namespace weft::unseen::attention {

using Token = Axis<"token">;
using Key = Axis<"key">;
using KvHead = Axis<"kv_head", 2>;
using Group = Axis<"group", 5>;
using HeadDim = Tile<"head_dim", 16>;

constexpr Input<"q", float, Token, KvHead, Group, HeadDim> q{};
constexpr Input<"k", bf16, Key, KvHead, HeadDim> k{};
constexpr Input<"v", bf16, Key, KvHead, HeadDim> v{};
constexpr Input<"at", std::int32_t, Token> at_token{};
constexpr Input<"per_head", float, KvHead, Group> per_head{};
constexpr Output<"o", float, Token, KvHead, Group, HeadDim> o{};

constexpr auto score = [] { return dot<HeadDim>(q, k) * 0.25_c; };
constexpr auto causal = [](auto s) { return where(position<Key> <= at_token, s, minus_inf); };

// Gemma 2: 50 * tanh(s / 50)
struct SoftCap : decltype(program(assign(o, dot<Key>(softmax<Key>(causal(tanh(score() * 0.02_c) * 50_c)), v)))) {};
static_assert(kernel_count<SoftCap> == 1);

// ALiBi (Press et al., arXiv 2108.12409): a slope for each head times the distance
struct Alibi : decltype(program(assign(o, dot<Key>(softmax<Key>(causal(score() + per_head * cast<float>(position<Key> - at_token))), v)))) {
};
static_assert(kernel_count<Alibi> == 1);

// a learned sink takes part in the softmax and has no value
constexpr auto with_sink = [] {
  auto s = causal(score());
  auto m = maximum(max<Key>(s), per_head);
  auto p = exp(s - m);
  return dot<Key>(p / (sum<Key>(p) + exp(per_head - m)), v);
};
struct Sink : decltype(program(assign(o, with_sink()))) {};
static_assert(kernel_count<Sink> == 1);

// softmax with no maximum subtracted: the kernel's own running maximum keeps it in range
constexpr auto unguarded = [] {
  auto p = exp(causal(score()));
  return dot<Key>(p / sum<Key>(p), v);
};
struct Unguarded : decltype(program(assign(o, unguarded()))) {};
static_assert(kernel_count<Unguarded> == 1);

// a window on both sides of the query
constexpr auto banded = [] {
  auto near = position<Key> < at_token + 9_c && position<Key> >= at_token - 30_c;
  return dot<Key>(softmax<Key>(where(near, score(), minus_inf)), v);
};
struct Banded : decltype(program(assign(o, banded()))) {};
static_assert(kernel_count<Banded> == 1);

// sigmoid attention has nothing to normalise (Ramapuram et al., arXiv 2409.04431)
struct Sigmoid : decltype(program(assign(o, dot<Key>(where(position<Key> <= at_token, sigmoid(score() - 3_c), 0_c), v)))) {};
static_assert(kernel_count<Sigmoid> == 1);

}  // namespace weft::unseen::attention
