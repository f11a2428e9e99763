#include "model.hpp"

#include <algorithm>
#include <iostream>

#include <weft/core/quantize.hpp>
#include <weft/io/gguf_names.hpp>

std::vector<Parameter> parameters_of(const weft::ModelConfig& c, bool has_head) {
  const auto size = [](long extent) { return static_cast<std::uint64_t>(extent); };
  const auto hidden = size(c.hidden), inner = size(c.intermediate), vocab = size(c.vocab), q = size(c.heads * c.head_dim),
             kv = size(c.kv_heads * c.head_dim);
  std::vector<Parameter> all = {{"model.embed_tokens.weight", {vocab, hidden}}};
  for (long l = 0; l < c.layers; ++l) {
    const std::string layer = "model.layers." + std::to_string(l) + ".";
    const auto linear = [&](const char* name, std::uint64_t rows, std::uint64_t columns, bool has_bias) {
      all.push_back({layer + name + ".weight", {rows, columns}});
      if (has_bias) all.push_back({layer + name + ".bias", {rows}});
    };
    all.push_back({layer + "input_layernorm.weight", {hidden}});
    linear("self_attn.q_proj", q, hidden, c.qkv_bias);
    linear("self_attn.k_proj", kv, hidden, c.qkv_bias);
    linear("self_attn.v_proj", kv, hidden, c.qkv_bias);
    linear("self_attn.o_proj", hidden, q, c.output_bias);
    all.push_back({layer + "post_attention_layernorm.weight", {hidden}});
    linear("mlp.gate_proj", inner, hidden, false);
    linear("mlp.up_proj", inner, hidden, false);
    linear("mlp.down_proj", hidden, inner, false);
  }
  all.push_back({"model.norm.weight", {hidden}});
  if (has_head) all.push_back({"lm_head.weight", {vocab, hidden}});
  return all;
}

namespace {

using weft::StoredTensor;

const StoredTensor& find(const weft::TensorSource& source, const Parameter& parameter) {
  const std::string place = source.path().string() + ": tensor \"" + parameter.name + "\": expected " + weft::shape_text(parameter.shape);
  const auto* tensor = source.find(parameter.name);
  if (!tensor) throw weft::Error(place + ", but it is missing");
  if (tensor->shape != parameter.shape) throw weft::Error(place + ", found " + weft::shape_text(tensor->shape));
  if (!tensor->format || *tensor->format == weft::DType::i32)
    throw weft::Error(place + " in a floating-point format, found " + std::string(tensor->type));
  return *tensor;
}

// A tied head may still be in the file; then it is a copy of the embedding, or it is used as it is.
bool has_head_of_its_own(const weft::TensorSource& source, const weft::ModelConfig& config) {
  const auto *head = source.find("lm_head.weight"), *embedding = source.find("model.embed_tokens.weight");
  if (!config.tied || !head || !embedding) return !config.tied;
  return head->type != embedding->type || !std::ranges::equal(head->data, embedding->data);
}

}  // namespace

Model stored_model(const weft::ModelFiles& files) {
  Model model;
  const auto path = std::filesystem::canonical(files.path());
  model.name = (files.gguf_file() ? path.stem() : path.filename()).string();
  model.config = files.config();
  model.generation = files.generation();
  const auto& source = files.tensors();
  const bool has_head = has_head_of_its_own(source, model.config);
  model.config.tied = !has_head;
  model.parameters = parameters_of(model.config, has_head);
  bool is_bf16 = true, is_f16 = true;
  std::unordered_map<std::string, const StoredTensor*> tensors;
  for (const auto& parameter : model.parameters) {
    const auto& tensor = find(source, parameter);
    tensors.emplace(parameter.name, &tensor);
    if (parameter.shape.size() == 1) continue;  // GGUF keeps vectors in f32 whatever the rest is in
    is_bf16 &= tensor.format == weft::DType::bf16;
    is_f16 &= tensor.format == weft::DType::f16;
  }
  if (is_bf16) model.format = weft::DType::bf16;
  if (is_f16) model.format = weft::DType::f16;
  for (const auto& tensor : source.tensors())
    if (!tensors.contains(tensor->name) && !tensors.contains("model." + tensor->name) && !(tensor->name == "lm_head.weight" && !has_head))
      std::cerr << "convert: warning: tensor \"" << tensor->name << "\" is left out: the model has no such parameter\n";
  const auto bytes_of_row = [](const StoredTensor& tensor, const Parameter& parameter, long row) {
    return tensor.data.data() + weft::RowOrder{tensor.interleaved}.row_in_file(row) * weft::bytes_for(*tensor.format, parameter.columns());
  };
  model.read_row = [tensors, bytes_of_row](const Parameter& parameter, long row, float* to) {
    const auto& tensor = *tensors.at(parameter.name);
    weft::dequantize_row(*tensor.format, bytes_of_row(tensor, parameter, row), parameter.columns(), to);
  };
  model.stored_row = [tensors, bytes_of_row](const Parameter& parameter, long row, weft::DType format) {
    const auto& tensor = *tensors.at(parameter.name);
    return tensor.format == format ? bytes_of_row(tensor, parameter, row) : nullptr;
  };
  return model;
}
