// inverse_frequencies: the speeds at which the pairs of a rotary embedding turn. They are computed on the host, because where they are
// rounded decides about the last bits of every angle.
#pragma once
#include <cmath>
#include <cstddef>
#include <span>

namespace weft {

// 1 / theta^(2i/d) for the d/2 pairs i of a head, rounded to f32 after the power and again after the division, as Hugging Face transformers
// and PyTorch do (modeling_rope_utils.py); one rounding less is off by up to 0.06 rad at position 1e6.
inline void inverse_frequencies(double theta, std::span<float> of_pair) {
  const auto pairs = static_cast<double>(of_pair.size());
  for (std::size_t i = 0; i < of_pair.size(); ++i) of_pair[i] = 1.f / static_cast<float>(std::pow(theta, static_cast<double>(i) / pairs));
}

}  // namespace weft
