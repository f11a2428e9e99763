// language_model: a model that is loaded and can run, whatever its type: what a program that generates text works with.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "weft/generate/model_dims.hpp"
#include "weft/generate/session.hpp"
#include "weft/generate/weights.hpp"
#include "weft/models/model_size.hpp"

namespace weft {

namespace cpu {
class Recorder;
struct Peaks;
}  // namespace cpu

// Weights and threads. Sessions of one model share both: they take turns, and the model outlives them.
class LanguageModel {
 public:
  explicit LanguageModel(Weights weights) : weights_(std::move(weights)) {}
  LanguageModel(const LanguageModel&) = delete;
  LanguageModel& operator=(const LanguageModel&) = delete;
  virtual ~LanguageModel() = default;

  virtual std::unique_ptr<Session> start(const SessionSettings& settings) = 0;
  virtual int threads() const = 0;
  // From now on `recorder` is told of every run of a program (see Profile in cpu/profile_report.hpp); nullptr ends it.
  virtual void record(cpu::Recorder* recorder) = 0;
  virtual cpu::Peaks measure_peaks() = 0;  // what the machine allows with these threads (cpu/roofline.hpp); takes half a second
  const Weights& weights() const { return weights_; }

 protected:
  const Weights weights_;
};

// A model type in words (see generate/model_text.hpp); nullptr in a program that does not ask for them.
struct ModelText {
  std::string (*describe)(const DecoderDims&) = nullptr;  // its modules and parameters
  std::string (*explain)() = nullptr;                     // its kernels, and why they are what they are
};

// A model type whose kernels are part of the program, and what it can do before weights are there.
struct CompiledModel {
  std::string name;  // of the type, as "Qwen2.5-0.5B"
  DecoderDims dims;  // sizes in the type
  bool has_qkv_bias = false;
  DType format{};  // of matrices: f32, bf16, or any_block
  DType cache{};   // of keys and values
  const char* instruction_set = "";
  ModelSize (*size)(const DecoderDims&) = nullptr;
  ModelText text;
  ParameterTable (*parameters)(const DecoderDims&) = nullptr;
  std::string embedding, head;  // the paths of the two parameters that a config may tie
  // `threads`: 0 takes as many as the machine has
  std::unique_ptr<LanguageModel> (*make)(const ModelConfig&, Weights, int threads) = nullptr;

  bool is_static() const { return dims.is_closed(); }
  std::string type_text() const {
    return name + (is_static() ? ", all sizes in the type"
                               : ", head_dim " + std::to_string(dims.head_dim) + " in the type, other sizes at run time");
  }
};

// How keys and values are kept beside matrices of a format if nobody asks for something else (see Stored in plan/record.hpp).
constexpr DType usual_cache(DType format) { return is_block(format) ? DType::bf16 : format; }

// The type that runs a config with matrices in `format` (f32, bf16 or any_block) and keys and values in `cache`, by default the usual one: a
// type with exactly the config's sizes if there is one, else one that leaves them open. Throws Error that says what is compiled in when there
// is neither, and for what no type computes.
inline const CompiledModel& choose_model(std::span<const CompiledModel> compiled, const ModelConfig& config, DType format,
                                         std::optional<DType> cache = std::nullopt) {
  if (config.yarn) throw Error("config.json: rope_scaling \"yarn\" is not supported; without it the context is that of the pre-training");
  if (config.output_bias)
    throw Error("config.json: field \"attention_bias\": expected false, found true: a bias after attention is not supported");
  const DecoderDims dims = dims_of(config);
  const DType wanted = cache.value_or(usual_cache(format));
  const CompiledModel* open = nullptr;
  std::set<long> head_dims;
  std::set<DType> caches;
  for (const auto& model : compiled) {
    if (model.format != format || model.has_qkv_bias != config.qkv_bias) continue;
    const bool is_exact = model.dims == dims, fits = is_exact || (!model.is_static() && model.dims.head_dim == dims.head_dim);
    if (!model.is_static()) head_dims.insert(model.dims.head_dim);
    if (fits) caches.insert(model.cache);
    if (!fits || model.cache != wanted) continue;
    if (is_exact) return model;
    open = &model;
  }
  if (open) return *open;
  const auto joined = [](const auto& values, auto text_of) {
    std::string text;
    for (const auto value : values) text += (text.empty() ? "" : ", ") + std::string(text_of(value));
    return text.empty() ? std::string("none") : text;
  };
  const std::string weights = format == DType::any_block ? "block formats" : name_of(format);
  if (!caches.empty())
    throw Error(std::string("keys and values in ") + name_of(wanted) + " beside weights in " + weights +
                ": expected one of those that are compiled in: " + joined(caches, [](DType type) { return name_of(type); }));
  throw Error("config.json: head_dim is " + std::to_string(dims.head_dim) + ", and no model type for it is compiled in; for " +
              config.model_type + " in " + weights + " there is head_dim " + joined(head_dims, [](long n) { return std::to_string(n); }));
}

// Throws Error for a config that does not fit the type, and as Weights::load does. `threads`: 0 takes as many as the machine has. `blocks`: to
// what a model in any_block quantises matrices that are stored one by one.
inline std::unique_ptr<LanguageModel> load_model(const CompiledModel& type, const ModelConfig& config, TensorSource source, int threads = 0,
                                                 const LoadProgress& progress = {}, DType blocks = DType::any_block) {
  check_dims(type.name, type.dims, config);
  auto weights = Weights::load(std::move(source), type.parameters(dims_of(config)), {type.embedding, type.head, config.tied}, progress,
                               {blocks, threads});
  return type.make(config, std::move(weights), threads);
}

}  // namespace weft
