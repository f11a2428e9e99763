// Maps and rows on the device give what double precision gives: aligned and not, one row and many, short rows and rows too long for
// registers.
#include "../support/selection_programs.hpp"
#include "check.hpp"
#include "row_programs.hpp"

using namespace weft;
using namespace weft::rows;

template <class P> void check(const Extents& e, double tolerance, std::int32_t first_integer = 0) {
  for (const std::size_t shift : {0, 4}) {
    CAPTURE(shift);
    CHECK(error_on_device<P>(e, first_integer, shift) < tolerance);
  }
}
TEST_CASE("norms") {
  for (const long tokens : {1, 3, 37}) check<Small::RmsNorm>({{"token", tokens}}, f32_tolerance);
  for (const long hidden : {1, 31, 40, 896, 1030, 4096}) {
    CAPTURE(hidden);
    check<Open::RmsNorm>({{"token", 5}, {"hidden", hidden}}, f32_tolerance);
    check<LayerNorm<Open>>({{"token", 2}, {"hidden", hidden}}, f32_tolerance);
  }
  check<Open::RmsNorm>({{"token", 2}, {"hidden", 40000}}, f32_tolerance);  // more than a block keeps
}
TEST_CASE("softmax") {
  check<Softmax<float, bf16, Fixed>>({{"token", 6}}, bf16_tolerance);
  for (const long wide : {1, 63, 64, 1500, 9000}) check<Softmax<f16, float, Wide>>({{"token", 3}, {"wide", wide}}, f32_tolerance);
}
TEST_CASE("rows over several axes, sums alone") {
  for (const long heads : {1, 8, 14}) check<TwoAxes>({{"token", 4}, {"head", heads}}, f32_tolerance);
  for (const long wide : {1, 5, 700, 3000}) check<skeletons::RowSum>({{"row", 9}, {"wide", wide}}, 4 * f32_tolerance);
}
TEST_CASE("maps") {
  for (const long wide : {1, 12, 130}) check<skeletons::Outer>({{"row", 3}, {"batch", 5}, {"wide", wide}}, f32_tolerance);
  check<Embedding<bf16>>({{"token", 5}, {"wide", 9}, {"vocab", 8}}, f16_tolerance, 1);
  CHECK(error_on_device<Embedding<q4_0>>({{"token", 5}, {"wide", 9}, {"vocab", 8}}, 1) < f16_tolerance);
  check<InPlace>({{"token", 5}}, f32_tolerance);
}
TEST_CASE("the largest of a row") {
  using namespace selections;
  for (const long wide : {3, 33, 64, 900}) {
    CAPTURE(wide);
    for (const long slot : {1L, wide / 2, wide}) CHECK(error_on_device<Best<float>>({{"row", 3}, {"wide", wide}, {"slot", slot}}) == 0);
    CHECK(error_on_device<BestOfColumns>({{"row", 5}, {"wide", wide}}) == 0);
    CHECK(error_on_device<ThirdBest>({{"row", 2}, {"wide", wide}}) == 0);
  }
  CHECK(error_on_device<Best<float>>({{"row", 1}, {"wide", 5000}, {"slot", 40}}) == 0);  // more than shared memory holds
  CHECK_THROWS_WITH_AS(error_on_device<ThirdBest>({{"row", 2}, {"wide", 2}}),
                       doctest::Contains("top_k along axis wide: 3 elements are to be selected, found 2"), Error);
}
TEST_CASE("ties and NaN in a row") {
  using namespace selections;
  RandomProgram<ThirdBest> program({{"row", 3}, {"wide", 40}});
  std::vector<float> x(120, 1.f);
  x[44] = 2.f;
  x[83] = std::numeric_limits<float>::quiet_NaN();
  program.set("x", x);
  run_on_device(program);
  const auto* index = program.data<std::int32_t>("index");
  CHECK(index[0] == 2);
  CHECK(index[1] == 1);  // after 4 and 0
  CHECK(index[2] == -1);
}
TEST_CASE("rows that meet are added up") {
  using namespace selections;
  const auto check_met = []<class P>(P, long row, long wide, double tolerance) {
    CAPTURE(row);
    CAPTURE(wide);
    RandomProgram<P> program({{"row", row}, {"wide", wide}});
    auto* index = program.template data<std::int32_t>("index");
    std::mt19937 random(5);
    for (std::size_t i = 0; i < program.memory(leaf_number<P>("index")).size() / 4; ++i)
      index[i] = static_cast<std::int32_t>(random() % static_cast<unsigned long>(row));
    CHECK(error_on_device(program) < tolerance);
  };
  for (const long row : {1, 5, 40}) {
    check_met(Met<float>{}, row, 7, f32_tolerance);
    check_met(Met<float>{}, row, 600, 10 * f32_tolerance);
    check_met(Met<bf16>{}, row, 9, 4 * bf16_tolerance);
    check_met(Counted{}, row, 90, 10 * f32_tolerance);
  }
}
TEST_CASE("a row that is to be added nowhere is one clear error, and the others are added") {
  using namespace selections;
  using P = Met<float>;
  RandomProgram<P> program({{"row", 2}, {"wide", 4}});
  for (const std::int32_t bad : {-1, 2}) {
    const std::int32_t index[] = {0, 1, bad, 1};
    std::copy_n(index, 4, program.data<std::int32_t>("index"));
    const std::string wanted = "operand y: row 2 is to be added at " + std::to_string(bad) + " along axis row, which has 2, kernel 1 of";
    CHECK_THROWS_WITH_AS(run_on_device(program), doctest::Contains(wanted.c_str()), Error);
    CHECK_THROWS_WITH_AS(run_on_device(program), doctest::Contains("y[index, deep] += e * 2"), Error);
  }
}
