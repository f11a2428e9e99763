// selection_programs: routers, whose tile selects the largest; rows that are selected from; rows that meet where they are added up.
#pragma once
#include <weft/nn/module.hpp>
#include <weft/plan/plan.hpp>

namespace weft::selections {

// a norm, a projection, a softmax, the largest and their weights: one kernel
template <class T, long experts, long chosen> struct Router {
  using Token = Axis<"token">;
  using Hidden = Axis<"hidden", 80>;
  using Expert = Tile<"expert", experts>;
  using Choice = Tile<"choice", chosen>;
  static constexpr auto formula() {
    constexpr Input<"x", T, Token, Hidden> x{};
    auto h = cast<T>(x * rsqrt(mean<Hidden>(square(x)) + 1e-6_c) * Input<"gain", T, Hidden>{});
    auto p = softmax<Expert>(dot<Hidden>(h, Input<"router", T, Expert, Hidden>{}));
    auto best = top_k<Expert, Choice>(p);
    return program(assign(Output<"index", std::int32_t, Token, Choice>{}, best.indices),
                   assign(Output<"weight", float, Token, Choice>{}, best.values / sum<Choice>(best.values)));
  }
  struct P : decltype(formula()) {};
  static_assert(kernel_count<P> == 1);
};
using Router60 = Router<bf16, 60, 4>::P;
using Router64 = Router<float, 64, 8>::P;

using Row = Axis<"row">;
using Wide = Axis<"wide">;
using Slot = Axis<"slot">;
using Few = Tile<"few", 3>;
using Deep = Tile<"deep", 24>;

// as many as a dynamic axis says, of values that need a statistic of the row first
template <class T> struct Best : decltype(program(assign(Output<"index", std::int32_t, Row, Slot>{}, [] {
  constexpr Input<"x", T, Row, Wide> x{};
  return top_k<Wide, Slot>(exp(x - max<Wide>(x))).indices;
}()))) {};
// along the outer axis, and stored along it
struct BestOfColumns
    : decltype(program(assign(Output<"index", std::int32_t, Few, Row>{}, top_k<Wide, Few>(Input<"x", float, Wide, Row>{}).indices))) {};
// one of those that are selected
struct ThirdBest : decltype(program(assign(Output<"index", std::int32_t, Row>{},
                                           select<Few, 2>(top_k<Wide, Few>(Input<"x", float, Row, Wide>{}).indices)))) {};

template <class T> struct Met : decltype(program(add_to(at<Row>(Output<"y", T, Row, Deep>{}, Input<"index", std::int32_t, Wide>{}),
                                                        Input<"e", bf16, Wide, Deep>{} * 2_c))) {};
// single elements, of rows over two axes
struct Counted
    : decltype(program(add_to(at<Row>(Output<"y", float, Row>{}, Input<"index", std::int32_t, Wide, Few>{}), Input<"e", float, Few>{}))) {};

}  // namespace weft::selections
