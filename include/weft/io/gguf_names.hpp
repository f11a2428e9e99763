// gguf_names: what llama.cpp calls the parameters of a decoder, and the order in which it keeps their rows.
#pragma once
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace weft {

namespace detail {

// a * stands for the number of a layer
struct ParameterNames {
  std::string_view hugging_face, gguf;
};
inline constexpr ParameterNames parameter_names[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
    {"model.layers.*.input_layernorm.weight", "blk.*.attn_norm.weight"},
    {"model.layers.*.self_attn.q_proj.weight", "blk.*.attn_q.weight"},
    {"model.layers.*.self_attn.q_proj.bias", "blk.*.attn_q.bias"},
    {"model.layers.*.self_attn.k_proj.weight", "blk.*.attn_k.weight"},
    {"model.layers.*.self_attn.k_proj.bias", "blk.*.attn_k.bias"},
    {"model.layers.*.self_attn.v_proj.weight", "blk.*.attn_v.weight"},
    {"model.layers.*.self_attn.v_proj.bias", "blk.*.attn_v.bias"},
    {"model.layers.*.self_attn.o_proj.weight", "blk.*.attn_output.weight"},
    {"model.layers.*.self_attn.o_proj.bias", "blk.*.attn_output.bias"},
    {"model.layers.*.post_attention_layernorm.weight", "blk.*.ffn_norm.weight"},
    {"model.layers.*.mlp.gate_proj.weight", "blk.*.ffn_gate.weight"},
    {"model.layers.*.mlp.up_proj.weight", "blk.*.ffn_up.weight"},
    {"model.layers.*.mlp.down_proj.weight", "blk.*.ffn_down.weight"},
    // the experts of a layer in one tensor; # stands where others have the number of an expert
    {"model.layers.*.mlp.gate.weight", "blk.*.ffn_gate_inp.weight"},
    {"model.layers.*.mlp.experts.#.gate_proj.weight", "blk.*.ffn_gate_exps.weight"},
    {"model.layers.*.mlp.experts.#.up_proj.weight", "blk.*.ffn_up_exps.weight"},
    {"model.layers.*.mlp.experts.#.down_proj.weight", "blk.*.ffn_down_exps.weight"},
    {"model.layers.*.mlp.shared_expert_gate.weight", "blk.*.ffn_gate_inp_shexp.weight"},
    {"model.layers.*.mlp.shared_expert.gate_proj.weight", "blk.*.ffn_gate_shexp.weight"},
    {"model.layers.*.mlp.shared_expert.up_proj.weight", "blk.*.ffn_up_shexp.weight"},
    {"model.layers.*.mlp.shared_expert.down_proj.weight", "blk.*.ffn_down_shexp.weight"},
};

// the digits for which the * of `pattern` stands in `name`; empty for a pattern without *; nothing when they do not match
constexpr std::optional<std::string_view> layer_in(std::string_view name, std::string_view pattern) {
  const auto star = pattern.find('*');
  if (star == pattern.npos) return name == pattern ? std::optional(std::string_view()) : std::nullopt;
  const auto before = pattern.substr(0, star), after = pattern.substr(star + 1);
  if (name.size() <= before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after)) return std::nullopt;
  const auto digits = name.substr(before.size(), name.size() - before.size() - after.size());
  return digits.find_first_not_of("0123456789") == digits.npos ? std::optional(digits) : std::nullopt;
}
inline std::optional<std::string> renamed(std::string_view name, std::string_view from, std::string_view to) {
  const auto layer = layer_in(name, from);
  if (!layer) return std::nullopt;
  std::string other(to);
  if (const auto star = other.find('*'); star != other.npos) other.replace(star, 1, *layer);
  return other;
}

}  // namespace detail

// "model.layers.3.mlp.up_proj.weight" -> "blk.3.ffn_up.weight"; nothing for a name that is not in the table
inline std::optional<std::string> gguf_name_of(std::string_view hugging_face) {
  for (const auto& names : detail::parameter_names)
    if (auto found = detail::renamed(hugging_face, names.hugging_face, names.gguf)) return found;
  return std::nullopt;
}
// and back
inline std::optional<std::string> hugging_face_name_of(std::string_view gguf) {
  for (const auto& names : detail::parameter_names)
    if (auto found = detail::renamed(gguf, names.gguf, names.hugging_face)) return found;
  return std::nullopt;
}

// Where a file keeps the rows of a matrix. Files of the architecture "llama" have the rows of each head of q and k in another order: rotary
// embeddings there turn neighbouring rows, here rows half a head apart. A row stays as it is, whatever its format.
struct RowOrder {
  long head_dim = 0;  // 0: the order is the same

  bool is_changed() const { return head_dim != 0; }
  // the row of the file that is row `row` of the model
  long row_in_file(long row) const {
    if (!is_changed()) return row;
    const long in_head = row % head_dim, half = head_dim / 2;
    return row - in_head + 2 * (in_head % half) + in_head / half;
  }
  // and back: the row of the model that is row `row` of the file
  long row_in_model(long row) const {
    if (!is_changed()) return row;
    const long in_head = row % head_dim;
    return row - in_head + in_head % 2 * (head_dim / 2) + in_head / 2;
  }
};

// `name` is Hugging Face's
inline RowOrder gguf_row_order(std::string_view architecture, std::string_view name, long head_dim) {
  const bool is_turned = name.find(".self_attn.q_proj.") != name.npos || name.find(".self_attn.k_proj.") != name.npos;
  return {architecture == "llama" && is_turned ? head_dim : 0};
}

}  // namespace weft
