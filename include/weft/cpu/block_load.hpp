// block_load: elements of quantised rows as packets of floats. For maps that read a few of them (the rows of an embedding); contractions expand
// whole blocks.
#pragma once
#include <weft/core/quantize.hpp>
#include <weft/cpu/simd.hpp>

namespace weft::cpu {

// elements [first, first + n) of a row of blocks, n <= lanes; the other lanes are 0
template <BlockFormat Block> Packet load_block(const Block* row, long first, long n) {
  constexpr long size = block_elements(dtype_of<Block>);
  float picked[Packet::lanes] = {};
  float whole[size];
  for (long done = 0; done < n;) {
    const long block = (first + done) / size, from = (first + done) % size, count = n - done < size - from ? n - done : size - from;
    dequantize(row[block], whole);
    for (long i = 0; i < count; ++i) picked[done + i] = whole[from + i];
    done += count;
  }
  return load(picked);
}

}  // namespace weft::cpu
