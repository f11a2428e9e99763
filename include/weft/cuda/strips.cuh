// strips: runs of weights in blocks on their way into shared memory, as they lie, in pieces of 16 bytes. A run may begin anywhere, so its
// strip holds what lies before it in its first piece, too.
#pragma once
#include <weft/cuda/tile_product.cuh>

namespace weft::cuda {

inline constexpr int piece_bytes = 16;

WEFT_BOTH constexpr int strip_pieces(int bytes) { return (bytes + 2 * (piece_bytes - 1)) / piece_bytes; }
// how many bytes of a strip lie before the run that begins at this address
WEFT_DEVICE int bytes_before(const unsigned char* run) { return static_cast<int>(reinterpret_cast<std::uintptr_t>(run) % piece_bytes); }
// piece number `piece` of the run [run, end), if it has so many
WEFT_DEVICE void copy_piece(unsigned strip, const unsigned char* run, const unsigned char* end, int piece) {
  const unsigned char* from = run - bytes_before(run) + piece * piece_bytes;
  if (from >= end) return;
  const long left = end - from;
  copy_async(strip + static_cast<unsigned>(piece * piece_bytes), from, left < piece_bytes ? static_cast<int>(left) : piece_bytes);
}

}  // namespace weft::cuda
