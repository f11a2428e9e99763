// route_programs: programs of the skeleton route
#pragma once
#include <weft/nn/experts.hpp>
#include <weft/plan/binding.hpp>

namespace weft::routes {

using Token = Axis<"token">;
using Group = Axis<"group">;
using Choice = Tile<"choice", 3>;

// a mixture of experts: gate and up of each choice, rounded; then down, weighted, added up. W: the format of weights; activations are multiplied in
// bf16, or as digits where weights are in blocks
template <class W> struct Experts {
  using Hidden = Axis<"hidden", 64>;
  using Inter = Axis<"inter", 96>;
  static constexpr auto formula() {
    auto x = Input<"x", bf16, Token, Hidden>{};
    auto index = Input<"index", std::int32_t, Token, Choice>{};
    auto made = gated_experts<Group, Hidden, Inter>(x, index, Input<"gate", W, Group, Inter, Hidden>{},
                                                    Input<"up", W, Group, Inter, Hidden>{}, Input<"down", W, Group, Hidden, Inter>{});
    return x + sum<Choice>(made * Input<"weight", float, Token, Choice>{});
  }
  struct P : decltype(program(assign(Output<"y", float, Token, Hidden>{}, formula()))) {
    using storage = Stored<W>;
  };
  static_assert(kernel_count<P> == 2);
};

// multiplied exactly, in f32, of any length
template <class T, class W> struct Plain {
  using Deep = Axis<"deep">;
  using Wide = Axis<"wide">;
  static constexpr Input<"x", T, Token, Deep> x{};
  static constexpr Input<"index", std::int32_t, Token, Choice> index{};
  static constexpr Input<"w", W, Group, Wide, Deep> w{};
  static constexpr Input<"bias", float, Group, Wide> bias{};
  static constexpr auto product(auto e) { return dot<Deep>(e, gather<Group>(w, index)); }
  // a row statistic; an epilogue that reads at the index, too; the choices side by side
  struct Normed : decltype(program(assign(Output<"y", float, Token, Choice, Wide>{},
                                          product(x* rsqrt(mean<Deep>(square(x)) + 1e-6_c)) + gather<Group>(bias, index)))) {};
  // right operands of two formats, expanded first
  static constexpr Input<"blocks", q5_1, Group, Wide, Deep> blocks{};
  struct Mixed
      : decltype(program(assign(Output<"y", float, Token, Choice, Wide>{}, product(x) - dot<Deep>(x, gather<Group>(blocks, index))))) {};
  // the choices added up, each with a left row of its own
  struct Summed : decltype(program(assign(Output<"y", float, Token, Wide>{},
                                          sum<Choice>(product(Input<"each", T, Token, Choice, Deep>{}) + gather<Group>(bias, index))))) {};
};

// Runs an `Experts` program, dense in the host's memory, on the device, as a graph, where of the weights only those of the first group and the last
// one are written; copies y back.
template <class P> void run_with_outer_groups(const Binding<P>& host);

}  // namespace weft::routes
