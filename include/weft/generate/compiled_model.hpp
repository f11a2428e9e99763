// compiled_model: makes a CompiledModel of a model type. This is where kernels are instantiated: include it in one .cpp file per type and
// format.
#pragma once
#include <memory>

#include "weft/cpu/executor.hpp"
#include "weft/cpu/roofline.hpp"
#include "weft/generate/language_model.hpp"
#include "weft/generate/model_session.hpp"

namespace weft {

template <class Model, class Format> class CpuModel final : public LanguageModel {
 public:
  CpuModel(const ModelConfig& config, Weights weights, int threads)
      : LanguageModel(std::move(weights)), config_(config), dims_(dims_of(config)), executor_(threads) {}

  std::unique_ptr<Session> start(const SessionSettings& settings) override {
    return std::make_unique<ModelSession<Model, Format, cpu::Executor>>(config_, dims_, weights_, executor_, settings);
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
  constexpr bool has_qkv_bias = Model::parameters().find("model.layers.#.self_attn.q_proj.bias") >= 0;
  CompiledModel model;
  model.name = Model::name.text;
  model.dims = Model::dims;
  model.has_qkv_bias = has_qkv_bias;
  model.format = Format::formats.matrix;
  model.cache = Format::formats.cache;
  model.instruction_set = name_of(cpu::isa);
  model.size = [](const DecoderDims& dims) { return Model::template size<Format>(dims); };
  model.parameters = [](const DecoderDims& dims) { return Model::template parameters<Format>(dims); };
  model.embedding = Model::embedding_path.text;
  model.head = Model::head_path.text;
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
