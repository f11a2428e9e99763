// random_model: models whose weights are random, of published sizes or those of a config.json: for measurements, which need a model but not its
// knowledge.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include <weft/models/dims.hpp>

#include "model.hpp"

std::optional<weft::DecoderDims> dims_of_size(std::string_view name);
std::string names_of_sizes();

bool names_config_file(std::string_view size);

// size: a name that dims_of_size knows, or the path of a config.json; throws Error where that file says nothing of use.
// Every element is normal with a deviation of 0.02 around 0, around 1 in the gains of norms, and rounded to bf16: so all formats are made
// from the same weights. It depends on the seed, the name of the parameter and its place there, and on nothing else.
Model random_model(const std::string& size, std::optional<long> layers, std::uint64_t seed);
