// model: what is converted: the config of a model, the list of its parameters, and their rows as floats, wherever these come from.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <weft/generate/model_files.hpp>

struct Parameter {
  std::string name;                  // as transformers calls it; # stands for the number of an expert
  std::vector<std::uint64_t> shape;  // [rows, columns], or [rows]; of all experts of a layer: [experts, rows, columns]

  bool is_vector() const { return shape.size() == 1 || shape[0] == 1; }
  long parts() const { return shape.size() == 3 ? static_cast<long>(shape[0]) : 1; }
  long rows() const { return parts() * static_cast<long>(shape[shape.size() == 3 ? 1 : 0]); }  // of all parts
  long columns() const { return shape.size() == 1 ? 1 : static_cast<long>(shape.back()); }
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

// the name of one expert's tensor, or the parameter's where it has one part
std::string name_of_part(const Parameter& parameter, long part);
// the matrix that gives the experts their scores, which files in blocks keep in f32
bool is_router(const Parameter& parameter);
// does a layer have experts, or one MLP?
bool has_experts(const weft::ModelConfig& config, long layer);

// The parameters that a model of this config has; the head only if it is no other name of the embedding. The experts of a layer are one parameter.
std::vector<Parameter> parameters_of(const weft::ModelConfig& config, bool has_head);

// `files` must outlive the model. Throws weft::Error for a tensor that is missing or has another shape or type than the config says, and
// reports tensors that the model does not have on standard error.
Model stored_model(const weft::ModelFiles& files);
