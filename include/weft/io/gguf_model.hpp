// gguf_model: a GGUF file as a model: its config, its parameters by their names in Hugging Face's checkpoints, and the order of their rows.
#pragma once
#include <charconv>
#include <map>

#include <weft/io/gguf.hpp>
#include <weft/io/gguf_names.hpp>
#include <weft/io/model_config.hpp>

namespace weft {

namespace detail {

class GgufConfigReader {
 public:
  explicit GgufConfigReader(const GgufFile& file) : file_(file) {}

  ModelConfig read() {
    read_architecture();
    read_sizes();
    read_attention();
    read_rope();
    refuse_what_weft_lacks();
    read_tensors();
    read_ids();
    return std::move(config_);
  }

 private:
  static constexpr long largest = std::numeric_limits<std::int32_t>::max(), most_layers = 65536;

  std::string key(std::string_view name) const { return architecture_ + "." + std::string(name); }
  [[noreturn]] void refuse(std::string_view key, const std::string& expected, const std::string& found) const {
    throw Error(file_.place_of(key) + ": expected " + expected + ", found " + found);
  }
  std::optional<long> optional_integer(std::string_view name, long least = 1, long most = largest) const {
    const auto value = file_.find<std::int64_t>(key(name));
    if (value && (*value < least || *value > most))
      refuse(key(name), "an integer from " + std::to_string(least) + " to " + std::to_string(most), std::to_string(*value));
    return value;
  }
  long integer(std::string_view name, long most = largest) const {
    const auto value = optional_integer(name, 1, most);
    if (!value) throw Error(file_.place_of(key(name)) + ": is missing");
    return *value;
  }
  // As its author wrote it: the decimal number with the fewest digits that is this float. Files keep floats, config.json has decimals.
  std::optional<double> optional_number(std::string_view name) const {
    const auto value = file_.find<float>(key(name));
    if (!value) return std::nullopt;
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, *value).ptr;
    double decimal = *value;
    std::from_chars(text, end, decimal);
    return decimal;
  }

  void read_architecture() {
    if (const auto parts = file_.find<std::int64_t>("split.count"); parts.value_or(1) > 1)
      refuse("split.count", "a file in one part (llama-gguf-split --merge joins them)", std::to_string(*parts) + " parts");
    const auto architecture = file_.require<std::string_view>("general.architecture");
    if (architecture != "qwen2" && architecture != "qwen2moe" && architecture != "llama")
      refuse("general.architecture", "\"qwen2\", \"qwen2moe\" or \"llama\"", in_quotes(architecture));
    architecture_ = architecture;
    config_.model_type = architecture == "qwen2moe" ? "qwen2_moe" : architecture;
  }
  void read_sizes() {
    config_.hidden = integer("embedding_length");
    config_.intermediate = integer("feed_forward_length");
    if (architecture_ == "qwen2moe") read_experts();
    config_.layers = integer("block_count", most_layers);
    config_.max_positions = integer("context_length");
    config_.window.assign(static_cast<std::size_t>(config_.layers), 0);
    const auto eps = optional_number("attention.layer_norm_rms_epsilon");
    if (!eps) throw Error(file_.place_of(key("attention.layer_norm_rms_epsilon")) + ": is missing");
    if (!(*eps >= 0 && std::isfinite(*eps)))
      refuse(key("attention.layer_norm_rms_epsilon"), "a number that is not negative", std::to_string(*eps));
    config_.rms_norm_eps = *eps;
  }
  // Weights of the chosen experts are never normalised in this architecture, and all layers have experts.
  void read_experts() {
    ExpertsConfig e;
    e.experts = integer("expert_count");
    e.chosen = integer("expert_used_count");
    if (e.chosen > e.experts)
      refuse(key("expert_used_count"), "at most the " + std::to_string(e.experts) + " experts of expert_count", std::to_string(e.chosen));
    // older files leave these to the shapes of the tensors
    e.intermediate = optional_integer("expert_feed_forward_length").value_or(rows_of("blk.0.ffn_gate_exps.weight", 1));
    e.shared_intermediate = optional_integer("expert_shared_feed_forward_length").value_or(rows_of("blk.0.ffn_gate_shexp.weight", 0));
    config_.experts = e;
  }
  long rows_of(const char* tensor, std::size_t dimension) const {
    const auto* found = file_.tensor(tensor);
    if (!found) throw Error(file_.path().string() + ": tensor " + in_quotes(tensor) + ": is missing");
    if (found->shape.size() <= dimension || found->shape[dimension] == 0 || found->shape[dimension] > static_cast<std::uint64_t>(largest))
      throw Error(place_of(*found) + "expected a matrix, found " + shape_text(found->shape));
    return static_cast<long>(found->shape[dimension]);
  }
  void read_attention() {
    config_.heads = integer("attention.head_count");
    config_.kv_heads = optional_integer("attention.head_count_kv").value_or(config_.heads);
    if (config_.heads % config_.kv_heads != 0)
      refuse(key("attention.head_count_kv"), "a divisor of the " + std::to_string(config_.heads) + " heads of attention.head_count",
             std::to_string(config_.kv_heads));
    const auto head_dim = optional_integer("attention.key_length");
    if (!head_dim && config_.hidden % config_.heads != 0)
      refuse(key("embedding_length"),
             "a multiple of attention.head_count (" + std::to_string(config_.heads) + ") without attention.key_length",
             std::to_string(config_.hidden));
    config_.head_dim = head_dim.value_or(config_.hidden / config_.heads);
    if (config_.head_dim % 2 != 0)
      refuse(key(head_dim ? "attention.key_length" : "embedding_length"),
             "an even number of elements per head (rotary embeddings turn pairs)", std::to_string(config_.head_dim));
    for (const char* name : {"attention.value_length", "rope.dimension_count"})
      if (const auto stated = optional_integer(name); stated.value_or(config_.head_dim) != config_.head_dim)
        refuse(key(name), "the " + std::to_string(config_.head_dim) + " elements of a head", std::to_string(*stated));
  }

