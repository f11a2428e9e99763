// write_model: a model as a GGUF file or as a directory in the layout of Hugging Face, row by row.
#pragma once
#include <filesystem>
#include <optional>

#include <weft/cpu/threads.hpp>

#include "formats.hpp"
#include "model.hpp"
#include "vocabulary.hpp"

// Both throw weft::Error that names the tensor and the row for weights that the format cannot hold: blocks and f16 want finite ones of at
// most 65504 in magnitude. `vocabulary` may be nothing.
void write_gguf(const std::filesystem::path& path, const Model& model, const Vocabulary* vocabulary, const Target& target,
                std::optional<weft::DType> output_format, weft::cpu::Threads& threads);
// Matrices of a target in blocks are described in the file's metadata (weft/io/safetensors_blocks.hpp).
void write_directory(const std::filesystem::path& path, const Model& model, const Vocabulary* vocabulary, const Target& target,
                     std::optional<weft::DType> output_format, weft::cpu::Threads& threads);
