#include "model.hpp"

#include <algorithm>
#include <iostream>
#include <unordered_map>
#include <unordered_set>

#include <weft/core/quantize.hpp>
#include <weft/generate/model_dims.hpp>
#include <weft/io/gguf_names.hpp>
#include <weft/models/parameters.hpp>

std::string name_of_part(const Parameter& parameter, long part) { return weft::checkpoint_name(parameter.name, part); }
bool is_router(const Parameter& parameter) { return parameter.name.ends_with(".mlp.gate.weight"); }

bool has_experts(const weft::ModelConfig& c, long layer) { return c.experts && weft::dims_of(c).kinds.of(layer) == 0; }

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
    const auto mlp = [&](const std::string& name, std::uint64_t width) {
      linear((name + ".gate_proj").c_str(), width, hidden, false);
      linear((name + ".up_proj").c_str(), width, hidden, false);
      linear((name + ".down_proj").c_str(), hidden, width, false);
    };
    if (!has_experts(c, l)) {
      mlp("mlp", inner);
      continue;
    }
    const auto experts = size(c.experts->experts), width = size(c.experts->intermediate);
    linear("mlp.gate", experts, hidden, false);
    all.push_back({layer + "mlp.experts.#.gate_proj.weight", {experts, width, hidden}});
    all.push_back({layer + "mlp.experts.#.up_proj.weight", {experts, width, hidden}});
    all.push_back({layer + "mlp.experts.#.down_proj.weight", {experts, hidden, width}});
    mlp("mlp.shared_expert", size(c.experts->shared_intermediate));
    linear("mlp.shared_expert_gate", 1, hidden, false);
  }
  all.push_back({"model.norm.weight", {hidden}});
  if (has_head) all.push_back({"lm_head.weight", {vocab, hidden}});
  return all;
}

namespace {

using weft::StoredTensor;

const StoredTensor& find(const weft::TensorSource& source, const std::string& name, std::vector<std::uint64_t> shape) {
  const std::string place = source.path().string() + ": tensor \"" + name + "\": expected " + weft::shape_text(shape);
  const auto* tensor = source.find(name);
  if (!tensor) throw weft::Error(place + ", but it is missing");
  if (shape.size() == 2 && shape[0] == 1 && tensor->shape.size() == 1) shape.erase(shape.begin());  // GGUF keeps vectors as what they are
  if (tensor->shape != shape) throw weft::Error(place + ", found " + weft::shape_text(tensor->shape));
  if (!tensor->format || *tensor->format == weft::DType::i32)
    throw weft::Error(place + " in a floating-point format, found " + std::string(tensor->type));
  return *tensor;
}

// Where a parameter is: in one tensor, or that of each expert in one of its own.
std::vector<const StoredTensor*> find_all(const weft::TensorSource& source, const Parameter& parameter) {
  if (parameter.shape.size() < 3 || source.find(parameter.name)) return {&find(source, parameter.name, parameter.shape)};
  std::vector<const StoredTensor*> parts;
  for (long part = 0; part < parameter.parts(); ++part)
    parts.push_back(&find(source, name_of_part(parameter, part), {parameter.shape[1], parameter.shape[2]}));
  return parts;
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
  std::unordered_map<std::string, std::vector<const StoredTensor*>> tensors;
  std::unordered_set<std::string> known;
  for (const auto& parameter : model.parameters) {
    const auto& found = tensors.emplace(parameter.name, find_all(source, parameter)).first->second;
    for (const auto* tensor : found) {
      known.insert(tensor->name);
      if (parameter.is_vector() || is_router(parameter)) continue;  // GGUF keeps these in f32 whatever the rest is in
      is_bf16 &= tensor->format == weft::DType::bf16;
      is_f16 &= tensor->format == weft::DType::f16;
    }
  }
  if (is_bf16) model.format = weft::DType::bf16;
  if (is_f16) model.format = weft::DType::f16;
  for (const auto& tensor : source.tensors())
    if (!known.contains(tensor->name) && !(tensor->name == "lm_head.weight" && !has_head))
      std::cerr << "convert: warning: tensor \"" << tensor->name << "\" is left out: the model has no such parameter\n";
  struct Row {
    weft::DType format;
    const std::byte* bytes;
  };
  const auto row_of = [tensors = std::move(tensors)](const Parameter& parameter, long row) -> Row {
    const auto& parts = tensors.at(parameter.name);
    const long rows = parameter.rows() / static_cast<long>(parts.size());
    const StoredTensor& tensor = *parts[static_cast<std::size_t>(row / rows)];
    const long in_file = weft::RowOrder{tensor.interleaved}.row_in_file(row % rows);
    return {*tensor.format, tensor.data.data() + in_file * weft::bytes_for(*tensor.format, parameter.columns())};
  };
  model.read_row = [row_of](const Parameter& parameter, long row, float* to) {
    const Row found = row_of(parameter, row);
    weft::dequantize_row(found.format, found.bytes, parameter.columns(), to);
  };
  model.stored_row = [row_of](const Parameter& parameter, long row, weft::DType format) {
    const Row found = row_of(parameter, row);
    return found.format == format ? found.bytes : nullptr;
  };
  return model;
}
