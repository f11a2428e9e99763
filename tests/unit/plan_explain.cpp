// what explain says of a plan, and that graphviz draws it
#include <doctest/doctest.h>

#include "../support/formulas.hpp"
#include <weft/nn/layers.hpp>
#include <weft/plan/explain.hpp>
#include <weft/plan/graphviz.hpp>

#include <cstdio>
#include <cstdlib>

using namespace weft;

namespace {

using Hidden = Axis<"hidden", 64>;
using Layer = Chain<Residual<RmsNorm<"input_layernorm", Hidden>, SelfAttention<"self_attn", Hidden, 4, 2, 16>>,
                    Residual<RmsNorm<"post_attention_layernorm", Hidden>, SwiGlu<"mlp", Hidden, 96>>>;
struct Decoder
    : decltype(program(assign(Output<"y", Activation, Token, Hidden>{}, apply<Layer>(Input<"x", Activation, Token, Hidden>{})))) {
  static constexpr Name place = "model.layers.#";
  using storage = Stored<bf16>;
};

struct Text {
  std::string value;
  bool has(const std::string& part) const { return value.find(part) != std::string::npos; }
  int count(const std::string& part) const {
    int n = 0;
    for (std::size_t at = value.find(part); at != std::string::npos; at = value.find(part, at + 1)) ++n;
    return n;
  }
};
#define CHECK_HAS(text, part) \
  INFO((text).value);         \
  CHECK((text).has(part))

}  // namespace

TEST_CASE("a decoder layer in words") {
  const Text t{explain<Decoder>()};
  CHECK_HAS(t, "5 kernels, 20 tensors, 4 temporaries; paths are below model.layers.#");
  CHECK(t.count("\nkernel ") == 5);
  CHECK_HAS(t, "row statistic  sum = sum<hidden>(square(x))");
  CHECK_HAS(t, "left operand   input_layernorm = bf16(bf16(x * rsqrt(sum / 64 + rms_norm_eps)) * input_layernorm.weight)");
  CHECK_HAS(t, "segment 3: columns kv_head x group x pair");
  CHECK_HAS(t, "q_proj_2 = dot<hidden>(input_layernorm, self_attn.q_proj.weight[kv_head, group, pair + 8, hidden])");
  CHECK_HAS(t, "store  self_attn.keys[position, kv_head, pair + 8] = ");
  CHECK_HAS(t, "one pass over key, from position - window + 1 up to position + 1 (exclusive)");
  CHECK_HAS(t, "running  running_max = max<key>(score)");
  CHECK_HAS(t, "made by Rope in self_attn:\n      an operand of a streamed inner contraction is staged");
  CHECK_HAS(t, "store  %1[token, intermediate] = bf16(bf16(silu(bf16(gate_proj))) * bf16(up_proj))   (bf16)");
  CHECK_HAS(t, "store  y[token, hidden] = bf16(%3 + bf16(down_proj))   (bf16)");
}
TEST_CASE("no line is wider than 120 columns") {
  const std::string t = explain<Decoder>();
  for (std::size_t begin = 0, end; begin < t.size(); begin = end + 1) {
    end = t.find('\n', begin);
    CHECK(end - begin <= 120);
  }
}
TEST_CASE("formulas keep their meaning in infix") {
  using namespace formulas;
  CHECK_HAS(Text{explain<Real::Sink>()}, "/ (sum + exp(per_head - maximum(running_max, per_head)))");
  CHECK_HAS(Text{explain<Open<64>::RmsNorm>()}, "x * rsqrt(sum / |hidden| + 1e-06) * gain");
  CHECK_HAS(Text{explain<Open<64>::Down>()}, "FLOPs   token*hidden + 2*token*hidden*inter");
}
TEST_CASE("Graphviz") {
  const Text t{graphviz<Decoder>()};
  CHECK(t.count("subgraph cluster_kernel") == 5);
  CHECK(t.count("{") == t.count("}"));
  CHECK(t.count("\"") % 2 == 0);
  CHECK_HAS(t, "temporary2 -> kernel1 [label=\"128*token B\"]");
  if (std::system("command -v dot > /dev/null") == 0) {
    FILE* dot = popen("dot -Tsvg > /dev/null", "w");
    REQUIRE(dot != nullptr);
    std::fputs(t.value.c_str(), dot);
    CHECK(pclose(dot) == 0);
  }
}
