// micro_amx: the micro-kernel for tile registers (Intel AMX, Sapphire Rapids and newer). Products of bf16 summed in f32, 32 x 32 results in
// a 2 x 2 block of tiles. It has the members that micro_kernel.hpp describes. Tiles says what the registers are: those of the CPU
// (micro_amx_tiles.hpp), or a model of them, with the members
//   Scope                 held by a thread that uses tiles: eight of 16 rows of 64 bytes
//   zero<t>()             tile t = 0
//   load<t>(p, stride)    row i of tile t = 64 bytes at p + i * stride; stride in bytes
//   store<t>(p, stride)
//   dot<c, a, b>()        TDPBF16PS: c[m][n] += sum over the 16 pairs i of a[m][i] . b[i][n]
//
// Panels, for k filled up with zeros to a multiple of 32:
//   left   [k / 32][32 rows][32]      a tile is one kilobyte, and a row comes in cache lines, as activations are made
//   right  [k / 2][32 columns][2]     the order of every bf16 panel; a tile is every other cache line of two kilobytes
// A part of the depth is a part of the panel: from k on, left + left_size(k) and right + right_size(k), where 32 divides k. Sums are then
// continued with `accumulate`, with the same bits as in one go.
//
// The order of a sum, by the definition of the instruction: each 32 values of k make two sums from zero on, of the even and of the odd
// ones, fused and one after the other; their sum is added to what was there. Subnormal numbers count as zero.
//
// What it costs. Four dots of 16 cycles multiply 4 KB of panels. The L2 cache gives some 48 bytes a cycle, so three quarters of the peak
// can be had with both panels there, and less than a third with one in the L3. k_block (values of k) and row_block_bytes (of left panels) are
// made for 2 MB of L2: the left block takes half, the rest is for right panels of about 128 columns and their accumulators. With blocks
// as deep as that, loading and storing accumulators adds 8 KB to the 128 KB of panels that a call multiplies.
//
// Up to 16 rows take one row of tiles. Two chains of dots with a latency of 52 cycles reach 60 % of the peak then; more chains would
// change the order of the sums, and a row would come out differently among many rows.
//
// Why weights of 8 or 4 bits are expanded to bf16 when they are packed, and not multiplied by TDPBUSD. Formats with a scale for each 32
// digits fill only half a tile of 64 digits per dot, which takes the time of a whole one: no more products per cycle than bf16. And after
// each such dot its 256 integers go through memory to vector registers, to be converted, scaled and added: at least 16 times a load, a
// conversion, a multiplication and an fma, more than the 16 cycles of the dot. Expanding is paid once per weight and block of rows,
// and leaves the activations as they are.
#pragma once
#include "simd.hpp"

