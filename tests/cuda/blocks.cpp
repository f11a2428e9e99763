// Weights in blocks of every format on the device give what double precision gives, for few rows and many; digits of q8_0 are multiplied
// exactly. Results are stored in blocks as the host stores them.
#include "check.hpp"
#include "contraction_programs.hpp"

using namespace weft;
using namespace weft::contractions;

namespace {

constexpr DType formats[] = {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k, DType::q6_k};

template <class P> double error_in(DType format, const Extents& e, std::size_t shift = 0) {
  RandomProgram<P> program(e, 7, 0, 0.5f, format);
  return error_on_device(program, shift);
}
template <class P> std::vector<double> results(long rows) {
  RandomProgram<P> program({{"row", rows}, {"deep", 288}, {"wide", 127 * 64 + 1}}, 7, 0, 0.5f, DType::q5_1);
  run_on_device(program);
  return read_leaf(program.binding, leaf_number<P>("y"));
}
template <class P> void check_formats() {
  for (const long rows : {1, 6, 70})
    for (const long deep : {96, 1280})
      for (const DType format : formats) {
        if (deep % block_elements(format) != 0) continue;
        CAPTURE(rows);
        CAPTURE(deep);
        CAPTURE(name_of(format));
        CHECK(error_in<P>(format, {{"row", rows}, {"deep", deep}, {"wide", 41}}) < f32_tolerance);
      }
  // With so many columns that tiles have 128 rows, the results are those of tiles of 64 rows.
  const std::vector<double> many = results<P>(66), fewer = results<P>(64);
  CHECK(std::equal(fewer.begin(), fewer.end(), many.begin()));
}

}  // namespace

TEST_CASE("weights in blocks") { check_formats<InBlocks<any_block>::Exact>(); }
TEST_CASE("weights in blocks times digits") { check_formats<InBlocks<any_block>::Digits>(); }
TEST_CASE("wide tiles of weights in blocks") {
  for (const long rows : {1, 70})
    for (const DType format : {DType::q4_1, DType::q6_k})
      CHECK(error_in<WideTile<float, any_block>::Normed>(format, {{"row", rows}, {"deep", 512}}) < f32_tolerance);
}
TEST_CASE("weights in blocks beside plain ones") {
  for (const long rows : {1, 70})
    CHECK(error_on_device<InBlocks<q5_k>::Mixed>({{"row", rows}, {"deep", 256}, {"wide", 41}}) < f32_tolerance);
}
TEST_CASE("results in blocks") {
  // a sum that is rounded in another order may fall to the neighbouring digit, 1 / 127 of the largest of 32; few do
  for (const long rows : {1, 6, 70}) {
    CAPTURE(rows);
    CHECK(error_on_device<InBlocks<q4_0>::Cached>({{"row", rows}, {"deep", 288}, {"head", 3}, {"key", rows + 3}}, 2) < 1e-3);
    for (const long columns : {32, 416, 2080})
      for (const std::size_t shift : {0, 4})
        CHECK(error_on_device<StoredInBlocks::Both>({{"row", rows}, {"column", columns}}, 0, shift) < 1e-3);
  }
  for (const DType format : formats) CHECK(error_in<StoredInBlocks::Both>(format, {{"row", 2}, {"column", 512}}) < 1e-3);
}
TEST_CASE("what devices refuse") {
  CHECK_THROWS_WITH_AS(error_in<InBlocks<any_block>::Exact>(DType::q5_0, {{"row", 1}, {"deep", 96}, {"wide", 41}}, 4),
                       doctest::Contains("operand b: expected an address that is a multiple of 16 bytes"), Error);
  RandomProgram<InBlocks<any_block>::Digits> panels({{"row", 1}, {"deep", 96}, {"wide", 48}});
  bind_dense(panels.binding, leaf_number<InBlocks<any_block>::Digits>("b"), panels.data<std::byte>("b"), DType::q8_0, RowLayout::panels);
  CHECK_THROWS_WITH_AS(run_on_device(panels), doctest::Contains("operand b: expected rows one after the other, found panels"), Error);
  CHECK_THROWS_WITH_AS(error_on_device<StoredInBlocks::Both>({{"row", 2}, {"column", 40}}), doctest::Contains("q8_0"), Error);
}
