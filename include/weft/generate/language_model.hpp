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
  virtual std::string device() const { return {}; }  // on which it runs, with its memory; empty: the CPU
  virtual int threads() const = 0;                   // of the CPU
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
  bool runs_on_host = true;           // else its weights are copied to a device, so how they lie here does not matter
  void (*check_machine)() = nullptr;  // throws Error where this machine lacks what the model runs on; nullptr: it never does
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

// What is known of a model type whatever runs it: all but how it is made.
template <class Model, class Format> CompiledModel facts_of_model() {
  constexpr bool has_qkv_bias = Model::parameters().find("model.layers.#.self_attn.q_proj.bias") >= 0;
  CompiledModel model;
  model.name = Model::name.text;
  model.dims = Model::dims;
  model.has_qkv_bias = has_qkv_bias;
  model.format = Format::formats.matrix;
  model.cache = Format::formats.cache;
  model.size = [](const DecoderDims& dims) { return Model::template size<Format>(dims); };
  model.parameters = [](const DecoderDims& dims) { return Model::template parameters<Format>(dims); };
  model.embedding = Model::embedding_path.text;
  model.head = Model::head_path.text;
  return model;
}

// How keys and values are kept beside matrices of a format if nobody asks for something else (see Stored in plan/record.hpp).
constexpr DType usual_cache(DType format) { return is_block(format) ? DType::bf16 : format; }

// how CMake names the run-time type of a model with experts (cmake/WeftModels.cmake)
inline std::string experts_entry(const DecoderDims& dims) {
  return std::to_string(dims.head_dim) + ":" + std::to_string(dims.experts) + ":" + std::to_string(dims.chosen);
}

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
  std::set<std::string> experts, entries = {experts_entry(dims)};
  for (const auto& model : compiled) {
    if (!model.is_static() && model.dims.experts > 0) entries.insert(experts_entry(model.dims));
    if (model.format != format || (config.qkv_bias && !model.has_qkv_bias)) continue;
    const bool has_experts = model.dims.experts == dims.experts && model.dims.chosen == dims.chosen;
    if (!model.is_static() && model.dims.experts > 0)
      experts.insert("head_dim " + std::to_string(model.dims.head_dim) + " with " + std::to_string(model.dims.chosen) + " of " +
                     std::to_string(model.dims.experts) + " experts");
    if (!has_experts) continue;
    const bool is_exact = model.dims == dims, fits = is_exact || (!model.is_static() && model.dims.head_dim == dims.head_dim);
    if (!model.is_static()) head_dims.insert(model.dims.head_dim);
    if (fits) caches.insert(model.cache);
    if (!fits || model.cache != wanted) continue;
    if (is_exact) return model;
    if (!open || open->has_qkv_bias != config.qkv_bias) open = &model;
  }
  if (open) return *open;
  const auto joined = [](const auto& values, auto text_of, const char* separator = ", ") {
    std::string text;
    for (const auto& value : values) text += (text.empty() ? "" : separator) + std::string(text_of(value));
    return text.empty() ? std::string("none") : text;
  };
  const auto as_it_is = [](const std::string& text) { return text; };
  const std::string weights = format == DType::any_block ? "block formats" : name_of(format);
  if (!caches.empty())
    throw Error(std::string("keys and values in ") + name_of(wanted) + " beside weights in " + weights +
                ": expected one of those that are compiled in: " + joined(caches, [](DType type) { return name_of(type); }));
  const bool on_host = compiled.empty() || compiled.front().runs_on_host;
  const std::string to_compile =
      on_host ? "\"-DWEFT_EXPERTS=" + joined(entries, as_it_is, ";") + "\""
              : "-DWEFT_CUDA=ON \"-DWEFT_CUDA_MODELS=" + experts_entry(dims) + ":" + (is_block(format) ? "blocks" : name_of(format)) + "\"";
  if (config.experts)
    throw Error("config.json: head_dim is " + std::to_string(dims.head_dim) + ", num_experts " + std::to_string(dims.experts) +
                ", num_experts_per_tok " + std::to_string(dims.chosen) + ", and no model type for them is compiled in; in " + weights +
                " there is " + joined(experts, as_it_is) +
                ". To compile it, with BUILD for the directory where this program was built: cmake " + to_compile +
                " BUILD && cmake --build BUILD" + (on_host ? "; examples/run does so by itself" : ""));
  throw Error("config.json: head_dim is " + std::to_string(dims.head_dim) + ", and no model type for it is compiled in; for " +
              config.model_type + " in " + weights + " there is head_dim " + joined(head_dims, [](long n) { return std::to_string(n); }));
}

// Throws Error for a config that does not fit the type, for a machine that cannot run it, and as Weights::load does. `threads`: 0 takes as many as
// the machine has. `blocks`: to what a model in any_block quantises matrices that are stored one by one.
inline std::unique_ptr<LanguageModel> load_model(const CompiledModel& type, const ModelConfig& config, TensorSource source, int threads = 0,
                                                 const LoadProgress& progress = {}, DType blocks = DType::any_block) {
  check_dims(type.name, type.dims, config);
  if (type.check_machine) type.check_machine();
  LoadSettings settings = {.blocks = blocks, .threads = threads, .panels = type.runs_on_host};
  if (!type.runs_on_host) settings.huge_pages = HugePages::never;
  if (!config.qkv_bias)
    for (const char* projection : {"q_proj", "k_proj", "v_proj"})
      settings.zeros.push_back(std::string("model.layers.#.self_attn.") + projection + ".bias");
  auto weights =
      Weights::load(std::move(source), type.parameters(dims_of(config)), {type.embedding, type.head, config.tied}, progress, settings);
  return type.make(config, std::move(weights), threads);
}

}  // namespace weft