  void read_rope() {
    config_.rope_theta = optional_number("rope.freq_base").value_or(10000);
    if (!(config_.rope_theta > 0 && std::isfinite(config_.rope_theta)))
      refuse(key("rope.freq_base"), "a positive number", std::to_string(config_.rope_theta));
    const auto factor = optional_number("rope.scaling.factor");
    if (const auto linear = optional_number("rope.scale_linear"); linear.value_or(1) != 1)
      refuse(key("rope.scale_linear"), "1: linear scaling is not supported", std::to_string(*linear));
    const auto type = file_.find<std::string_view>(key("rope.scaling.type")).value_or(factor.value_or(1) == 1 ? "none" : "linear");
    if (type == "yarn") return read_yarn(factor);
    if (type != "none" && !(type == "linear" && factor.value_or(1) == 1))
      refuse(key("rope.scaling.type"), "\"none\" or \"yarn\"", in_quotes(type));
  }
  void read_yarn(std::optional<double> factor) {
    if (!factor) throw Error(file_.place_of(key("rope.scaling.factor")) + ": YaRN needs it, and it is missing");
    Yarn yarn;
    yarn.factor = positive("rope.scaling.factor", *factor);
    yarn.original_max_positions = optional_integer("rope.scaling.original_context_length").value_or(config_.max_positions);
    yarn.beta_fast = positive("rope.scaling.yarn_beta_fast", yarn.beta_fast);
    yarn.beta_slow = positive("rope.scaling.yarn_beta_slow", yarn.beta_slow);
    yarn.attention_factor = yarn.factor <= 1 ? 1 : 0.1 * std::log(yarn.factor) + 1;
    for (const char* name : {"rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_ext_factor"})
      if (const auto stated = optional_number(name); stated.value_or(1) != 1) refuse(key(name), "1", std::to_string(*stated));
    config_.yarn = yarn;
  }
  double positive(std::string_view name, double fallback) const {
    const double value = optional_number(name).value_or(fallback);
    if (!(value > 0 && std::isfinite(value))) refuse(key(name), "a positive number", std::to_string(value));
    return value;
  }

  void refuse_what_weft_lacks() const {
    std::vector<const char*> counts = {"attention.sliding_window"};
    if (!config_.experts) counts.push_back("expert_count");
    for (const char* name : counts)
      if (const auto stated = optional_integer(name, 0); stated.value_or(0) != 0)
        refuse(key(name), "0: it is not supported", std::to_string(*stated));
    for (const char* name : {"attention.clamp_kqv", "attention.max_alibi_bias", "attention.scale", "logit_scale", "embedding_scale",
                             "residual_scale", "final_logit_softcapping", "attn_logit_softcapping"})
      if (const auto stated = optional_number(name); stated.value_or(0) != 0)
        refuse(key(name), "0: it is not supported", std::to_string(*stated));
    if (!file_.find<bool>(key("attention.causal")).value_or(true)) refuse(key("attention.causal"), "true", "false");
  }

