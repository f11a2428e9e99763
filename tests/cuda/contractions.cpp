// Contractions on the device give what double precision gives: few rows and many, ragged extents, aligned and not, staged or multiplied
// from where the operands lie.
#include "../support/selection_programs.hpp"
#include "check.hpp"
#include "contraction_programs.hpp"

using namespace weft;
using namespace weft::contractions;

template <class P> void check(const Extents& e, double tolerance, std::int32_t first_integer = 0) {
  for (const std::size_t shift : {0, 4}) {
    CAPTURE(shift);
    CHECK(error_on_device<P>(e, first_integer, shift) < tolerance);
  }
}
TEST_CASE("products") {
  for (const long rows : {1, 5, 64, 130})
    for (const long deep : {1, 8, 40, 72, 336}) {
      CAPTURE(rows);
      CAPTURE(deep);
      check<skeletons::Product<float, bf16, bf16>::P>({{"row", rows}, {"deep", deep}, {"wide", 150}}, f32_tolerance);
      check<skeletons::Product<float, f16, f16>::P>({{"row", rows}, {"deep", deep}, {"wide", 37}}, f32_tolerance);
      check<skeletons::Batched>({{"row", rows}, {"deep", deep}, {"wide", 37}, {"batch", 3}}, f32_tolerance);
    }
}
TEST_CASE("tiles of 128 rows") {
  // so many columns that tiles have 128 rows; the results are those of tiles of 64 rows
  using P = skeletons::Product<float, bf16, bf16>::P;
  const auto results = [](long rows) {
    RandomProgram<P> program({{"row", rows}, {"deep", 40}, {"wide", 127 * 128 + 1}}, 7);
    run_on_device(program);
    return read_leaf(program.binding, Compiled<P>::table.record[Compiled<P>::table.statement[0].target].number);
  };
  const auto many = results(66), fewer = results(64);
  CHECK(std::equal(fewer.begin(), fewer.end(), many.begin()));
}
TEST_CASE("projections in bf16") {
  for (const long tokens : {1, 3, 70}) {
    CAPTURE(tokens);
    check<Bf16::Gated>({{"token", tokens}}, bf16_tolerance);
    check<Bf16::Down>({{"token", tokens}}, bf16_tolerance);
    check<Bf16::Projected>({{"token", tokens}, {"key", tokens + 4}}, bf16_tolerance, 3);
  }
}
TEST_CASE("a tile of more than 256 columns") {
  for (const long rows : {1, 70, 130})
    for (const long deep : {8, 100}) {
      CAPTURE(rows);
      CAPTURE(deep);
      check<WideTile<bf16, bf16>::Normed>({{"row", rows}, {"deep", deep}}, f32_tolerance);
    }
}

// Choices are right or wrong: a wrong one is a large error.
template <class P> void check_router() {
  constexpr int router = leaf_number<P>("router"), x = leaf_number<P>("x");
  for (const long tokens : {1, 5, 70}) {
    CAPTURE(tokens);
    CHECK(error_on_device<P>({{"token", tokens}}) < 10 * f32_tolerance);
    RandomProgram<P> program({{"token", tokens}}, 2);
    std::byte* rows = program.memory(router).data();
    const long experts = Compiled<P>::table.leaf[router].extent[0];
    const auto row = program.memory(router).size() / static_cast<std::size_t>(experts);
    for (long e = experts / 4; e < experts; ++e)  // each has the same probability as three others
      std::copy_n(rows + static_cast<std::size_t>(e % (experts / 4)) * row, row, rows + static_cast<std::size_t>(e) * row);
    CHECK(error_on_device(program) < 10 * f32_tolerance);
    std::fill_n(program.memory(x).data(), 4, std::byte{0xff});  // a NaN in the first row, whatever the format
    run_on_device(program);
    const auto* index = program.template data<std::int32_t>("index");
    const long choices = Compiled<P>::table.leaf[leaf_number<P>("index")].extent[1];
    CHECK(std::all_of(index, index + choices, [](std::int32_t i) { return i == -1; }));
    CHECK(std::all_of(index + choices, index + choices * tokens, [](std::int32_t i) { return i >= 0; }));
  }
}
TEST_CASE("routers") {
  check_router<selections::Router60>();
  check_router<selections::Router64>();
}
