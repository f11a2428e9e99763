// Every layer of Qwen2.5-0.5B by itself, in bf16: one token (decoding, at two depths of the cache) and 512 tokens (prefill).
#include <weft/models/qwen2.hpp>

#include "support.hpp"

namespace weft::benchmarks {
namespace {

using Hidden = Axis<"hidden", 896>;
using Vocab = Axis<"vocab", 151936>;
using Inter = Axis<"intermediate", 4864>;
using Format = Stored<bf16>;
using Attention = SelfAttention<"self_attn", Hidden, 14, 2, 64>;

constexpr Input<"x", Activation, Token, Hidden> x{};
constexpr Input<"act", Activation, Token, Inter> act{};
constexpr Input<"a", Activation, Token, Attention::Query> attended{};
constexpr Output<"y", Activation, Token, Hidden> y{};

template <class P> struct InBf16 : P { using storage = Format; };

struct Norm : InBf16<decltype(program(assign(y, apply<RmsNorm<"norm", Hidden>>(x))))> {};
// norm, the three projections with biases, rotation, keys and values into the cache
constexpr auto qkv = [] {
  constexpr Attention a{};
  auto h = apply<RmsNorm<"norm", Hidden>>(x);
  auto keys = at<Key>(a.keys, token_position);
  auto values = at<Key>(a.values, token_position);
  return program(assign(Output<"q", Activation, Token, Attention::KvHead, Attention::Group, Attention::HeadDim>{},
                        a.rope(a.q_proj(h), token_position)),
                 assign(keys, a.rope(a.k_proj(h), token_position)), assign(values, a.v_proj(h)));
};
struct Qkv : InBf16<decltype(qkv())> {};
constexpr auto attend_all = [] {
  constexpr Attention a{};
  constexpr Input<"q", Activation, Token, Attention::KvHead, Attention::Group, Attention::HeadDim> q{};
  return program(assign(Output<"o", Activation, Token, Attention::KvHead, Attention::Group, Attention::HeadDim>{},
                        attend<Attention::HeadDim>(q, a.keys, a.values, Causal{}.formula(position<Key>, token_position))));
};
struct Attend : InBf16<decltype(attend_all())> {};
struct OutProjection : InBf16<decltype(program(assign(y, rounded(x + apply<Linear<"o_proj", Hidden, Attention::Query>>(attended)))))> {};
constexpr auto gate_up = [] {
  constexpr SwiGlu<"mlp", Hidden, 4864> m{};
  auto h = apply<RmsNorm<"norm", Hidden>>(x);
  return program(assign(Output<"u", Activation, Token, SwiGlu<"mlp", Hidden, 4864>::Inter>{}, rounded(rounded(silu(m.gate(h))) * m.up(h))));
};
struct GateUp : InBf16<decltype(gate_up())> {};
struct Down : InBf16<decltype(program(assign(y, rounded(x + apply<Linear<"down_proj", Hidden, Inter>>(act)))))> {};
struct Embed : InBf16<decltype(program(assign(y, apply<Embedding<"embed", Vocab, Hidden>>(Input<"ids", std::int32_t, Token>{}))))> {};
struct Logits : InBf16<decltype(program(assign(Output<"logits", float, Token, Vocab>{},
                                               apply<Linear<"lm_head", Vocab, Hidden>>(apply<RmsNorm<"norm", Hidden>>(x)))))> {};
struct Layer : LayerProgram<Qwen2_5_0_5B, Format> {};

static_assert(kernel_count<Norm> == 1 && kernel_count<Qkv> == 1 && kernel_count<Attend> == 1 && kernel_count<OutProjection> == 1 &&
              kernel_count<GateUp> == 1 && kernel_count<Down> == 1 && kernel_count<Embed> == 1 && kernel_count<Logits> == 1 &&
              kernel_count<Layer> == 5);

template <class P> void decode(benchmark::State& s) { run_program<P>(s, {{"token", 1}, {"key", 256}}, 255, true); }
template <class P> void decode_deep(benchmark::State& s) { run_program<P>(s, {{"token", 1}, {"key", 4096}}, 4095, true); }
template <class P> void prefill(benchmark::State& s) { run_program<P>(s, {{"token", 512}, {"key", 512}}, 0, true); }

#define WEFT_LAYER(P)                                                                     \
  BENCHMARK(decode<P>)->Name("decode/" #P)->UseRealTime()->Unit(benchmark::kMicrosecond); \
  BENCHMARK(prefill<P>)->Name("prefill 512/" #P)->UseRealTime()->Unit(benchmark::kMicrosecond);
WEFT_LAYER(Norm)
WEFT_LAYER(Qkv)
WEFT_LAYER(Attend)
BENCHMARK(decode_deep<Attend>)->Name("decode at 4096/Attend")->UseRealTime()->Unit(benchmark::kMicrosecond);
WEFT_LAYER(OutProjection)
WEFT_LAYER(GateUp)
WEFT_LAYER(Down)
WEFT_LAYER(Layer)
BENCHMARK(decode_deep<Layer>)->Name("decode at 4096/Layer")->UseRealTime()->Unit(benchmark::kMicrosecond);
WEFT_LAYER(Embed)
BENCHMARK(decode<Logits>)->Name("decode/Logits")->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace weft::benchmarks
