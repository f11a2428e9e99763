// model: what is converted: the config of a model, the list of its parameters, and their rows as floats, wherever these come from.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <weft/generate/model_files.hpp>

struct Parameter {
  std::string name;                  // as transformers calls it
  std::vector<std::uint64_t> shape;  // [rows, columns], or [rows]

  long rows() const { return static_cast<long>(shape[0]); }
  long columns() const { return shape.size() == 1 ? 1 : static_cast<long>(shape[1]); }
};

struct Model {
  std::string name;
  weft::ModelConfig config;
  weft::GenerationConfig generation;
  weft::DType format = weft::DType::f32;  // the plain format that loses nothing
  std::vector<Parameter> parameters;
  // both may be called by several threads
  std::function<void(const Parameter&, long row, float*)> read_row;
  // the bytes of a row where it is stored in this very format, else nullptr; nothing: no row is stored
  std::function<const std::byte*(const Parameter&, long row, weft::DType)> stored_row;
};

// the parameters that a model of this config has; the head only if it is no other name of the embedding
std::vector<Parameter> parameters_of(const weft::ModelConfig& config, bool has_head);

// `files` must outlive the model. Throws weft::Error for a tensor that is missing or has another shape or type than the config says, and
// reports tensors that the model does not have on standard error.
Model stored_model(const weft::ModelFiles& files);
