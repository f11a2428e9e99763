// Models in bf16: as close to float32 as transformers' own bf16; run-time sizes against sizes in the type.
#include "../support/golden_model.hpp"

#include <weft/generate/compiled_model.hpp>
#include <weft/models/qwen2.hpp>

using namespace weft;
using namespace weft::test;

namespace {

struct Static : Qwen2<Qwen2Dims{.hidden = 72, .intermediate = 200, .layers = 3, .heads = 7, .kv_heads = 1, .vocab = 257, .head_dim = 64}> {
  static constexpr Name name = "Static";
};
const auto any_size = compiled_model<Qwen2Runtime<64>, Stored<bf16>>();
const auto closed = compiled_model<Static, Stored<bf16>>();

}  // namespace

TEST_CASE("Qwen2 in bf16") {
  for (const char* name : {"group6_tied_bf16", "group7_bf16", "layer_types_bf16", "sharded_bf16"}) check_bf16(any_size, name);
}
TEST_CASE("sizes in the type") {
  check_bf16(closed, "group7_bf16");
  check_same_bits(closed, any_size, "group7_bf16");
}
TEST_CASE("the number of threads changes no bit") { check_threads(any_size, "group7_bf16"); }
