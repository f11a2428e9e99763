// The formulas of the models against Hugging Face transformers, run by the slow interpreter in double precision: no plan, no kernel.
#include <doctest/doctest.h>

#include "../support/golden.hpp"
#include "../support/interpreter.hpp"

#include <weft/generate/host_place.hpp>
#include <weft/generate/model_session.hpp>
#include <weft/generate/model_dims.hpp>
#include <weft/models/llama.hpp>
#include <weft/models/qwen2.hpp>

using namespace weft;
using weft::test::Golden;

namespace {

struct InterpretingExecutor {
  template <class P> void reserve(const Binding<P>&) {}
  template <class P> void run(Binding<P>& b) {
    const auto leaves = interpret<P>(b);
    for (int l = 0; l < Compiled<P>::table.leaves; ++l) {
      const LeafRecord& leaf = Compiled<P>::table.leaf[l];
      if (leaf.role != Role::output && leaf.role != Role::state) continue;
      for (std::size_t i = 0; i < leaves[static_cast<std::size_t>(l)].size(); ++i)
        static_cast<float*>(b.view[l].data)[i] = static_cast<float>(leaves[static_cast<std::size_t>(l)][i]);
    }
  }
};

template <class Model> double error_of(const char* name, std::size_t prompt) {
  const Golden golden(name);
  using Format = Stored<float>;
  const DecoderDims dims = dims_of(golden.config);
  const auto weights = Weights::load(Checkpoint::open(golden.directory), Model::template parameters<Format>(dims),
                                     {Model::embedding_path.text, Model::head_path.text, golden.config.tied});
  InterpretingExecutor executor;
  using Place = HostPlace<InterpretingExecutor>;
  ModelSession<Model, Format, Place> session(golden.config, dims, weights, Place(executor, weights),
                                             {.context = static_cast<long>(prompt), .chunk = 5});
  std::vector<float> logits(prompt * static_cast<std::size_t>(dims.vocab));
  session.forward(std::span(golden.prompt).first(prompt), logits);
  return weft::test::relative_error(logits, std::span(golden.logits).first(logits.size()));
}

}  // namespace

TEST_CASE("the formulas of Qwen2 and Llama give the logits of transformers") {
  CHECK(error_of<Qwen2Runtime<64>>("group7_bf16", 7) < 1e-6);
  CHECK(error_of<Qwen2Runtime<64>>("group8_window", 12) < 1e-6);
  CHECK(error_of<Qwen2Runtime<128>>("group5_head128_bf16", 6) < 1e-6);
  CHECK(error_of<LlamaRuntime<64>>("llama", 7) < 1e-6);
}
