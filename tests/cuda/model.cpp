// A small Qwen2 (groups of 7, head_dim 64, bf16) on the device: its logits are as close to float32 as those of transformers in bf16, and it
// continues a prompt as the CPU does.
#include "../support/golden_model.hpp"

#include <weft/generate/compiled_model.hpp>

#include "model_types.hpp"
#include "on_device.hpp"

using namespace weft;
using namespace weft::test;

namespace {

// runs programs whose tensors lie in the host's memory
struct OnDevice {
  template <class P> void reserve(const Binding<P>&) {}
  template <class P> void run(const Binding<P>& b) {
    std::size_t bytes[Binding<P>::leaves + 1];
    for (int l = 0; l < Binding<P>::leaves; ++l) {
      const LeafRecord& leaf = Compiled<P>::table.leaf[l];
      long n = 1;
      for (int d = 0; d < leaf.axes; ++d) n *= b.extent[leaf.axis[d]];
      bytes[l] = static_cast<std::size_t>(bytes_for(b.view[l].format, n));
    }
    run_on_device<P>(b, bytes);
  }
};

template <class Model, class Format> class DeviceModel final : public LanguageModel {
 public:
  DeviceModel(const ModelConfig& config, Weights weights) : LanguageModel(std::move(weights)), config_(config) {}
  std::unique_ptr<Session> start(const SessionSettings& settings) override {
    return std::make_unique<ModelSession<Model, Format, OnDevice>>(config_, dims_of(config_), weights_, device_, settings);
  }
  int threads() const override { return 1; }
  void record(cpu::Recorder*) override {}
  cpu::Peaks measure_peaks() override { return {}; }

 private:
  const ModelConfig config_;
  OnDevice device_;
};

}  // namespace

TEST_CASE("a model from prompt to text") {
  const CompiledModel on_host = compiled_model<tiny::Group7, Stored<bf16>>();
  CompiledModel on_device = on_host;
  on_device.make = [](const ModelConfig& config, Weights weights, int) -> std::unique_ptr<LanguageModel> {
    return std::make_unique<DeviceModel<tiny::Group7, Stored<bf16>>>(config, std::move(weights));
  };
  Golden golden("group7_bf16");
  golden.greedy.resize(8);
  const auto host = load(on_host, golden), device = load(on_device, golden);
  const auto logits = prompt_logits(*device, golden);
  const double theirs = relative_error(golden.logits_bf16, golden.logits);
  CHECK(relative_error(logits, golden.logits) <= 2 * theirs);
  CHECK(relative_error(prompt_logits(*device, golden, 7), golden.logits) <= 2 * theirs);
  CHECK(greedy_continuation(*device, golden) == greedy_continuation(*host, golden));
}
