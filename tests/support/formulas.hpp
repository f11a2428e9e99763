// formulas: what a planner has to fuse, as programs over axes of any extents: real ones, small ones for values, open ones (runtime).
#pragma once
#include <weft/nn/module.hpp>
#include <weft/plan/plan.hpp>

namespace weft::formulas {

constexpr long times(long a, long b) { return a == runtime || b == runtime ? runtime : a * b; }

struct Gelu : Arithmetic {  // a functor of a user: the tanh form
  static constexpr const char* name = "gelu";
  static constexpr Algebra algebra{};
  template <class V> WEFT_HD static V apply(V a) {
    using math::tanh;
    return V(0.5f) * a * (V(1.f) + tanh(V(0.7978845608f) * (a + V(0.044715f) * a * a * a)));
  }
};

// W: the format of weights; the rest is f32
template <long hidden, long inter, long kv_heads, long group, long head_dim, long vocab, class W = bf16> struct Of {
  using Token = Axis<"token">;
  using Key = Axis<"key">;
  using Hidden = Axis<"hidden", hidden>;
  using Inter = Axis<"inter", inter>;
  using KvHead = Axis<"kv_head", kv_heads>;
  using Group = Axis<"group", group>;
  using Head = Axis<"head", times(kv_heads, group)>;
  using HeadDim = Tile<"head_dim", head_dim>;
  using Half = Tile<"half", 2>;
  using Pair = Tile<"pair", head_dim / 2>;
  using QDim = Axis<"q_dim", times(times(kv_heads, group), head_dim)>;
  using KvDim = Axis<"kv_dim", times(kv_heads, head_dim)>;
  using Vocab = Axis<"vocab", vocab>;
  using Rank = Axis<"rank", hidden == runtime ? runtime : 16>;
  using Expert = Tile<"expert", 60>;

  static constexpr Input<"x", float, Token, Hidden> x{};
  static constexpr Input<"act", float, Token, Inter> act{};
  static constexpr Input<"position", std::int32_t, Token> at_token{};
  static constexpr Input<"q", float, Token, KvHead, Group, HeadDim> q{};
  static constexpr Input<"k", float, Key, KvHead, HeadDim> k{};
  static constexpr Input<"v", float, Key, KvHead, HeadDim> v{};
  static constexpr Input<"per_head", float, KvHead, Group> per_head{};
  static constexpr Input<"gain", float, Hidden> gain{};
  static constexpr Input<"gain_2", float, Hidden> gain_2{};
  static constexpr Input<"shift", float, Hidden> shift{};
  static constexpr Input<"w_gate", W, Inter, Hidden> w_gate{};
  static constexpr Input<"w_up", W, Inter, Hidden> w_up{};
  static constexpr Input<"w_down", W, Hidden, Inter> w_down{};
  static constexpr Input<"w_q", W, QDim, Hidden> w_q{};
  static constexpr Input<"b_q", float, QDim> b_q{};
  static constexpr Input<"w_k", W, KvDim, Hidden> w_k{};
  static constexpr Input<"b_k", float, KvDim> b_k{};
  static constexpr Input<"w_v", W, KvDim, Hidden> w_v{};
  static constexpr Input<"b_v", float, KvDim> b_v{};
  static constexpr Input<"w_o", W, Hidden, QDim> w_o{};
  static constexpr Input<"a", float, Token, QDim> a{};
  static constexpr Input<"head_gain", float, HeadDim> head_gain{};
  static constexpr Leaf<Role::state, chars<"keys">, float, Key, KvHead, HeadDim> keys{};
  static constexpr Leaf<Role::state, chars<"values">, float, Key, KvHead, HeadDim> values{};
  static constexpr Output<"y", float, Token, Hidden> y{};
  static constexpr Output<"wide", float, Token, Inter> wide{};
  static constexpr Output<"heads", float, Token, Head, HeadDim> heads{};
  static constexpr Output<"o", float, Token, KvHead, Group, HeadDim> o{};

  // ---- parts
  template <class Over> static constexpr auto rms_norm(auto e, auto g) { return e * rsqrt(mean<Over>(square(e)) + 1e-6_c) * g; }
  static constexpr auto normed() { return rms_norm<Hidden>(x, gain); }
  static constexpr auto layer_norm() {
    auto d = x - mean<Hidden>(x);
    return d * rsqrt(mean<Hidden>(square(d)) + 1e-5_c) * gain + shift;
  }
  static constexpr auto swiglu(auto e) { return silu(dot<Hidden>(e, w_gate)) * dot<Hidden>(e, w_up); }
  static constexpr auto rope(auto e) {
    auto h = split<HeadDim, Half, Pair>(e);
    auto first = select<Half, 0>(h);
    auto second = select<Half, 1>(h);
    auto angle = cast<float>(at_token) * exp(cast<float>(position<Pair>) * (0_c - 0.4_c));
    auto c = cos(angle);
    auto s = sin(angle);
    return merge<Half, Pair, HeadDim>(stack<Half>(first * c - second * s, second * c + first * s));
  }
  static constexpr auto project_q(auto e) { return split<QDim, Head, HeadDim>(dot<Hidden>(e, w_q) + b_q); }
  static constexpr auto project_kv(auto e, auto w, auto b) { return split<KvDim, KvHead, HeadDim>(dot<Hidden>(e, w) + b); }
  static constexpr auto attention(auto query, auto key, auto value) {
    auto s = dot<HeadDim>(query, key) * 0.125_c;
    return dot<Key>(softmax<Key>(where(position<Key> <= at_token, s, minus_inf)), value);
  }

  // ---- one kernel each
  struct RmsNorm : decltype(program(assign(y, normed()))) {};
  struct SwiGlu : decltype(program(assign(wide, swiglu(normed())))) {};
  struct GeGlu : decltype(program(assign(wide, map<Gelu>(dot<Hidden>(layer_norm(), w_gate)) * dot<Hidden>(layer_norm(), w_up)))) {};
  struct Down : decltype(program(assign(y, x + dot<Inter>(act, w_down)))) {};
  struct Qkv
      : decltype(program(assign(heads, rope(project_q(normed()))), assign(at<Key>(keys, at_token), rope(project_kv(normed(), w_k, b_k))),
                         assign(at<Key>(values, at_token), project_kv(normed(), w_v, b_v)))) {};
  struct Attention : decltype(program(assign(o, attention(q, k, v)))) {};
  struct HeadNorm : decltype(program(assign(heads, rope(rms_norm<HeadDim>(project_q(normed()), head_gain))))) {};
  static constexpr auto capped() {  // soft cap, ALiBi, sliding window
    auto distance = cast<float>(position<Key> - at_token);
    auto s = tanh(dot<HeadDim>(q, k) * 0.0025_c) * 50_c + per_head * distance;
    return dot<Key>(softmax<Key>(where(position<Key> <= at_token && position<Key> > at_token - 16_c, s, minus_inf)), v);
  }
  struct Capped : decltype(program(assign(o, capped()))) {};
  struct Sigmoid : decltype(program(assign(o, dot<Key>(where(position<Key> <= at_token, sigmoid(dot<HeadDim>(q, k)), 0_c), v)))) {};
  static constexpr auto with_sink() {
    auto s = dot<HeadDim>(q, k) * 0.125_c;
    auto m = maximum(max<Key>(s), per_head);
    auto p = exp(s - m);
    return dot<Key>(p / (sum<Key>(p) + exp(per_head - m)), v);
  }
  struct Sink : decltype(program(assign(o, with_sink()))) {};
  static constexpr Input<"w_router", W, Expert, Hidden> w_router{};
  struct Router : decltype(program(assign(Output<"y", float, Token, Expert>{}, softmax<Expert>(dot<Hidden>(normed(), w_router))))) {};

  // ---- two kernels each
  static constexpr Input<"lora_a", W, Rank, Hidden> lora_a{};
  static constexpr Input<"lora_b", W, Inter, Rank> lora_b{};
  struct Lora : decltype(program(assign(wide, dot<Hidden>(normed(), w_up) + dot<Rank>(dot<Hidden>(normed(), lora_a), lora_b) * 2_c))) {};
  static constexpr Input<"w_head", W, Vocab, Hidden> w_head{};
  struct Loss : decltype(program(assign(Output<"y", float, Token>{}, logsumexp<Vocab>(dot<Hidden>(normed(), w_head))))) {};
  struct Parallel : decltype(program(assign(y, x + dot<QDim>(a, w_o) + dot<Inter>(swiglu(normed()), w_down)))) {};
  struct PostNorm : decltype(program(assign(y, rms_norm<Hidden>(x + dot<Inter>(act, w_down), gain)))) {};

  // ---- five: a decoder layer without modules
  static constexpr auto layer() {
    auto h = normed();
    auto query = split<Head, KvHead, Group>(rope(project_q(h)));
    auto attended = merge<Head, HeadDim, QDim>(merge<KvHead, Group, Head>(attention(query, keys, values)));
    auto x1 = x + dot<QDim>(attended, w_o);
    return program(assign(at<Key>(keys, at_token), rope(project_kv(h, w_k, b_k))),
                   assign(at<Key>(values, at_token), project_kv(h, w_v, b_v)),
                   assign(y, x1 + dot<Inter>(swiglu(rms_norm<Hidden>(x1, gain_2)), w_down)));
  }
  struct Layer : decltype(layer()) {};

  // ---- attention over the tokens themselves: keys are tokens, renamed
  static constexpr auto self_attention() {
    auto h = normed();
    auto query = split<Head, KvHead, Group>(project_q(h));
    auto key = rename<Token, Key>(project_kv(h, w_k, b_k));
    auto value = rename<Token, Key>(project_kv(h, w_v, b_v));
    return dot<Key>(softmax<Key>(dot<HeadDim>(query, key) * 0.125_c), value);
  }
  struct WithoutCache : decltype(program(assign(o, self_attention()))) {};
};

using Real = Of<896, 4864, 2, 7, 64, 151936>;
using Small = Of<24, 20, 2, 3, 8, 40, float>;
template <long head_dim, class W = bf16> using Open = Of<runtime, runtime, runtime, runtime, head_dim, runtime, W>;

}  // namespace weft::formulas
