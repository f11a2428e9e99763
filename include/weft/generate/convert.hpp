// convert: the elements of a checkpoint's tensor in another format, by all threads of a pool.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "weft/core/quantize.hpp"
#include "weft/cpu/threads.hpp"

namespace weft {

// `n` elements, a whole number of blocks of either format; `to` has room for all. Formats are f32, bf16, f16 and those in blocks. Where the new
// one is narrower, plain ones round to nearest even, those in blocks as core/quantize.hpp says.
inline void convert(DType from_type, const std::byte* from, long n, DType to_type, std::byte* to, cpu::Threads& threads) {
  constexpr long piece = 1 << 16, step = 2048;  // elements of a thread's turn; of what is a row of floats meanwhile
  cpu::Tickets tickets;
  threads.run([&](int) {
    float values[step];
    for (long begin = tickets.next() * piece; begin < n; begin = tickets.next() * piece)
      for (long at = begin, end = std::min(begin + piece, n); at < end; at += step) {
        const long count = std::min(step, end - at);
        const std::byte* source = from + bytes_for(from_type, at);
        std::byte* target = to + bytes_for(to_type, at);
        if (from_type == to_type) {
          std::memcpy(target, source, static_cast<std::size_t>(bytes_for(to_type, count)));
        } else {
          dequantize_row(from_type, source, count, values);
          quantize_row(values, count, to_type, target);
        }
      }
  });
}

}  // namespace weft
