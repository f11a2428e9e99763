// weights in blocks and values quantised for them: what is planned, what explain shows, and that the plan keeps values
#include <doctest/doctest.h>

#include <weft/models/qwen2.hpp>
#include <weft/plan/explain.hpp>

#include "../support/plan_interpreter.hpp"
#include "../support/quantised_programs.hpp"
#include "../support/random_program.hpp"
#include "../support/same_plan.hpp"

using namespace weft;

namespace {

struct Small : Qwen2<Qwen2Dims{.hidden = 64, .intermediate = 96, .layers = 1, .heads = 2, .kv_heads = 1, .vocab = 32, .head_dim = 32}> {};
struct Half : Qwen2<qwen2::b0_5> {};
using Quantised = Stored<q4_0>;

// quantising rows is a prologue: it costs no kernel
static_assert(kernel_count<LayerProgram<Half, Quantised>> == 5);
static_assert(kernel_count<LayerProgram<Half, Stored<any_block>>> == 5);
static_assert(kernel_count<HeadProgram<Half, Quantised>> == 1);
static_assert(kernel_count<in_blocks::Of<q8_0>::Whole> == 1);

// Q, K and V share one quantised row, as do gate and up
static_assert(Compiled<LayerProgram<Half, Quantised>>::plan.kernel[0].lefts == 1);
static_assert(Compiled<LayerProgram<Half, Quantised>>::plan.kernel[3].lefts == 1);

// where the policy does not ask for it, nothing is quantised
static_assert(same_plan<LayerProgram<Half, Stored<bf16>>, LayerProgram<Half, Stored<bf16, bf16, bf16, bf16, float>>>());

template <class P> void plan_keeps_values(const Extents& extents) {
  const RandomProgram<P> random(extents, 7, 0, 1.f, DType::q5_1);
  const auto expected = interpret(random.binding);
  PlanInterpreter<P> planned(random.binding);
  planned.run();
  for (std::size_t l = 0; l < expected.size(); ++l)
    for (std::size_t i = 0; i < expected[l].size(); ++i)
      REQUIRE(std::abs(planned.leaf[l][i] - expected[l][i]) <= 1e-9 * (1 + std::abs(expected[l][i])));
}

}  // namespace

TEST_CASE("quantised values keep their place in the plan") {
  plan_keeps_values<LayerProgram<Small, Quantised>>({{"token", 3}, {"key", 5}});
  plan_keeps_values<LayerProgram<Small, Stored<any_block>>>({{"token", 3}, {"key", 5}});
  plan_keeps_values<in_blocks::Of<q4_1>::Whole>({{"token", 2}});
}

TEST_CASE("explain shows where values are quantised, and along which axes") {
  const std::string text = explain<LayerProgram<Half, Quantised>>();
  CHECK(text.find("q8_0<hidden>(") != text.npos);
  CHECK(text.find("q8_0<kv_head, group, 32*half + pair>(") != text.npos);
  CHECK(explain<LayerProgram<Half, Stored<bf16>>>().find("q8_0") == std::string::npos);
}

TEST_CASE("tensors in blocks") {
  using Row = Axis<"row">;
  using Column = Axis<"column">;
  CHECK(Buffer<q8_0, Row, Column>(3, 64).size() == 192);
  CHECK_THROWS_WITH_AS((Buffer<q8_0, Row, Column>(3, 40)), "a tensor of q8_0: expected a last axis of a multiple of 32 elements, found 40",
                       Error);
  Binding<EmbedProgram<Half, Stored<any_block>>> b;
  CHECK_THROWS_WITH_AS(bind_dense(b, leaf_number<EmbedProgram<Half, Stored<any_block>>>("model.embed_tokens.weight"), nullptr, DType::bf16),
                       "operand model.embed_tokens.weight: expected any_block, found bf16", Error);
  CHECK_THROWS_WITH_AS(bind_dense(b, leaf_number<EmbedProgram<Half, Stored<any_block>>>("model.embed_tokens.weight"), nullptr, DType::q4_k),
                       "operand model.embed_tokens.weight: its rows have 896 elements; q4_k stores blocks of 256", Error);
}

TEST_CASE("which tensors may lie in panels") {
  using Layer = LayerProgram<Half, Stored<q8_0, float, q8_0>>;
  using Embed = EmbedProgram<Half, Stored<any_block>>;
  CHECK(contracts_with<Layer>(leaf_number<Layer>("model.layers.#.mlp.down_proj.weight")));
  CHECK_FALSE(contracts_with<Layer>(leaf_number<Layer>("model.layers.#.input_layernorm.weight")));
  CHECK_FALSE(contracts_with<Embed>(leaf_number<Embed>("model.embed_tokens.weight")));

  const auto bind = [](auto program, const char* path, DType format) {
    using P = decltype(program);
    Binding<P> b;
    change_extent(b, "token", 3);
    change_extent(b, "key", 35);
    bind_dense(b, leaf_number<P>(path), nullptr, format, RowLayout::panels);
    return b.view[leaf_number<P>(path)].panel_row;
  };
  CHECK(bind(Layer{}, "model.layers.#.mlp.gate_proj.weight", DType::q8_0) == 896);
  CHECK_THROWS_WITH_AS(bind(Layer{}, "model.layers.#.input_layernorm.weight", DType::f32),
                       "operand model.layers.#.input_layernorm.weight: panels are for formats in blocks, found f32", Error);
  using Rows = in_blocks::Of<q8_0>::Rows;
  static_assert(in_blocks::Of<q8_0>::Row::extent % panel_rows == 0);
  CHECK(bind(Rows{}, "table", DType::q8_0) == 256);
  using Few = in_blocks::Of<q8_0, 256, 40>::ExactF32;
  CHECK_THROWS_WITH_AS(bind(Few{}, "gate", DType::q8_0), "operand gate: panels have 16 rows each, found 40 rows", Error);
}