namespace weft::cpu {

// Memory that is needed soon: a tile fetches it into the L2 cache while it computes, evenly over its steps.
struct Ahead {
  const void* first = nullptr;
  long bytes = 0;
};

template <class Tiles> struct AmxMicroKernel {
  static constexpr int rows = 32, cols = 32, row_step = 16;
  static constexpr int depth = 2, left_depth = 32;  // k values that lie together in a right and a left panel
  static constexpr long k_block = 1024, row_block_bytes = 1 << 20;

  static constexpr long steps(long k) { return (k + left_depth - 1) / left_depth * (left_depth / depth); }
  static constexpr long left_size(long k) { return steps(k) * rows * depth; }  // elements of a panel
  static constexpr long right_size(long k) { return steps(k) * cols * depth; }

  // c[r * ldc + j] = (accumulate ? c : 0) + sum over k of left * right, for r < 16 * row_tiles and all j < cols
  template <int row_tiles>
  [[gnu::noinline]] static void tile_rows(const bf16* left, const bf16* right, long k, float* c, long ldc, bool accumulate, Ahead ahead) {
    constexpr int size = 16, line = 64, left0 = 4, left1 = 5, right0 = 6, right1 = 7;  // tiles 0 ... 3 are the results
    constexpr long right_stride = cols * depth * sizeof(bf16);
    const long c_stride = ldc * static_cast<long>(sizeof(float));
    const auto at = [&](int t) WEFT_FLAT { return c + t / 2 * size * ldc + t % 2 * size; };
    if (accumulate)
      unroll<2 * row_tiles>([&](auto t) WEFT_FLAT { Tiles::template load<t>(at(t), c_stride); });
    else
      unroll<2 * row_tiles>([&](auto t) WEFT_FLAT { Tiles::template zero<t>(); });
    const long n = steps(k) * depth / left_depth, lines_per_step = n > 0 ? (ahead.bytes + n * line - 1) / (n * line) : 0;
    const char *next = static_cast<const char*>(ahead.first), *const end = next + ahead.bytes;
    for (long step = 0; step < n; ++step, left += rows * left_depth, right += cols * left_depth) {
      Tiles::template load<left0>(left, line);
      Tiles::template load<right0>(right, right_stride);
      Tiles::template dot<0, left0, right0>();
      Tiles::template load<right1>(right + size * depth, right_stride);
      Tiles::template dot<1, left0, right1>();
      if constexpr (row_tiles == 2) {
        Tiles::template load<left1>(left + size * left_depth, line);
        Tiles::template dot<2, left1, right0>();
        Tiles::template dot<3, left1, right1>();
      }
      for (long i = 0; i < lines_per_step && next < end; ++i, next += line) __builtin_prefetch(next, 0, 2);
    }
    unroll<2 * row_tiles>([&](auto t) WEFT_FLAT { Tiles::template store<t>(at(t), c_stride); });
  }
  static void tile(const bf16* left, const bf16* right, long k, float* c, long ldc, bool accumulate, Ahead ahead = {}) {
    tile_rows<2>(left, right, k, c, ldc, accumulate, ahead);
  }
  // at least the first n rows, 1 <= n <= rows; c needs room for all rows of the tile
  static void tile(int n, const bf16* left, const bf16* right, long k, float* c, long ldc, bool accumulate, Ahead ahead = {}) {
    if (n <= row_step)
      tile_rows<1>(left, right, k, c, ldc, accumulate, ahead);
    else
      tile_rows<2>(left, right, k, c, ldc, accumulate, ahead);
  }

  // Row r of a left panel: k values side by side.
  template <class T> static void pack_left_row(const T* row, long k, int r, bf16* panel) {
    bf16* piece = panel + r * left_depth;
    for (long first = 0; first < k; first += left_depth, piece += rows * left_depth)
      for (long i = first; i < first + left_depth; i += Packet::lanes)
        store(piece + (i - first), i < k ? load(row + i, k - i) : Packet(0.f));
  }
  // A whole left panel from nrows <= rows rows; the others become zero.
  template <class T> static void pack_left(const T* src, long row_stride, long k, int nrows, bf16* panel) {
    for (int r = 0; r < nrows; ++r) pack_left_row(src + r * row_stride, k, r, panel);
    for (bf16* piece = panel + nrows * left_depth; piece < panel + left_size(k); piece += rows * left_depth)
      for (int i = 0; i < (rows - nrows) * left_depth; i += Packet::lanes) store(piece + i, Packet(0.f));
  }
};

namespace detail {

// Floating-point operations per second of dots whose operands stay in registers; a multiplication and an addition count as two.
// `shortest_time(f)` calls f(thread) on all of `threads` threads, several times, and returns the seconds of the fastest.
template <class Tiles, class ShortestTime> double amx_flops(int threads, long steps, ShortestTime shortest_time) {
  constexpr double per_step = 4. * 2 * 16 * 16 * 32;  // four chains of dots: enough to hide their latency
  const double seconds = shortest_time([steps](int) {
    alignas(64) bf16 ones[32];
    for (bf16& x : ones) x = from_float<bf16>(1.f);
    const typename Tiles::Scope scope;
    unroll<4>([](auto t) WEFT_FLAT { Tiles::template zero<t>(); });
    unroll<4>([&](auto t) WEFT_FLAT { Tiles::template load<4 + t>(ones, 0); });
    for (long step = 0; step < steps; ++step) unroll<4>([](auto t) WEFT_FLAT { Tiles::template dot<t, 4 + t / 2, 6 + t % 2>(); });
  });
  return per_step * static_cast<double>(steps) * threads / seconds;
}

}  // namespace detail
}  // namespace weft::cpu
