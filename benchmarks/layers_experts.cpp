// Mixtures of experts: the router, the products that are routed, the whole block, and a dense product of as many operations beside them.
#include <weft/models/qwen2_moe.hpp>

#include "layers.hpp"

namespace weft::benchmarks {
namespace {

template <class Format, long experts, long chosen> struct ExpertLayers {
  using Hidden = Axis<"hidden">;
  using Mixture = SparseMlp<"mlp", Hidden, experts, chosen, runtime, runtime>;
  using Expert = typename Mixture::Expert;
  using Choice = typename Mixture::Choice;
  using Inter = typename Mixture::Inter;
  static constexpr Mixture mixture{};
  static constexpr Input<"x", Activation, Token, Hidden> x{};
  static constexpr Output<"y", Activation, Token, Hidden> y{};
  static constexpr Input<"index", std::int32_t, Token, Choice> index{};

  static constexpr auto router() {
    auto h = apply<RmsNorm<"norm", Hidden>>(x);
    auto best = top_k<Expert, Choice>(softmax<Expert>(rounded(dot<Hidden>(h, mixture.router))));
    return program(assign(Output<"weight", Activation, Token, Choice>{}, rounded(best.values)),
                   assign(Output<"best", std::int32_t, Token, Choice>{}, best.indices));
  }
  struct Router : decltype(router()) {
    using storage = Format;
  };
  static constexpr auto gate_up() {
    auto in = multiplicand<Hidden>(x);
    auto g = rounded(dot<Hidden>(in, gather<Expert>(mixture.gate, index)));
    auto u = rounded(dot<Hidden>(in, gather<Expert>(mixture.up, index)));
    return program(assign(Output<"u", Activation, Token, Choice, Inter>{}, rounded(rounded(silu(g)) * u)));
  }
  struct GateUp : decltype(gate_up()) {
    using storage = Format;
  };
  static constexpr auto down() {
    constexpr Input<"u", Activation, Token, Choice, Inter> u{};
    constexpr Input<"weight", Activation, Token, Choice> weight{};
    auto each = rounded(dot<Inter>(multiplicand<Inter>(u), gather<Expert>(mixture.down, index)));
    return program(assign(y, rounded(x + rounded(sum<Choice>(rounded(each * weight))))));
  }
  struct Down : decltype(down()) {
    using storage = Format;
  };
  struct Block : decltype(program(assign(y, rounded(x + apply<Mixture>(apply<RmsNorm<"norm", Hidden>>(x)))))) {
    using storage = Format;
  };
  // without experts: as many operations where there are as many rows as choices
  static constexpr auto dense_gate_up() {
    auto in = multiplicand<Hidden>(x);
    auto g = rounded(dot<Hidden>(in, Param<"gate", Inter, Hidden>{}));
    auto u = rounded(dot<Hidden>(in, Param<"up", Inter, Hidden>{}));
    return program(assign(Output<"u", Activation, Token, Inter>{}, rounded(rounded(silu(g)) * u)));
  }
  struct DenseGateUp : decltype(dense_gate_up()) {
    using storage = Format;
  };
  static constexpr auto dense_down() {
    return program(assign(
        y, rounded(x + rounded(dot<Inter>(multiplicand<Inter>(Input<"u", Activation, Token, Inter>{}), Param<"down", Hidden, Inter>{})))));
  }
  struct DenseDown : decltype(dense_down()) {
    using storage = Format;
  };
  static_assert(kernel_count<Router> == 1 && kernel_count<GateUp> == 1 && kernel_count<Down> == 1);
};

template <class Format, long experts, long chosen> void add_expert_layers(const ExpertSize& size, DType format) {
  using L = ExpertLayers<Format, experts, chosen>;
  const auto& d = size.dims;
  const auto name = [&](const char* layer, long tokens) {
    const auto shape = tokens == 1 ? std::string("decode") : "prefill:" + std::to_string(tokens);
    return std::string(layer) + "/" + size.name + "/" + name_of(format) + "/" + shape;
  };
  const auto extents = [&](long rows) {
    return Extents{{"token", rows},
                   {"hidden", d.hidden},
                   {"mlp.expert_intermediate", d.expert_intermediate},
                   {"shared_expert.intermediate", d.shared_intermediate}};
  };
  for (const long tokens : {1L, 8L, 64L, 512L}) {
    const Extents routed = extents(tokens), dense = extents(tokens * chosen);
    add(name("Router", tokens), [=](benchmark::State& s) { run_program<typename L::Router>(s, routed, 0, format); });
    add(name("ExpertsGateUp", tokens), [=](benchmark::State& s) { run_program<typename L::GateUp>(s, routed, 0, format); });
    add(name("ExpertsDown", tokens), [=](benchmark::State& s) { run_program<typename L::Down>(s, routed, 0, format); });
    add(name("ExpertsBlock", tokens), [=](benchmark::State& s) { run_program<typename L::Block>(s, routed, 0, format); });
    if (tokens == 1) continue;
    add(name("ExpertsGateUpDense", tokens), [=](benchmark::State& s) { run_program<typename L::DenseGateUp>(s, dense, 0, format); });
    add(name("ExpertsDownDense", tokens), [=](benchmark::State& s) { run_program<typename L::DenseDown>(s, dense, 0, format); });
  }
}
template <class Format> void add_all(const Selection& selection, DType format) {
  if (!selection.has_format(format)) return;
  for (const ExpertSize& size : expert_sizes) {
    if (!selection.has_size(size.name)) continue;
    if (size.dims.experts == qwen2_moe::a2_7b.experts)
      add_expert_layers<Format, qwen2_moe::a2_7b.experts, qwen2_moe::a2_7b.chosen>(size, format);
    else
      add_expert_layers<Format, qwen2_moe::a14b.experts, qwen2_moe::a14b.chosen>(size, format);
  }
}

}  // namespace

void add_expert_layers(const Selection& selection) {
  add_all<Stored<bf16>>(selection, DType::bf16);
  for (const DType format : block_formats) add_all<Stored<any_block>>(selection, format);
}

}  // namespace weft::benchmarks
