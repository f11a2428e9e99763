#include "formats.hpp"

#include <charconv>

namespace {

using weft::DType;

constexpr Target targets[] = {
    {"f32", DType::f32, 0},    {"bf16", DType::bf16, 32}, {"f16", DType::f16, 1},   {"q8_0", DType::q8_0, 7},
    {"q6_k", DType::q6_k, 18}, {"q5_k", DType::q5_k, 16}, {"q5_1", DType::q5_1, 9}, {"q5_0", DType::q5_0, 8},
    {"q4_k", DType::q4_k, 14}, {"q4_1", DType::q4_1, 3},  {"q4_0", DType::q4_0, 2}, {"q4_k_m", DType::q4_k, 15, true},
};

// the next best format whose blocks fill the rows
DType fitting(DType format, long columns) {
  if (columns % weft::block_elements(format) == 0) return format;
  switch (format) {
    case DType::q4_k: return fitting(DType::q5_0, columns);
    case DType::q5_k: return fitting(DType::q5_1, columns);
    case DType::q6_k: return fitting(DType::q8_0, columns);
    default: return DType::f16;
  }
}

// the layers to which a mix gives more bits: the first and the last eighth and every third between
bool gets_more_bits(std::string_view name, long layers) {
  constexpr std::string_view before = "model.layers.";
  if (!name.starts_with(before)) return false;
  long layer = 0;
  std::from_chars(name.data() + before.size(), name.data() + name.size(), layer);
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

}  // namespace

const Target* target_named(std::string_view name) {
  for (const auto& target : targets)
    if (target.name == name) return &target;
  return nullptr;
}
std::optional<DType> format_named(std::string_view name) {
  const auto* target = target_named(name);
  return target && !target->is_mix ? std::optional(target->format) : std::nullopt;
}
std::string names_of_targets() {
  std::string names;
  for (const auto& target : targets) names += (names.empty() ? "" : ", ") + std::string(target.name);
  return names;
}

DType format_of(const Parameter& parameter, const weft::ModelConfig& config, const Target& target, std::optional<DType> output_format) {
  if (parameter.is_vector() || is_router(parameter)) return DType::f32;
  const bool is_embedding = parameter.name == "model.embed_tokens.weight", is_head = parameter.name == "lm_head.weight";
  if ((is_embedding || is_head) && output_format) return fitting(*output_format, parameter.columns());
  const bool serves_as_head = is_head || (is_embedding && config.tied);
  const bool matters = target.is_mix && (parameter.name.ends_with("v_proj.weight") || parameter.name.ends_with("down_proj.weight")) &&
                       gets_more_bits(parameter.name, config.layers);
  const bool is_small = weft::is_block(target.format) && target.format != DType::q8_0;
  return fitting(is_small && (serves_as_head || matters) ? DType::q6_k : target.format, parameter.columns());
}
