// config: reads config.json and generation_config.json, as published with transformers 4 and as transformers 5 writes them.
#pragma once
#include <algorithm>
#include <cmath>

#include <weft/io/json_fields.hpp>
#include <weft/io/model_config.hpp>

namespace weft {

namespace detail {

// What a missing key means, by model_type: the defaults of Qwen2Config, Qwen2MoeConfig and LlamaConfig.
struct ConfigDefaults {
  std::string_view model_type, causal_lm, bare_model;  // and the names in "architectures"
  long hidden, intermediate, layers, heads, vocab, max_positions;
  std::optional<long> kv_heads;  // nothing: as many as heads
  std::optional<std::int32_t> bos, eos;
};
inline constexpr ConfigDefaults known_models[] = {
    {"qwen2", "Qwen2ForCausalLM", "Qwen2Model", 4096, 22016, 32, 32, 151936, 32768, 32, {}, {}},
    {"qwen2_moe", "Qwen2MoeForCausalLM", "Qwen2MoeModel", 2048, 5632, 24, 16, 151936, 32768, 16, {}, {}},
    {"llama", "LlamaForCausalLM", "LlamaModel", 4096, 11008, 32, 32, 32000, 2048, {}, 1, 2},
};
inline constexpr double default_rope_theta = 10000, default_rms_norm_eps = 1e-6;
inline constexpr long default_sliding_window = 4096, default_max_window_layers = 28, most_layers = 65536;

class ConfigReader {
 public:
  ConfigReader(const Json& document, const std::string& file) : fields_(document, file), file_(file), defaults_(find_defaults()) {}

  ModelConfig read() {
    config_.model_type = defaults_.model_type;
    check_architectures();
    refuse_what_weft_lacks();
    config_.dtype = fields_.optional_text("dtype").value_or(fields_.optional_text("torch_dtype").value_or(""));
    read_sizes();
    read_attention();
    read_rope();
    if (config_.model_type == "qwen2_moe") read_experts();
    if (config_.model_type != "llama")
      read_windows();
    else
      config_.window.assign(static_cast<std::size_t>(config_.layers), 0);
    read_ids();
    return std::move(config_);
  }

