// bytes and FLOPs of kernels, against counts worked out by hand
#include <doctest/doctest.h>

#include "../support/formulas.hpp"
#include <weft/plan/binding.hpp>
#include <weft/plan/cost.hpp>

using namespace weft;

namespace {

using F = formulas::Open<8, bf16>;
constexpr long token = 5, key = 7, hidden = 12, inter = 20, kv_head = 2, group = 3, head_dim = 8, vocab = 40, rank = 4;

template <class P> const long* extents() {
  static Binding<P> b;
  const std::pair<const char*, long> known[] = {{"token", token},
                                                {"key", key},
                                                {"hidden", hidden},
                                                {"inter", inter},
                                                {"kv_head", kv_head},
                                                {"group", group},
                                                {"head", kv_head * group},
                                                {"q_dim", kv_head * group * head_dim},
                                                {"vocab", vocab},
                                                {"rank", rank},
                                                {"kv_dim", kv_head * head_dim}};
  for (const auto& [name, extent] : known) change_extent(b, name, extent);
  return b.extent;
}
template <class P> long flops(int kernel) { return cost_of<P>(kernel).flops.evaluate(extents<P>()); }
template <class P> long bytes_read(int kernel) { return cost_of<P>(kernel).read.evaluate(extents<P>()); }
template <class P> long bytes_written(int kernel) { return cost_of<P>(kernel).written.evaluate(extents<P>()); }

struct Picked : decltype(program(assign(F::y, gather<F::Vocab>(F::w_head, F::at_token)))) {};
struct Halves : decltype(program(assign(Output<"y", float, F::Token, F::KvHead, F::Group, F::Pair>{},
                                        select<F::Half, 1>(split<F::HeadDim, F::Half, F::Pair>(F::q))))) {};

struct Projected
    : decltype(program(assign(Output<"y", float, F::Token, F::Hidden>{}, rename<F::Inter, F::Hidden>(dot<F::Hidden>(F::x, F::w_up))))) {};

}  // namespace

TEST_CASE("a matrix product with a residual") {
  CHECK(flops<F::Down>(0) == 2 * token * inter * hidden + token * hidden);
  CHECK(bytes_read<F::Down>(0) == 4 * token * inter + 2 * inter * hidden + 4 * token * hidden);
  CHECK(bytes_written<F::Down>(0) == 4 * token * hidden);
}
TEST_CASE("a norm reads its row once") {
  // square, sum; / extent, + epsilon, rsqrt; * rsqrt, * gain
  CHECK(flops<F::RmsNorm>(0) == 2 * token * hidden + 3 * token + 2 * token * hidden);
  CHECK(bytes_read<F::RmsNorm>(0) == 4 * token * hidden + 4 * hidden);
}
TEST_CASE("the halves of a rotation read each weight once") {
  const long heads = kv_head * group;
  CHECK(bytes_read<F::Qkv>(0) ==
        4 * token * hidden + 4 * hidden + (heads + 2 * kv_head) * head_dim * (2 * hidden + 4) + 4 * token);  // x, gain, W and b, positions
  CHECK(bytes_written<F::Qkv>(0) == 4 * token * (heads + 2 * kv_head) * head_dim);
}
TEST_CASE("attention, over all keys") {
  const long rows = token * kv_head * group;
  // q.k, scale, choice, max, - max, exp, sum, .v; comparisons are free of heads; a division for each output
  CHECK(flops<F::Attention>(0) == rows * key * (2 * head_dim + 1 + 1 + 1 + 1 + 1 + 1 + 2 * head_dim) + token * key + rows * head_dim);
  CHECK(bytes_read<F::Attention>(0) == 4 * rows * head_dim + 2 * 4 * key * kv_head * head_dim + 4 * token);
}
TEST_CASE("a gather reads the rows it picks, a selected half is half") {
  CHECK(bytes_read<Picked>(0) == 2 * token * hidden + 4 * token);
  CHECK(flops<Picked>(0) == 0);
  CHECK(bytes_read<Halves>(0) == 4 * token * kv_head * group * head_dim / 2);
}
TEST_CASE("axes renamed apart have the extent of their origin") {
  const auto c = cost_of<Projected>(0);
  long extent[max_axes]{};
  for (int a = 0; a < Compiled<Projected>::plan.axes; ++a)
    extent[a] = same_text(Compiled<Projected>::plan.axis[a].record.name, "token") ? 5 : 12;
  CHECK(c.flops.evaluate(extent) == 2 * 5 * 12 * 12);
  CHECK(c.flops.summands == 1);
}
TEST_CASE("the total is the sum of the kernels") {
  long sum = 0;
  for (int k = 0; k < kernel_count<F::Layer>; ++k) sum += flops<F::Layer>(k);
  CHECK(kernel_count<F::Layer> == 5);
  CHECK(total_cost<F::Layer>().flops.evaluate(extents<F::Layer>()) == sum);
}
