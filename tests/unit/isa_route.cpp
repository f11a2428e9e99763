// Contractions whose right operands an index picks: what they compute, for few rows and many, however rows fall into groups and tensors into parts,
// on every instruction set.
#include <doctest/doctest.h>
#include <weft/core/panels.hpp>
#include <weft/nn/experts.hpp>

#include "../support/trial.hpp"

using namespace weft;

namespace {

// W: the format of weights. Activations are multiplied in bf16, or as digits where weights are in blocks.
template <class W> struct Routed {
  static constexpr long groups = 24, hidden = 64, inter = 96, choices = 3;
  using Hidden = Axis<"hidden", hidden>;
  using Inter = Axis<"inter", inter>;
  using Expert = Tile<"expert", groups>;
  using Choice = Tile<"choice", choices>;
  static constexpr auto formula() {
    auto x = Input<"x", bf16, Token, Hidden>{};
    auto index = Input<"index", std::int32_t, Token, Choice>{};
    auto made = gated_experts<Expert, Hidden, Inter>(x, index, Input<"gate", W, Expert, Inter, Hidden>{},
                                                     Input<"up", W, Expert, Inter, Hidden>{}, Input<"down", W, Expert, Hidden, Inter>{});
    return x + sum<Choice>(made * Input<"weight", float, Token, Choice>{});
  }
  struct P : decltype(program(assign(Output<"y", float, Token, Hidden>{}, formula()))) {
    using storage = Stored<W>;
  };
  static_assert(kernel_count<P> == 2);
};
using Plain = Routed<bf16>::P;
using Blocks = Routed<any_block>::P;

enum class Rows { anywhere, in_one_group, in_two_groups };
template <class P> class RoutedTrial : public Trial<P> {
 public:
  static constexpr long groups = 24, choices = 3;
  RoutedTrial(long tokens, Rows rows, DType any) : Trial<P>({{"token", tokens}}, static_cast<unsigned>(tokens), 0, 0.3f, any) {
    std::mt19937 random(static_cast<unsigned>(tokens));
    auto* index = this->template data<std::int32_t>("index");
    for (long i = 0; i < tokens * choices; ++i)
      index[i] = static_cast<std::int32_t>(rows == Rows::in_one_group    ? 4
                                           : rows == Rows::in_two_groups ? i % 2 * 6
                                                                         : static_cast<long>(random() % groups));
  }
  std::vector<double> result(int threads) {
    cpu::Executor executor(threads);
    executor.run(this->binding);
    return read_leaf(this->binding, leaf_number<P>("y"));
  }
  // binds the weights as tensors of their own, in panels or not
  void split(RowLayout layout) {
    for (const char* name : {"gate", "up", "down"}) {
      const int l = leaf_number<P>(name);
      const LeafRecord& leaf = Compiled<P>::table.leaf[l];
      const DType format = this->binding.view[l].format;
      const long rows = leaf.extent[1], row = bytes_for(format, leaf.extent[2]);
      std::vector<void*>& table = parts_.emplace_back();
      for (long e = 0; e < groups; ++e) {
        Memory& part = memory_.emplace_back(static_cast<std::size_t>(rows * row));
        const std::byte* from = this->memory(l).data() + e * rows * row;
        std::copy(from, from + rows * row, part.data());
        if (layout == RowLayout::panels)
          with_block(format, [&](auto block) {
            for (long r = 0; r < rows; r += panel_rows)
              Panel<decltype(block)>::interleave(from + r * row, row, leaf.extent[2] / block_elements(format), part.data() + r * row);
          });
        table.push_back(part.data());
      }
      bind_parts(this->binding, l, table.data(), format, layout);
    }
  }

 private:
  std::vector<Memory> memory_;
  std::vector<std::vector<void*>> parts_;
};

// rounding activations to bf16 (or digits) once more or less often: some of them may fall to the other side
template <class P> void check(DType any, double tolerance) {
  cpu::Executor executor(2);
  for (const Rows rows : {Rows::anywhere, Rows::in_one_group, Rows::in_two_groups})
    for (const long tokens : {1, 2, 9, 21, 22, 31, 70}) {
      CAPTURE(tokens);
      CAPTURE(static_cast<int>(rows));
      RoutedTrial<P> t(tokens, rows, any);
      CHECK(t.error(executor) < tolerance);
    }
}
template <class P> void same_bits(DType any, std::initializer_list<RowLayout> layouts) {
  for (const long tokens : {1, 8, 25, 40}) {
    RoutedTrial<P> t(tokens, Rows::anywhere, any);
    const auto once = t.result(1);
    CHECK(t.result(2) == once);
    CHECK(t.result(3) == once);
    for (const RowLayout layout : layouts) {
      RoutedTrial<P> in_parts(tokens, Rows::anywhere, any);
      in_parts.split(layout);
      CHECK(in_parts.result(2) == once);
    }
  }
}

}  // namespace

TEST_CASE("plain weights") {
  check<Plain>(DType::bf16, 2e-3);
  same_bits<Plain>(DType::bf16, {RowLayout::plain});
}
TEST_CASE("weights in blocks") {
  for (const DType format : {DType::q8_0, DType::q4_0}) {
    check<Blocks>(format, 4e-3);
    same_bits<Blocks>(format, {RowLayout::plain, RowLayout::panels});
  }
}
TEST_CASE("indices that name no part") {
  for (const long tokens : {2, 40})
    for (const std::int32_t bad : {-1, 24, 1 << 30}) {
      RoutedTrial<Plain> t(tokens, Rows::anywhere, DType::bf16);
      t.data<std::int32_t>("index")[4] = bad;
      CHECK_THROWS_WITH_AS(t.result(2), doctest::Contains("row 4 asks for part"), Error);
      CHECK_THROWS_WITH_AS(t.result(2), doctest::Contains("along axis expert, which has 24"), Error);
    }
}
TEST_CASE("parts are refused where they cannot be used") {
  RoutedTrial<Plain> t(2, Rows::anywhere, DType::bf16);
  void* parts[24] = {};
  CHECK_THROWS_WITH_AS(bind_parts(t.binding, leaf_number<Plain>("gate"), parts, DType::bf16), doctest::Contains("part 0 is missing"),
                       Error);
  CHECK_THROWS_WITH_AS(bind_parts(t.binding, leaf_number<Plain>("x"), parts, DType::bf16), doctest::Contains("does not only gather"),
                       Error);
}
