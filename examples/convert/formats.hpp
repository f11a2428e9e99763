// formats: which format each parameter gets.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "model.hpp"

// What can be asked for: a format for all matrices, or a mix of several.
struct Target {
  std::string_view name;
  weft::DType format;            // of most matrices
  std::uint32_t gguf_file_type;  // llama.cpp's number for it (general.file_type)
  bool is_mix = false;           // more bits for the matrices that matter most
};
const Target* target_named(std::string_view name);  // nullptr when there is none
std::optional<weft::DType> format_named(std::string_view name);
std::string names_of_targets();

// In a file with formats of its own for each tensor: GGUF, or safetensors with blocks; vectors are in f32 there. The embedding and the head get
// `output_format` if it is given; else the matrix that serves as the head gets q6_k where the target is smaller than q8_0, as in llama.cpp.
weft::DType format_of(const Parameter& parameter, const weft::ModelConfig& config, const Target& target,
                      std::optional<weft::DType> output_format);
