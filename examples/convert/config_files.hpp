// config_files: what a model's config says, in the metadata of GGUF and in config.json.
#pragma once
#include <string>

#include <weft/io/gguf_writer.hpp>

#include "model.hpp"

// Throws weft::Error for what GGUF has no key for. `file_type` is llama.cpp's number for the format of most weights.
void add_config(weft::GgufWriter& writer, const Model& model, std::uint32_t file_type);

std::string config_json(const Model& model, weft::DType format);
std::string generation_json(const Model& model);
