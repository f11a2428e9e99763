// layers: the layers of Qwen2 and its relatives, as parameters and formulas. rounded(...) marks where Hugging Face transformers
// (modeling_qwen2.py) rounds to the model's dtype; with f32 activations it vanishes.
#pragma once
#include <weft/nn/combinators.hpp>

namespace weft {

using Token = Axis<"token">;  // the tokens of this call
using Key = Axis<"key">;      // all tokens so far: the rows of the cache

inline constexpr Input<"position", std::int32_t, Token> token_position{};

// RMSNorm (Zhang and Sennrich, arXiv 1910.07467): normalised in f32, rounded, then scaled by the gain and rounded again
template <Name name, class Over, class Epsilon = Input<"rms_norm_eps", float>> struct RmsNorm : Module<name> {
  Param<"weight", Over> weight;
  Epsilon epsilon;
  constexpr auto formula(auto x) const { return rounded(rounded(x * rsqrt(mean<Over>(square(x)) + epsilon)) * weight); }
};

enum class Bias { none, yes };

// y[..., Out] = x[..., In] W^T + b; the checkpoint's weight is [Out, In]
template <Name name, class Out, class In, Bias bias_ = Bias::none> struct Linear : Module<name> {
  Param<"weight", Out, In> weight;
  If<bias_ == Bias::yes, Param<"bias", Out>> bias;
  constexpr auto formula(auto x) const { return rounded(dot<In>(multiplicand<In>(x), weight) + bias); }
};

// Rotary position embedding (Su et al., arXiv 2104.09864), half-split: element c turns with element c + head_dim/2, by the angle
// position * inverse_frequency[c]. The frequencies are an input because each is rounded to f32 in a way of its own (see inverse_frequencies).
template <class HeadDim> struct Rope {
  using Half = Tile<HeadDim::name / "half", 2>;
  using Pair = Tile<HeadDim::name / "pair", HeadDim::extent / 2>;
  Input<"inverse_frequency", float, Pair> inverse_frequency;

  constexpr auto formula(auto x, auto at) const {
    auto angle = cast<float>(at) * inverse_frequency;
    auto c = rounded(cos(angle));
    auto s = rounded(sin(angle));
    auto halves = split<HeadDim, Half, Pair>(x);
    auto a = select<Half, 0>(halves);
    auto b = select<Half, 1>(halves);
    auto turned = stack<Half>(rounded(rounded(a * c) - rounded(b * s)), rounded(rounded(b * c) + rounded(a * s)));
    return merge<Half, Pair, HeadDim>(turned);
  }
};

// ---- which keys a query sees
struct Causal {
  constexpr auto formula(auto key, auto query) const { return key <= query; }
};
// the last `window` keys, the query's own included; the width is a scalar argument, so layers of different widths share one kernel
struct SlidingWindow {
  Input<"window", std::int32_t> window;
  constexpr auto formula(auto key, auto query) const { return key <= query && key > query - window; }
};

// softmax over the visible keys; heads are axes: q[token, kv_head, group, head_dim] meets k[key, kv_head, head_dim], nothing is repeated. The weights
// are rounded before they meet the values, but not for their sum.
template <class HeadDim> constexpr auto attend(auto q, auto keys, auto values, auto visible) {
  auto score = where(visible, dot<HeadDim>(q, keys) * rsqrt(number<HeadDim::extent>), minus_inf);
  auto weight = exp(score - max<Key>(score));
  return rounded(dot<Key>(rounded(weight) / sum<Key>(weight), values));
}

// grouped-query attention with a cache (Ainslie et al., arXiv 2305.13245)
template <Name name, class Hidden, long heads, long kv_heads, long head_dim, Bias bias = Bias::yes, class Mask = SlidingWindow>
struct SelfAttention : Module<name> {
  using KvHead = Axis<name / "kv_head", kv_heads>;
  using Group = Axis<name / "group", heads == runtime ? runtime : heads / kv_heads>;
  using HeadDim = Tile<name / "head_dim", head_dim>;
  using Query = Axes<KvHead, Group, HeadDim>;  // one dimension of the checkpoint, three axes

  Use<Linear<"q_proj", Query, Hidden, bias>> q_proj;
  Use<Linear<"k_proj", Axes<KvHead, HeadDim>, Hidden, bias>> k_proj;
  Use<Linear<"v_proj", Axes<KvHead, HeadDim>, Hidden, bias>> v_proj;
  Use<Linear<"o_proj", Hidden, Query>> o_proj;
  State<"keys", Key, KvHead, HeadDim> keys;
  State<"values", Key, KvHead, HeadDim> values;
  Use<Rope<HeadDim>> rope;
  Use<Mask> visible;

  constexpr auto formula(auto x) const {
    auto at = token_position;
    auto q = rope(q_proj(x), at);
    auto k = update<Key>(keys, at, rope(k_proj(x), at));  // a value: the keys after the write
    auto v = update<Key>(values, at, v_proj(x));
    return o_proj(attend<HeadDim>(q, k, v, visible(position<Key>, at)));
  }
};

// down(silu(gate(x)) * up(x)) (Shazeer, arXiv 2002.05202)
template <Name name, class Hidden, long intermediate> struct SwiGlu : Module<name> {
  using Inter = Axis<name / "intermediate", intermediate>;
  Use<Linear<"gate_proj", Inter, Hidden>> gate;
  Use<Linear<"up_proj", Inter, Hidden>> up;
  Use<Linear<"down_proj", Hidden, Inter>> down;
  constexpr auto formula(auto x) const { return down(rounded(rounded(silu(gate(x))) * up(x))); }
};

template <Name name, class Vocab, class Hidden> struct Embedding : Module<name> {
  Param<"weight", Vocab, Hidden> weight;
  constexpr auto formula(auto ids) const { return gather<Vocab>(weight, ids); }
};

}  // namespace weft
