// compiled_model: makes a CompiledModel of a model type. This is where kernels are instantiated: include it in one .cpp file per type and
// format.
#pragma once
#include <memory>

#include "weft/cpu/executor.hpp"
#include "weft/cpu/roofline.hpp"
#include "weft/generate/host_place.hpp"
#include "weft/generate/language_model.hpp"
#include "weft/generate/model_session.hpp"

namespace weft {

template <class Model, class Format> class CpuModel final : public LanguageModel {
 public:
  CpuModel(const ModelConfig& config, Weights weights, int threads)
      : LanguageModel(std::move(weights)), config_(config), dims_(dims_of(config)), executor_(threads) {}

  std::unique_ptr<Session> start(const SessionSettings& settings) override {
    using Place = HostPlace<cpu::Executor>;
    return std::make_unique<ModelSession<Model, Format, Place>>(config_, dims_, weights_, Place(executor_, weights_), settings);
  }
  int threads() const override { return executor_.threads(); }
  void record(cpu::Recorder* recorder) override { executor_.record(recorder); }
  cpu::Peaks measure_peaks() override { return cpu::measure_peaks(executor_.pool()); }

 private:
  const ModelConfig config_;
  const DecoderDims dims_;
  cpu::Executor executor_;
};

template <class Model, class Format> CompiledModel compiled_model() {
  CompiledModel model = facts_of_model<Model, Format>();
  model.instruction_set = name_of(cpu::isa);
  model.make = [](const ModelConfig& config, Weights weights, int threads) -> std::unique_ptr<LanguageModel> {
    return std::make_unique<CpuModel<Model, Format>>(config, std::move(weights), threads);
  };
  return model;
}

// for programs that are asked for a model in words
inline CompiledModel with_text(CompiledModel model, ModelText text) {
  model.text = text;
  return model;
}

}  // namespace weft