  // Every tensor must be a parameter of the model: what the file has besides, its author's program computes with and weft would not.
  void read_tensors() {
    std::map<std::string, long> biases;  // by kind: how many layers have one
    for (const auto& tensor : file_.tensors()) {
      if (tensor.name == "rope_freqs.weight") {
        check_frequencies(tensor);
        continue;
      }
      const auto name = hugging_face_name_of(tensor.name);
      if (!name || layer_of(tensor.name) >= config_.layers)
        throw Error(place_of(tensor) + "the architecture " + in_quotes(architecture_) + " with " + std::to_string(config_.layers) +
                    " layers has no such parameter");
      if (const auto kind = name->rfind(".self_attn."); kind != name->npos && name->ends_with(".bias")) ++biases[name->substr(kind + 11)];
    }
    const auto* embedding = file_.tensor("token_embd.weight");
    if (!embedding) throw Error(file_.path().string() + ": tensor \"token_embd.weight\": is missing");
    if (embedding->shape.size() != 2 || embedding->shape[0] == 0 || embedding->shape[0] > static_cast<std::uint64_t>(largest) ||
        embedding->shape[1] != static_cast<std::uint64_t>(config_.hidden))
      throw Error(place_of(*embedding) + "expected [vocabulary, " + std::to_string(config_.hidden) + "], found " +
                  shape_text(embedding->shape));
    config_.vocab = static_cast<long>(embedding->shape[0]);
    config_.tied = !file_.tensor("output.weight");
    config_.dtype = name_of(embedding->type);
    read_biases(biases);
  }
  void read_biases(const std::map<std::string, long>& biases) {
    config_.qkv_bias = architecture_ == "qwen2" || biases.contains("q_proj.bias");
    config_.output_bias = config_.model_type == "llama" && biases.contains("o_proj.bias");
    for (const auto& [kind, layers] : biases) {
      const bool is_expected = kind == "o_proj.bias" ? config_.output_bias : config_.qkv_bias;
      if (!is_expected || layers != config_.layers)
        throw Error(file_.path().string() + ": " + std::to_string(layers) + " layers have a " + kind + "; expected " +
                    (is_expected ? "all " + std::to_string(config_.layers) : "none") + " in the architecture " + in_quotes(architecture_));
    }
  }
  // Frequencies that differ from layer to layer of a length are divided by these (Llama 3.1); all ones change nothing.
  void check_frequencies(const GgufTensor& tensor) const {
    if (tensor.type != DType::f32) throw Error(place_of(tensor) + "expected f32, found " + name_of(tensor.type));
    for (std::size_t at = 0; at < tensor.data.size(); at += sizeof(float)) {
      float divisor;
      std::memcpy(&divisor, tensor.data.data() + at, sizeof divisor);
      if (divisor != 1)
        throw Error(place_of(tensor) + "expected ones: rotary frequencies of their own are not supported, found " +
                    std::to_string(divisor));
    }
  }
  static long layer_of(std::string_view name) {
    long layer = 0;
    if (name.starts_with("blk.")) {
      const auto digits = name.substr(4, name.find('.', 4) - 4);
      if (std::from_chars(digits.data(), digits.data() + digits.size(), layer).ec != std::errc()) return largest;
    }
    return layer;
  }
  std::string place_of(const GgufTensor& tensor) const { return file_.path().string() + ": tensor " + in_quotes(tensor.name) + ": "; }

  void read_ids() {
    config_.bos = optional_id("tokenizer.ggml.bos_token_id");
    config_.pad = optional_id("tokenizer.ggml.padding_token_id");
    for (const char* name : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
      if (const auto id = optional_id(name)) add_eos(*id);
    // The file has room for one end of a text. Qwen's chats end with another token than its documents, and either may come.
    constexpr std::int32_t end_of_document = 151643;
    const auto tokens =
        file_.find<std::span<const std::string_view>>("tokenizer.ggml.tokens").value_or(std::span<const std::string_view>());
    if (architecture_ != "llama" && tokens.size() > end_of_document && tokens[end_of_document] == "<|endoftext|>") add_eos(end_of_document);
  }
  void add_eos(std::int32_t id) {
    if (std::find(config_.eos.begin(), config_.eos.end(), id) == config_.eos.end()) config_.eos.push_back(id);
  }
  std::optional<std::int32_t> optional_id(std::string_view key) const {
    const auto id = file_.find<std::int64_t>(key);
    if (!id || *id == -1 || *id == std::numeric_limits<std::uint32_t>::max()) return std::nullopt;  // how files say that there is none
    if (*id < 0 || *id >= config_.vocab)
      refuse(key, "a token id below the " + std::to_string(config_.vocab) + " rows of token_embd.weight", std::to_string(*id));
    return static_cast<std::int32_t>(*id);
  }

  const GgufFile& file_;
  std::string architecture_;
  ModelConfig config_;
};

}  // namespace detail

// Throws Error naming the file and the key or tensor for what is missing, does not fit, or is not what weft computes: other architectures
// than qwen2, qwen2moe and llama, sliding windows, scaled rotary frequencies other than YaRN (whether that can be run is for the caller to
// say), and tensors that the architecture does not have.
class GgufModel {
 public:
  static GgufModel open(const std::filesystem::path& path) { return GgufModel(GgufFile::open(path)); }
  explicit GgufModel(GgufFile file) : file_(std::move(file)), config_(detail::GgufConfigReader(file_).read()) {}

  const GgufFile& file() const { return file_; }
  const ModelConfig& config() const { return config_; }
  // The file says nothing about sampling: greedy, with the ids of the config.
  GenerationConfig generation() const {
    GenerationConfig generation;
    generation.eos = config_.eos;
    generation.bos = config_.bos;
    generation.pad = config_.pad;
    return generation;
  }

  // `name` is Hugging Face's: "model.layers.0.self_attn.q_proj.weight". nullptr when the file has no such tensor; a tied head is not there.
  const GgufTensor* find(std::string_view name) const {
    const auto stored = gguf_name_of(name);
    return stored ? file_.tensor(*stored) : nullptr;
  }
  // where the rows of this tensor are; for a bias: its elements
  RowOrder rows(std::string_view name) const { return gguf_row_order(config_.model_type, name, config_.head_dim); }

 private:
  GgufFile file_;
  ModelConfig config_;
};

}  // namespace weft