 private:
  const ConfigDefaults& find_defaults() const {
    const auto type = fields_.optional_text("model_type");
    for (const auto& known : known_models)
      if (type == known.model_type) return known;
    std::string supported;
    for (const auto& known : known_models) supported += (supported.empty() ? "" : ", ") + in_quotes(known.model_type);
    throw Error(fields_.place_of("model_type") + ": expected one of " + supported + ", found " + (type ? in_quotes(*type) : "nothing"));
  }
  void check_architectures() const {
    const Json* list = fields_.find("architectures");
    if (!list) return;
    const std::string expected = "[" + in_quotes(defaults_.causal_lm) + "] for model_type " + in_quotes(defaults_.model_type);
    if (!list->is_array()) fields_.refuse("architectures", expected, *list);
    // the bare model's checkpoint differs only in the names of its tensors
    for (const auto& name : *list)
      if (name != defaults_.causal_lm && name != defaults_.bare_model) fields_.refuse("architectures", expected, *list);
  }
  void refuse_what_weft_lacks() {
    if (const auto activation = fields_.optional_text("hidden_act"); activation.value_or("silu") != "silu")
      fields_.refuse("hidden_act", "\"silu\"", *fields_.find("hidden_act"));
    // the tensors in blocks of weft's own say themselves what they are (safetensors_blocks.hpp); the entry is for other readers, who shall not
    // take them for bytes
    if (const Json* quantization = fields_.find("quantization_config"); quantization && *quantization != Json{{"quant_method", "weft"}})
      fields_.refuse("quantization_config", R"(none or {"quant_method":"weft"}: other quantised weights are read from GGUF)",
                     *quantization);
    if (config_.model_type == "llama" && fields_.boolean("mlp_bias", false))
      fields_.refuse("mlp_bias", "false: a bias in the MLP is not supported", *fields_.find("mlp_bias"));
    if (fields_.find("dual_chunk_attention_config"))
      config_.warnings.push_back(file_ +
                                 ": \"dual_chunk_attention_config\" is not used; texts longer than the model was trained on may suffer");
  }
  void read_sizes() {
    config_.hidden = fields_.integer("hidden_size", defaults_.hidden);
    config_.intermediate = fields_.integer("intermediate_size", defaults_.intermediate);
    config_.layers = fields_.integer("num_hidden_layers", defaults_.layers, 1, most_layers);
    config_.heads = fields_.integer("num_attention_heads", defaults_.heads);
    config_.vocab = fields_.integer("vocab_size", defaults_.vocab);
    config_.max_positions = fields_.integer("max_position_embeddings", defaults_.max_positions);
    config_.tied = fields_.boolean("tie_word_embeddings", false);
    const Json* eps = fields_.find("rms_norm_eps");
    if (fields_.is_present("rms_norm_eps") && !(eps && eps->is_number_float() && eps->get<double>() >= 0))
      fields_.refuse("rms_norm_eps", "a number with a fraction, not negative", eps ? *eps : Json());
    config_.rms_norm_eps = eps ? eps->get<double>() : default_rms_norm_eps;
  }
  void read_attention() {
    // null: every query head has its own; not there at all: what the architecture's defaults say
    config_.kv_heads = fields_.is_present("num_key_value_heads") ? fields_.optional_integer("num_key_value_heads").value_or(config_.heads)
                                                                 : defaults_.kv_heads.value_or(config_.heads);
    if (config_.heads % config_.kv_heads != 0)
      throw Error(fields_.place_of("num_key_value_heads") + ": expected a divisor of the " + std::to_string(config_.heads) +
                  " heads of num_attention_heads, found " + std::to_string(config_.kv_heads));
    const auto head_dim = fields_.optional_integer("head_dim");
    if (!head_dim && config_.hidden % config_.heads != 0)
      throw Error(fields_.place_of("hidden_size") + ": expected a multiple of num_attention_heads (" + std::to_string(config_.heads) +
                  ") when head_dim is not given, found " + std::to_string(config_.hidden));
    config_.head_dim = head_dim.value_or(config_.hidden / config_.heads);
    if (config_.head_dim % 2 != 0)
      throw Error(fields_.place_of(head_dim ? "head_dim" : "hidden_size") +
                  ": expected an even number of elements per head (rotary embeddings turn pairs), found " +
                  std::to_string(config_.head_dim));
    if (config_.model_type == "qwen2")
      config_.qkv_bias = true;  // in the architecture; no field says so
    else if (config_.model_type == "qwen2_moe")
      config_.qkv_bias = fields_.boolean("qkv_bias", true);
    else
      config_.qkv_bias = config_.output_bias = fields_.boolean("attention_bias", false);
  }

