// Contractions whose right operands an index picks give on the device what double precision gives: few rows and many, however they fall into groups.
#include "check.hpp"
#include "route_programs.hpp"

#include <random>

using namespace weft;
using namespace weft::routes;

namespace {

enum class Rows { anywhere, in_one_group, in_two_groups };
std::vector<float> some_index(long tokens, unsigned groups, Rows rows) {
  std::mt19937 random(5);
  std::vector<float> index(static_cast<std::size_t>(tokens * Choice::extent));
  for (std::size_t i = 0; i < index.size(); ++i)
    index[i] = static_cast<float>(rows == Rows::in_one_group    ? groups / 2
                                  : rows == Rows::in_two_groups ? i % 2 * (groups - 1)
                                                                : random() % groups);
  return index;
}
template <class P> RandomProgram<P> routed(const Extents& extents, Rows rows, DType any = DType::q8_0) {
  RandomProgram<P> program(extents, 7, 0, 0.3f, any);
  program.set("index", some_index(extents.at("token"), static_cast<unsigned>(extents.at("group")), rows));
  return program;
}
template <class P> double error(const Extents& extents, Rows rows, DType any = DType::q8_0, std::size_t shift = 0) {
  auto program = routed<P>(extents, rows, any);
  return error_on_device(program, shift);
}

}  // namespace

// rounding activations to bf16 (or digits) once more or less often: some of them may fall to the other side
TEST_CASE("experts") {
  for (const Rows rows : {Rows::anywhere, Rows::in_one_group, Rows::in_two_groups})
    for (const long tokens : {1, 2, 9, 21, 22, 70}) {
      CAPTURE(tokens);
      CAPTURE(static_cast<int>(rows));
      const Extents e{{"token", tokens}, {"group", tokens == 1 ? 16 : 7}};
      CHECK(error<Experts<bf16>::P>(e, rows) < 2e-3);
      for (const DType format : {DType::q8_0, DType::q4_1}) CHECK(error<Experts<any_block>::P>(e, rows, format) < 4e-3);
    }
}
TEST_CASE("plain operands") {
  for (const long tokens : {1, 5, 90})
    for (const long groups : {1, 4}) {   // of one group, tiles of 128 rows
      for (const long deep : {3, 40}) {  // to be staged, and not
        CAPTURE(tokens);
        CAPTURE(groups);
        CAPTURE(deep);
        const Extents e{{"token", tokens}, {"group", groups}, {"deep", deep}, {"wide", 37}};
        CHECK(error<Plain<float, float>::Normed>(e, Rows::anywhere) < f32_tolerance);
        CHECK(error<Plain<float, bf16>::Summed>(e, Rows::anywhere, DType::q8_0, 4) < f32_tolerance);
      }
    }
}
TEST_CASE("operands of several formats") {
  for (const long tokens : {1, 30}) {
    const Extents e{{"token", tokens}, {"group", 4}, {"deep", 64}, {"wide", 37}};
    CHECK(error<Plain<float, bf16>::Mixed>(e, Rows::in_two_groups) < f32_tolerance);
  }
}
TEST_CASE("a row does not depend on how many there are") {
  using P = Experts<bf16>::P;
  const auto results = [](long tokens) {
    auto program = routed<P>({{"token", tokens}, {"group", 12}}, Rows::anywhere);
    run_on_device(program);
    return read_leaf(program.binding, leaf_number<P>("y"));
  };
  for (const auto& [some, more] : {std::pair{1L, 9L}, {22L, 50L}}) {  // few, many
    const auto few = results(some), many = results(more);
    CHECK(std::equal(few.begin(), few.end(), many.begin()));
  }
}
// the memory of the others was never written, which the emulator reports if it is read
template <class P> void reads_only_groups_with_rows() {
  for (const long tokens : {2, 30}) {
    auto program = routed<P>({{"token", tokens}, {"group", 7}}, Rows::in_two_groups);
    run_on_device(program);
    const auto wanted = read_leaf(program.binding, leaf_number<P>("y"));
    run_with_outer_groups<P>(program.binding);
    CHECK(read_leaf(program.binding, leaf_number<P>("y")) == wanted);
  }
}
TEST_CASE("groups without rows are not read, and a graph needs nothing of the host") {
  reads_only_groups_with_rows<Experts<bf16>::P>();
  reads_only_groups_with_rows<Experts<any_block>::P>();
}
TEST_CASE("indices that name no part") {
  for (const long tokens : {2, 40})
    for (const std::int32_t bad : {-1, 7, 1 << 30}) {
      auto program = routed<Experts<bf16>::P>({{"token", tokens}, {"group", 7}}, Rows::anywhere);
      auto* index = program.data<std::int32_t>("index");
      index[4] = bad;
      const std::string words = "row 4 asks for part " + std::to_string(bad) + " along axis group, which has 7";
      CHECK_THROWS_WITH_AS(run_on_device(program), doctest::Contains(words.c_str()), Error);
      index[4] = 0;
      run_on_device(program);  // it has been told
    }
}
