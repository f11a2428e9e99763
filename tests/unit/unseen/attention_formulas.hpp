// attention_formulas: attention of kinds that the library does not contain: each is one kernel, streamed along the keys, with the mask as
// the bounds of its loop.
#pragma once
#include <weft/nn/layers.hpp>
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

// A cache whose rows lie anywhere (after PagedAttention, Kwon et al., arXiv 2309.06180): an index says in which slot each key is. New rows are
// stored to slots, all are gathered where they are used.
namespace cached {
using Wide = Tile<"wide", 40>;
using Slot = Axis<"slot">;
template <Name name, class Rows> using Cache = Leaf<Role::state, chars<name>, bf16, Rows, KvHead, Wide>;
template <Name name> using New = Input<name, bf16, Token, KvHead, Wide>;

constexpr auto attention(auto keys, auto values) {
  auto queries = Input<"q", bf16, Token, KvHead, Group, Wide>{};
  return assign(Output<"o", float, Token, KvHead, Group, Wide>{}, attend<Wide>(queries, keys, values, position<Key> <= token_position));
}
constexpr auto contiguous() {
  return program(attention(update<Key>(Cache<"keys", Key>{}, token_position, New<"k">{}),
                           update<Key>(Cache<"values", Key>{}, token_position, New<"v">{})));
}
constexpr auto paged() {
  auto keys = Cache<"keys", Slot>{};
  auto values = Cache<"values", Slot>{};
  auto slot = Input<"slot", std::int32_t, Key>{};
  auto new_slot = Input<"new_slot", std::int32_t, Token>{};
  return program(assign(at<Slot>(keys, new_slot), New<"k">{}), assign(at<Slot>(values, new_slot), New<"v">{}),
                 attention(gather<Slot>(keys, slot), gather<Slot>(values, slot)));
}
}  // namespace cached
struct Contiguous : decltype(cached::contiguous()) {};
struct Paged : decltype(cached::paged()) {};
static_assert(kernel_count<Contiguous> == 2);
static_assert(kernel_count<Paged> == 2);
static_assert(Compiled<Paged>::plan.kernel[1].skeleton == Skeleton::stream && Compiled<Paged>::plan.temporaries == 0);

}  // namespace weft::unseen::attention