  // transformers 4: top-level rope_theta and rope_scaling. transformers 5: both inside rope_parameters. A rope_scaling that is there wins.
  void read_rope() {
    const char* name = fields_.find("rope_scaling") ? "rope_scaling" : "rope_parameters";
    const Json nothing = Json::object();
    const Json* stated = fields_.find(name);
    const JsonFields rope(stated ? *stated : nothing, fields_.place_of(name));
    for (const auto& [key, value] : rope.object().items())
      if (value.is_object()) rope.refuse(key.c_str(), "one set of parameters for all layers", value);
    config_.rope_theta = rope.number("rope_theta", fields_.number("rope_theta", default_rope_theta));
    if (!(config_.rope_theta > 0))
      throw Error((rope.is_present("rope_theta") ? rope : fields_).place_of("rope_theta") + ": expected a positive number, found " +
                  JsonFields::shown(config_.rope_theta));
    for (const auto* holder : {&fields_, &rope})
      if (holder->optional_number("partial_rotary_factor").value_or(1) != 1)
        holder->refuse("partial_rotary_factor", "1: heads rotated in part are not supported", *holder->find("partial_rotary_factor"));

    const char* key = rope.is_present("rope_type") ? "rope_type" : "type";
    if (rope.is_present(key) && !rope.find(key)) rope.refuse(key, "a string", Json());
    const auto type = rope.optional_text(key).value_or("default");
    if (type == "yarn")
      read_yarn(rope);
    else if (type != "default")
      rope.refuse(key, "\"default\" or \"yarn\"", *rope.find(key));
  }
  // As transformers reads it: a null is a default, but a factor that is not there at all is an error.
  void read_yarn(const JsonFields& rope) {
    Yarn yarn;
    yarn.original_max_positions = rope.optional_integer("original_max_position_embeddings").value_or(config_.max_positions);
    if (!rope.is_present("factor")) throw Error(rope.place_of("factor") + ": YaRN needs it, and it is missing");
    const auto positions = static_cast<double>(config_.max_positions), original = static_cast<double>(yarn.original_max_positions);
    yarn.factor = positive(rope, "factor", positions / original);
    yarn.beta_fast = positive(rope, "beta_fast", yarn.beta_fast);
    yarn.beta_slow = positive(rope, "beta_slow", yarn.beta_slow);
    yarn.truncate = rope.find("truncate") ? rope.boolean("truncate", true) : true;
    const auto temperature = [&](double scale) { return yarn.factor <= 1 ? 1 : 0.1 * scale * std::log(yarn.factor) + 1; };
    const double scale = rope.optional_number("mscale").value_or(0), scale_all = rope.optional_number("mscale_all_dim").value_or(0);
    const double usual = scale != 0 && scale_all != 0 ? temperature(scale) / temperature(scale_all) : temperature(1);
    yarn.attention_factor = positive(rope, "attention_factor", usual);
    if (positions != original && positions != yarn.factor * original)
      config_.warnings.push_back(file_ + ": YaRN: max_position_embeddings is " + std::to_string(config_.max_positions) +
                                 ", which is neither the original length " + std::to_string(yarn.original_max_positions) + " nor " +
                                 JsonFields::shown(yarn.factor) + " times that");
    config_.yarn = yarn;
  }
  static double positive(const JsonFields& fields, const char* name, double fallback) {
    const double value = fields.optional_number(name).value_or(fallback);
    if (!(value > 0)) fields.refuse(name, "a positive number", value);
    return value;
  }

  void read_experts() {
    ExpertsConfig e;
    e.experts = fields_.integer("num_experts", 60, 0);
    e.chosen = fields_.integer("num_experts_per_tok", 4);
    e.intermediate = fields_.integer("moe_intermediate_size", 1408);
    e.shared_intermediate = fields_.integer("shared_expert_intermediate_size", 5632);
    e.normalised = fields_.boolean("norm_topk_prob", false);
    e.step = fields_.integer("decoder_sparse_step", 1);
    const Json* list = fields_.find("mlp_only_layers");  // null: none
    if (list && !list->is_array()) fields_.refuse("mlp_only_layers", "a list of layer numbers", *list);
    if (list)
      for (const auto& layer : *list) {
        if (!layer.is_number_integer() || layer.get<std::int64_t>() < 0)
          fields_.refuse("mlp_only_layers", "a list of layer numbers", *list);
        e.dense_layers.push_back(layer.get<long>());
      }
    if (e.experts == 0) return;
    if (e.chosen > e.experts)
      throw Error(fields_.place_of("num_experts_per_tok") + ": expected at most the " + std::to_string(e.experts) +
                  " experts of num_experts, found " + std::to_string(e.chosen));
    for (const long layer : e.dense_layers)
      if (layer >= config_.layers)
        config_.warnings.push_back(file_ + ": \"mlp_only_layers\" names layer " + std::to_string(layer) + ", but the layers are 0 to " +
                                   std::to_string(config_.layers - 1));
    for (long layer = 0; layer < config_.layers; ++layer)
      if ((layer + 1) % e.step == 0 && std::find(e.dense_layers.begin(), e.dense_layers.end(), layer) == e.dense_layers.end()) {
        config_.experts = std::move(e);
        return;
      }
  }

