// projections_formulas: a norm per head between the projection and the rotation (as in Qwen3): the tile of the projection holds a head, so
// it stays one kernel.
#pragma once
#include <weft/nn/layers.hpp>
#include <weft/plan/plan.hpp>

namespace weft::unseen::projections {

using Hidden = Axis<"hidden", 48>;
using Head = Axis<"head", 3>;
using HeadDim = Tile<"head_dim", 24>;

constexpr Input<"x", float, Token, Hidden> x{};
constexpr Input<"w", bf16, Axes<Head, HeadDim>, Hidden> w{};
constexpr Input<"gain", float, HeadDim> gain{};
constexpr Output<"y", float, Token, Head, HeadDim> y{};

constexpr auto head_normed = [] {
  auto q = dot<Hidden>(x, w);
  return q * rsqrt(mean<HeadDim>(square(q)) + 1e-6_c) * gain;
};
struct HeadNorm : decltype(program(assign(y, head_normed()))) {};
static_assert(kernel_count<HeadNorm> == 1);

struct HeadNormRope : decltype(program(assign(y, Rope<HeadDim>{}.formula(head_normed(), token_position)))) {};
static_assert(kernel_count<HeadNormRope> == 1);

// a weight that is not a leaf: scaled rows, decoded on the way into the panel
constexpr Input<"scale", float, Head> scale{};
struct ScaledWeight : decltype(program(assign(y, dot<Hidden>(x, w* scale)))) {};
static_assert(kernel_count<ScaledWeight> == 1);

// a weight stored [in, out], as gradients read it
constexpr Input<"wt", bf16, Hidden, Head, HeadDim> transposed{};
struct Transposed : decltype(program(assign(y, dot<Hidden>(x, transposed)))) {};
static_assert(kernel_count<Transposed> == 1);

}  // namespace weft::unseen::projections
