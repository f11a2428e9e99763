// Models in f32 against transformers: logits, greedy continuations, prefill in pieces; run-time sizes against sizes in the type.
#include "../support/golden_model.hpp"

#include <weft/generate/compiled_model.hpp>
#include <weft/models/llama.hpp>
#include <weft/models/qwen2.hpp>

using namespace weft;
using namespace weft::test;

namespace {

struct Static
    : Qwen2<Qwen2Dims{
          .hidden = 64, .intermediate = 120, .layers = 3, .heads = 8, .kv_heads = 1, .vocab = 331, .head_dim = 64, .tied = true}> {
  static constexpr Name name = "Static";
};
const auto any_size = compiled_model<Qwen2Runtime<64>, Stored<float>>();
const auto any_llama = compiled_model<LlamaRuntime<64>, Stored<float>>();
const auto closed = compiled_model<Static, Stored<float>>();

}  // namespace

TEST_CASE("Qwen2 in f32") {
  for (const char* name : {"group1_tied_2024", "group6_tied_bf16", "group7_bf16", "group8_window", "layer_types_bf16", "sharded_bf16"})
    check_f32(any_size, name);
}
TEST_CASE("Llama in f32") { check_f32(any_llama, "llama"); }
TEST_CASE("sizes in the type") {
  check_f32(closed, "group8_window");
  check_same_bits(closed, any_size, "group8_window");
}
TEST_CASE("the number of threads changes no bit") {
  check_threads(any_size, "group8_window");
  check_threads(any_size, "group1_tied_2024");
}