  // In Qwen2 the first max_window_layers layers see everything and the later ones a window, in Qwen2-MoE every second of the first max_window_layers
  // layers has a window; layer_types, when given, decides instead.
  void read_windows() {
    const bool uses_window = fields_.boolean("use_sliding_window", false);
    const auto stated = fields_.optional_integer("sliding_window", 0);
    const bool is_null = fields_.is_present("sliding_window") && !stated;
    const long size = !uses_window || is_null ? 0 : stated.value_or(default_sliding_window);
    const long first = fields_.integer("max_window_layers", default_max_window_layers, 0);
    const Json* types = fields_.find("layer_types");
    if (types && !types->is_array()) fields_.refuse("layer_types", "a list of strings", *types);
    if (types && types->size() != static_cast<std::size_t>(config_.layers))
      throw Error(fields_.place_of("layer_types") + ": expected " + std::to_string(config_.layers) +
                  " entries (num_hidden_layers), found " + std::to_string(types->size()));
    for (long layer = 0; layer < config_.layers; ++layer) {
      bool slides = uses_window && !is_null && (config_.model_type == "qwen2_moe" ? layer % 2 == 0 && layer < first : layer >= first);
      if (types) {
        const Json& type = (*types)[static_cast<std::size_t>(layer)];
        slides = type == "sliding_attention";
        if (!slides && type != "full_attention") fields_.refuse("layer_types", "only \"full_attention\" and \"sliding_attention\"", type);
      }
      const std::string reason = "for layer " + std::to_string(layer) + ", which has sliding attention";
      if (slides && !uses_window) fields_.refuse("use_sliding_window", "true " + reason, false);
      if (slides && size == 0) fields_.refuse("sliding_window", "at least 1 key " + reason, is_null ? Json() : Json(0));
      config_.window.push_back(slides ? size : 0);
    }
  }
  void read_ids() {
    const auto optional_id = [&](const char* name, std::optional<std::int32_t> fallback) {
      return fields_.is_present(name) ? fields_.optional_id(name) : fallback;
    };
    config_.bos = optional_id("bos_token_id", defaults_.bos);
    config_.pad = optional_id("pad_token_id", std::nullopt);
    config_.eos = fields_.ids("eos_token_id");
    if (!fields_.is_present("eos_token_id") && defaults_.eos) config_.eos = {*defaults_.eos};
  }

  const JsonFields fields_;
  const std::string file_;
  const ConfigDefaults& defaults_;
  ModelConfig config_;
};

}  // namespace detail

// The config of a model; `path` is its directory or the JSON file itself. Missing fields take the defaults of transformers, unknown ones
// are ignored. Throws Error naming file and field, the expected and the found, for a wrong type, for sizes that do not fit, and for what
// weft does not compute. YaRN is read; whether it can be run is for the caller to say.
inline ModelConfig read_model_config(const std::filesystem::path& path) {
  const auto file = std::filesystem::is_directory(path) ? path / "config.json" : path;
  return detail::ConfigReader(read_json(file), file.string()).read();
}

// The defaults of generation: generation_config.json in the model's directory over the token ids of its config. Without the file: greedy.
inline GenerationConfig read_generation_config(const std::filesystem::path& directory, const ModelConfig& model) {
  GenerationConfig generation;
  generation.eos = model.eos;
  generation.bos = model.bos;
  generation.pad = model.pad;
  const auto file = directory / "generation_config.json";
  if (!std::filesystem::exists(file)) return generation;
  const Json document = read_json(file);
  const detail::JsonFields fields(document, file.string());
  if (fields.find("do_sample")) generation.do_sample = fields.boolean("do_sample", false);
  generation.temperature = fields.optional_number("temperature").value_or(generation.temperature);
  generation.top_k = fields.optional_integer("top_k", 0).value_or(generation.top_k);
  generation.top_p = fields.optional_number("top_p").value_or(generation.top_p);
  generation.min_p = fields.optional_number("min_p").value_or(generation.min_p);
  generation.repetition_penalty = fields.optional_number("repetition_penalty").value_or(generation.repetition_penalty);
  generation.max_new_tokens = fields.optional_integer("max_new_tokens");
  if (fields.find("eos_token_id")) generation.eos = fields.ids("eos_token_id");
  if (fields.find("bos_token_id")) generation.bos = fields.optional_id("bos_token_id");
  if (fields.find("pad_token_id")) generation.pad = fields.optional_id("pad_token_id");
  return generation;
}

}  // namespace weft
