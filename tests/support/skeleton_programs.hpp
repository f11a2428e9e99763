// skeleton_programs: programs that exercise one skeleton each, over axes whose extents are all free.
#pragma once
#include <weft/nn/module.hpp>
#include <weft/plan/plan.hpp>

namespace weft::skeletons {

using Row = Axis<"row">;
using Deep = Axis<"deep">;
using Wide = Axis<"wide">;
using Batch = Axis<"batch">;
using Key = Axis<"key">;
using Column = Tile<"column", 24>;

template <class T, class L, class R> struct Product {
  static constexpr Input<"a", L, Row, Deep> a{};
  static constexpr Input<"b", R, Wide, Deep> b{};
  static constexpr Output<"y", T, Row, Wide> y{};
  struct P : decltype(program(assign(y, dot<Deep>(a, b)))) {};
};
struct RowSum : decltype(program(assign(Output<"y", float, Row>{}, sum<Wide>(Input<"a", float, Row, Wide>{})))) {};
struct RowMax : decltype(program(assign(Output<"y", float, Row>{}, max<Wide>(Input<"a", bf16, Row, Wide>{})))) {};
struct Softmax : decltype(program(assign(Output<"y", float, Row, Wide>{}, softmax<Wide>(Input<"a", f16, Row, Wide>{})))) {};
struct Outer
    : decltype(program(assign(Output<"y", float, Row, Batch, Wide>{}, Input<"a", float, Row, Wide>{} * Input<"b", float, Batch>{}))) {};
struct Batched : decltype(program(assign(Output<"y", float, Row, Batch, Wide>{},
                                         dot<Deep>(Input<"a", float, Row, Batch, Deep>{}, Input<"b", float, Wide, Batch, Deep>{})))) {};
constexpr auto streamed = [] {
  auto s = dot<Deep>(Input<"q", float, Row, Batch, Deep>{}, Input<"k", bf16, Key, Deep>{});
  return dot<Key>(softmax<Key>(s * 0.3_c), Input<"v", f16, Key, Column>{});
};
struct Streamed : decltype(program(assign(Output<"y", float, Row, Batch, Column>{}, streamed()))) {};

}  // namespace weft::skeletons
