// layer_programs: every layer of Qwen2.5 by itself, and the whole decoder layer. Extents are known only at run time, so a layer is compiled once
// for all sizes that share its head_dim, and for each storage policy.
#pragma once
#include <weft/models/qwen2.hpp>

namespace weft::benchmarks {

// the layers that do not depend on head_dim
template <class Format> struct CommonLayers {
  using Hidden = Axis<"hidden">;
  using Vocab = Axis<"vocab">;
  using Mlp = SwiGlu<"mlp", Hidden, runtime>;
  static constexpr Input<"x", Activation, Token, Hidden> x{};
  static constexpr Output<"y", Activation, Token, Hidden> y{};

  struct Norm : decltype(program(assign(y, apply<RmsNorm<"norm", Hidden>>(x)))) {
    using storage = Format;
  };
  static constexpr auto gate_up() {
    constexpr Mlp m{};
    auto h = apply<RmsNorm<"norm", Hidden>>(x);
    return program(assign(Output<"u", Activation, Token, typename Mlp::Inter>{}, rounded(rounded(silu(m.gate(h))) * m.up(h))));
  }
  struct GateUp : decltype(gate_up()) {
    using storage = Format;
  };
  struct Down : decltype(program(assign(y, rounded(x + apply<Linear<"down_proj", Hidden, typename Mlp::Inter>>(
                                                           Input<"u", Activation, Token, typename Mlp::Inter>{}))))) {
    using storage = Format;
  };
  struct Mlp3 : decltype(program(assign(y, rounded(x + apply<Mlp>(apply<RmsNorm<"norm", Hidden>>(x)))))) {
    using storage = Format;
  };
  struct Embed : decltype(program(assign(y, apply<Embedding<"embed", Vocab, Hidden>>(Input<"ids", std::int32_t, Token>{})))) {
    using storage = Format;
  };
  struct Logits : decltype(program(assign(Output<"logits", float, Token, Vocab>{},
                                          apply<Linear<"lm_head", Vocab, Hidden>>(apply<RmsNorm<"norm", Hidden>>(x))))) {
    using storage = Format;
  };
  static_assert(kernel_count<Norm> == 1 && kernel_count<GateUp> == 1 && kernel_count<Down> == 1 && kernel_count<Mlp3> == 2 &&
                kernel_count<Embed> == 1 && kernel_count<Logits> == 1);
};

template <class Format, long head_dim> struct HeadLayers : CommonLayers<Format> {
  using typename CommonLayers<Format>::Hidden;
  static constexpr Input<"x", Activation, Token, Hidden> x{};
  static constexpr Output<"y", Activation, Token, Hidden> y{};
  using Attention = SelfAttention<"self_attn", Hidden, runtime, runtime, head_dim>;
  using Query = Input<"q", Activation, Token, typename Attention::KvHead, typename Attention::Group, typename Attention::HeadDim>;

  // norm, the three projections with biases, rotation, keys and values into the cache
  static constexpr auto qkv() {
    constexpr Attention a{};
    auto h = apply<RmsNorm<"norm", Hidden>>(x);
    auto keys = at<Key>(a.keys, token_position);
    auto values = at<Key>(a.values, token_position);
    return program(
        assign(Output<"q", Activation, Token, typename Attention::KvHead, typename Attention::Group, typename Attention::HeadDim>{},
               a.rope(a.q_proj(h), token_position)),
        assign(keys, a.rope(a.k_proj(h), token_position)), assign(values, a.v_proj(h)));
  }
  struct Qkv : decltype(qkv()) {
    using storage = Format;
  };
  static constexpr auto attend_all() {
    constexpr Attention a{};
    return program(
        assign(Output<"o", Activation, Token, typename Attention::KvHead, typename Attention::Group, typename Attention::HeadDim>{},
               attend<typename Attention::HeadDim>(Query{}, a.keys, a.values, Causal{}.formula(position<Key>, token_position))));
  }
  struct Attend : decltype(attend_all()) {
    using storage = Format;
  };
  struct OutProjection : decltype(program(assign(y, rounded(x + apply<Linear<"o_proj", Hidden, typename Attention::Query>>(
                                                                    Input<"a", Activation, Token, typename Attention::Query>{}))))) {
    using storage = Format;
  };
  struct Layer : LayerProgram<Qwen2Runtime<head_dim>, Format> {};
  static_assert(kernel_count<Qkv> == 1 && kernel_count<Attend> == 1 && kernel_count<OutProjection> == 1 && kernel_count<Layer> == 5);
};

}  // namespace weft::benchmarks
