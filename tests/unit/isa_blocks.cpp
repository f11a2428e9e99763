// Formulas over weights in blocks run on the CPU, in every format, and give what the interpreter gives in double precision: multiplied
// exactly, in whole numbers, gathered, read by a map; few rows and many; static formats and one that is known only when bound; rows one
// after the other and in panels.
#include <doctest/doctest.h>

#include "../support/quantised_programs.hpp"
#include "../support/trial.hpp"

using namespace weft;

namespace {

constexpr double f32_tolerance = 2e-6;
// Weights are rounded to bf16 for the instruction that multiplies bf16: each by at most 2^-9 of its value, in a sum of random signs.
constexpr double bf16_tolerance = cpu::has_bf16_dot ? 2e-3 : f32_tolerance;
// A value within an f32 rounding error of the middle between two digits may become the other one: a step of 1/127 of the largest of 32,
// once in some thousand values.
constexpr double digit_tolerance = 1e-3;

// the same tensor in panels
template <class P> Memory put_into_panels(Trial<P>& trial, const char* path, long rows, DType format) {
  const int leaf = leaf_number<P>(path);
  const Memory& plain = trial.memory(leaf);
  Memory panels(plain.size());
  const long row_bytes = static_cast<long>(plain.size()) / rows;
  with_block(format, [&](auto block) {
    using Block = decltype(block);
    for (long first = 0; first < rows; first += panel_rows)
      Panel<Block>::interleave(plain.data() + first * row_bytes, row_bytes, row_bytes / static_cast<long>(sizeof(Block)),
                               panels.data() + first * row_bytes);
  });
  bind_dense(trial.binding, leaf, panels.data(), format, RowLayout::panels);
  return panels;
}
template <class P> void check(const char* name, DType format, double tolerance) {
  cpu::Executor executor(2);
  for (const long tokens : {1, 2, 3, 4, 7, 8, 9, 13, 40}) {
    CAPTURE(name);
    CAPTURE(name_of(format));
    CAPTURE(tokens);
    Extents e;
    e["token"] = tokens;
    Trial<P> trial(e, static_cast<unsigned>(tokens), 0, 0.5f, format);
    CHECK(trial.error(executor) < tolerance);
    const int target = Trial<P>::table.record[Trial<P>::table.statement[0].target].number;
    const auto expected = read_leaf(trial.binding, target);
    std::vector<Memory> panels;
    for (const auto& [path, rows] : {std::pair{"gate", 512L}, {"up", 512L}, {"down", 256L}, {"table", 48L}})
      if (leaf_number<P>(path) >= 0) panels.push_back(put_into_panels(trial, path, rows, format));
    executor.run(trial.binding);
    CHECK(read_leaf(trial.binding, target) == expected);
  }
}
template <class W> void check_format(DType format) {
  using F = in_blocks::Of<W>;
  check<typename F::Exact>("exact", format, bf16_tolerance);
  check<typename F::ExactF32>("exact, f32", format, f32_tolerance);
  check<typename F::Whole>("whole", format, digit_tolerance);
  check<typename F::WholeDown>("whole, residual", format, digit_tolerance);
  check<typename F::Rows>("gathered", format, f32_tolerance);
  check<typename F::Scaled>("read by a map", format, f32_tolerance);
}

}  // namespace

TEST_CASE("any block format") {
  for (const DType format : {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k, DType::q6_k})
    check_format<any_block>(format);
}
TEST_CASE("a format in the type") { check_format<q4_0>(DType::q4_0); }

TEST_CASE("a row does not depend on its company, nor results on threads") {
  using P = in_blocks::Of<any_block>::Whole;
  cpu::Executor one(1), three(3);
  for (const DType format : {DType::q4_0, DType::q6_k}) {
    Trial<P> trial({{"token", 30}}, 5, 0, 1.f, format);
    one.run(trial.binding);
    const auto all = read_leaf(trial.binding, leaf_number<P>("z"));
    three.run(trial.binding);
    CHECK(read_leaf(trial.binding, leaf_number<P>("z")) == all);
    for (const long tokens : {12L, 13L, 29L}) {  // many rows, as before
      change_extent(trial.binding, "token", tokens);
      one.run(trial.binding);
      const auto some = read_leaf(trial.binding, leaf_number<P>("z"));
      CHECK(std::equal(some.begin(), some.end(), all.begin()));
    }
  }
}
