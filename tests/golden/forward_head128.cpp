// Models with heads of 128 elements, in f32 and in bf16.
#include "../support/golden_model.hpp"

#include <weft/generate/compiled_model.hpp>
#include <weft/models/qwen2.hpp>

using namespace weft;
using namespace weft::test;

namespace {

const auto wide = compiled_model<Qwen2Runtime<128>, Stored<float>>();
const auto narrow = compiled_model<Qwen2Runtime<128>, Stored<bf16>>();

}  // namespace

TEST_CASE("f32") {
  check_f32(wide, "group5_head128_bf16");
  check_f32(wide, "group8_head128_f16");
  check_threads(wide, "group8_head128_f16");
}
TEST_CASE("bf16") {
  check_bf16(narrow, "group5_head128_bf16");
  check_threads(narrow, "group5_head128_bf16");
}
