#include "random_model.hpp"

#include <cmath>
#include <memory>

#include <weft/generate/model_dims.hpp>
#include <weft/io/config.hpp>
#include <weft/models/llama.hpp>
#include <weft/models/qwen2.hpp>
#include <weft/models/qwen2_moe.hpp>

namespace {

struct Size {
  std::string_view name, model_type;
  weft::DecoderDims dims;
  long max_positions;
};
constexpr Size sizes[] = {
    {"qwen2.5-0.5b", "qwen2", weft::qwen2::b0_5, 32768},
    {"qwen2.5-1.5b", "qwen2", weft::qwen2::b1_5, 32768},
    {"qwen2.5-3b", "qwen2", weft::qwen2::b3, 32768},
    {"qwen2.5-7b", "qwen2", weft::qwen2::b7, 32768},
    {"qwen2.5-14b", "qwen2", weft::qwen2::b14, 32768},
    {"qwen2.5-32b", "qwen2", weft::qwen2::b32, 32768},
    {"qwen2.5-72b", "qwen2", weft::qwen2::b72, 32768},
    {"tinyllama-1.1b", "llama", weft::tiny_llama_1_1b, 2048},
    {"llama2-7b", "llama", weft::llama2_7b, 4096},
    {"qwen1.5-moe-a2.7b", "qwen2_moe", weft::qwen2_moe::a2_7b, 8192},
    {"qwen2-57b-a14b", "qwen2_moe", weft::qwen2_moe::a14b, 131072},
};
const Size* size_named(std::string_view name) {
  for (const auto& size : sizes)
    if (size.name == name) return &size;
  return nullptr;
}

// splitmix64 (Steele, Lea, Flood 2014): neighbouring states give unrelated numbers
std::uint64_t mixed(std::uint64_t state) {
  state += 0x9e3779b97f4a7c15u;
  state = (state ^ state >> 30) * 0xbf58476d1ce4e5b9u;
  state = (state ^ state >> 27) * 0x94d049bb133111ebu;
  return state ^ state >> 31;
}
std::uint64_t hash_of(std::string_view text) {  // FNV-1a
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

// The quantiles of the normal distribution at (i + 1/2) / 65536: 16 random bits make an element, finer than bf16 can tell.
std::vector<float> normal_quantiles(double deviation) {
  constexpr std::size_t n = 65536;
  std::vector<float> quantile(n);
  double x = 0;
  for (std::size_t i = n / 2; i < n; ++i) {
    const double p = (static_cast<double>(i) + 0.5) / n;
    for (int step = 0; step < 50; ++step) {  // Newton's method, from the quantile before, which lies below
      const double error = 0.5 * std::erfc(-x * std::sqrt(0.5)) - p, density = std::exp(-0.5 * x * x) / std::sqrt(2 * std::acos(-1.0));
      x -= error / density;
      if (std::abs(error) < 1e-15) break;
    }
    quantile[i] = static_cast<float>(deviation * x);
    quantile[n - 1 - i] = -quantile[i];
  }
  return quantile;
}

}  // namespace

std::optional<weft::DecoderDims> dims_of_size(std::string_view name) {
  const auto* size = size_named(name);
  return size ? std::optional(size->dims) : std::nullopt;
}
std::string names_of_sizes() {
  std::string names;
  for (const auto& size : sizes) names += (names.empty() ? "" : ", ") + std::string(size.name);
  return names;
}

namespace {

weft::ModelConfig config_of(const Size& size) {
  auto c = weft::qwen2_config_of(size.dims);
  c.max_positions = size.max_positions;
  if (size.model_type == "llama") {
    c.model_type = size.model_type;
    c.rms_norm_eps = 1e-5;
    c.rope_theta = 1e4;
    c.qkv_bias = false;
  }
  c.eos = {size.model_type == "llama" ? static_cast<std::int32_t>(c.vocab - 1) : 151643};
  return c;
}

}  // namespace

bool names_config_file(std::string_view size) { return size.ends_with(".json"); }

Model random_model(const std::string& size, std::optional<long> layers, std::uint64_t seed) {
  Model model;
  model.format = weft::DType::bf16;
  auto& c = model.config;
  if (names_config_file(size)) {
    c = weft::read_model_config(size);
    model.name = "random";
    if (c.eos.empty()) c.eos = {static_cast<std::int32_t>(c.vocab - 1)};
  } else {
    c = config_of(*size_named(size));
    model.name = "random-" + size;
  }
  c.layers = layers.value_or(c.layers);
  c.window.resize(static_cast<std::size_t>(c.layers), c.window.empty() ? 0 : c.window.back());
  c.dtype = "bfloat16";
  model.generation.eos = c.eos;
  model.parameters = parameters_of(c, !c.tied);
  model.read_row = [quantile = std::make_shared<const std::vector<float>>(normal_quantiles(0.02)), seed](const Parameter& parameter,
                                                                                                         long row, float* to) {
    const float mean = parameter.name.ends_with("norm.weight") ? 1.f : 0.f;
    const std::uint64_t stream = mixed(mixed(seed) ^ hash_of(parameter.name)) + mixed(static_cast<std::uint64_t>(row));
    std::uint64_t bits = 0;
    for (long i = 0; i < parameter.columns(); ++i, bits >>= 16) {
      if (i % 4 == 0) bits = mixed(stream + static_cast<std::uint64_t>(i / 4));
      to[i] = weft::to_float(weft::to_bf16(mean + (*quantile)[bits & 0xffff]));
    }
  };
  return model;
}
