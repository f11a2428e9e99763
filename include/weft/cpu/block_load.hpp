// block_load: elements of quantised rows as packets of floats. For maps that read a few of them (the rows of an embedding); contractions
// expand whole blocks.
#pragma once
#include <weft/core/quantize.hpp>
#include <weft/cpu/simd.hpp>

namespace weft::cpu {
namespace detail {

// elements 32 g ... 32 g + 31 of a block
template <BlockFormat Block> void expand_group(const Block& b, int g, float* x) {
  if constexpr (requires { b.dmin; }) {
    const auto [scale, minimum] = weft::detail::unpack_scale(b.scales, g);
    const float d = to_float(b.d) * static_cast<float>(scale), least = to_float(b.dmin) * static_cast<float>(minimum);
    for (int l = 0; l < 32; ++l) {
      int digit = b.q[g / 2 * 32 + l] >> g % 2 * 4 & 15;
      if constexpr (requires { b.high; }) digit |= (b.high[l] >> g & 1) << 4;
      x[l] = d * static_cast<float>(digit) - least;
    }
  } else if constexpr (std::is_same_v<Block, q6_k>) {
    const float d = to_float(b.d);
    for (int l = 0; l < 32; ++l) {
      const int low = b.low[g / 4 * 64 + g % 2 * 32 + l] >> g % 4 / 2 * 4 & 15, high = b.high[g / 4 * 32 + l] >> g % 4 * 2 & 3;
      x[l] = d * static_cast<float>(b.scales[2 * g + l / 16]) * static_cast<float>((low | high << 4) - 32);
    }
  } else {
    dequantize(b, x);
  }
}

}  // namespace detail

// elements [first, first + n) of a row of blocks, n <= lanes; the other lanes are 0
template <BlockFormat Block> Packet load_block(const Block* row, long first, long n) {
  constexpr long size = block_elements(dtype_of<Block>);
  alignas(64) float picked[Packet::lanes] = {};
  alignas(64) float group[32];
  for (long done = 0; done < n;) {
    const long at = first + done, from = at % 32, count = n - done < 32 - from ? n - done : 32 - from;
    detail::expand_group(row[at / size], static_cast<int>(at % size / 32), group);
    if (count == Packet::lanes) return load(group + from);
    for (long i = 0; i < count; ++i) picked[done + i] = group[from + i];
    done += count;
  }
  return load(picked);
}

}  // namespace weft::cpu
