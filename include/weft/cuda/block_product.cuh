// block_product: rows x depth times columns of weights in blocks, on tensor cores. The rows lie in fragments (fragments.cuh); the weights
// as they lie in memory, in strips in shared memory, and are decoded into the registers that tensor cores read. A group of 32 is multiplied
// without its scales, digits with digits exactly in 32 bits, digits with numbers of bf16 in f32; then the scales weigh it.
#pragma once
#include <weft/cuda/fragments.cuh>

namespace weft::cuda {

// ---- mma.sync on registers; k: elements of the depth
WEFT_DEVICE void multiply_digits(int (&c)[4], const uint4& a, unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}
WEFT_DEVICE void multiply_half_group(int (&c)[4], unsigned a0, unsigned a1, unsigned b) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
               : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
               : "r"(a0), "r"(a1), "r"(b));
}
WEFT_DEVICE void multiply_numbers(float (&c)[4], const uint4& a, unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}
// Sums of digits begin at 1.5 * 2^23 as f32 has it, so that their bits are that number plus the sum, which is below 2^22.
inline constexpr int sum_of_digits_begin = 0x4b400000;
WEFT_DEVICE float sum_of_digits(int c) { return __int_as_float(c) - 12582912.f; }
// digits 2 i and 2 i + 1 of a word in bf16, which holds all of them: 2^23 + (digit + 128) as f32 has it, less both
WEFT_DEVICE unsigned digits_as_numbers(int word, int i) {
  const unsigned w = static_cast<unsigned>(word) ^ 0x80808080u;
  const float first = __uint_as_float(__byte_perm(w, 0x4b000000u, i ? 0x7442u : 0x7440u)) - 8388736.f,
              second = __uint_as_float(__byte_perm(w, 0x4b000000u, i ? 0x7443u : 0x7441u)) - 8388736.f;
  return rounded_pair<bf16>(first, second);
}

// rows: 64 or 128. A warp has 64 rows and a fourth of the columns of each contraction, in tiles of 8.
template <int rows, int contractions, int columns> struct BlockProduct {
  static constexpr int threads = 2 * rows, tiles = columns / 32, row_tiles = 4;
  static_assert(rows % 64 == 0 && columns % 32 == 0);
  float sum[row_tiles][contractions][tiles][4];

  WEFT_DEVICE static int lane() { return static_cast<int>(threadIdx.x % 32); }
  WEFT_DEVICE static int first_row() { return static_cast<int>(threadIdx.x / 128 * 64); }
  WEFT_DEVICE static int first_column() { return static_cast<int>(threadIdx.x / 32 % 4) * (columns / 4); }
  WEFT_DEVICE void clear() {
#pragma unroll
    for (int i = 0; i < row_tiles * contractions * tiles * 4; ++i) (&sum[0][0][0][0])[i] = 0.f;
  }

  // Adds a group of the depth to contraction i. record: that of this warp's first row tile; the next ones are record_step bytes apart, and
  // there are `row_tiles_left` of them. block(t): where this lane's column of tile t has the block that holds the group, its number
  // `group`.
  template <class Left, int i, class Block, class Where> WEFT_DEVICE void add(const Format<Block>& format, const std::byte* record,
                                                                              long record_step, int row_tiles_left, int group,
                                                                              const Where& block) {
    constexpr bool may_have_halves = Format<Block>::may_have_halves, may_have_minimum = Format<Block>::may_have_minimum;
    const bool halves = may_have_halves && format.halves(), minimum = may_have_minimum && format.minimum();
    unsigned right[tiles][Left::digits ? 2 : 4];
    float scale[tiles][may_have_halves ? 2 : 1][2], least[tiles][2];
    const int source = lane() % 4 * 8;  // the lanes that hold the two columns whose sums this lane has
#pragma unroll
    for (int t = 0; t < tiles; ++t) {
      const unsigned char* at = block(t);
      const Digits d = format.digits(at, group, lane() % 4);
      if constexpr (Left::digits) {
        right[t][0] = static_cast<unsigned>(d.first);
        right[t][1] = static_cast<unsigned>(d.second);
      } else {
#pragma unroll
        for (int r = 0; r < 4; ++r) right[t][r] = digits_as_numbers(r < 2 ? d.first : d.second, r % 2);
      }
      const Scales s = format.scales(at, group);
#pragma unroll
      for (int c = 0; c < 2; ++c) {
#pragma unroll
        for (int h = 0; h < (may_have_halves ? 2 : 1); ++h) scale[t][h][c] = __shfl_sync(0xffffffffu, s.scale[h], source + 4 * c);
        if constexpr (may_have_minimum) least[t][c] = __shfl_sync(0xffffffffu, s.minimum, source + 4 * c);
      }
    }
#pragma unroll
    for (int m = 0; m < row_tiles; ++m) {
      if (m >= row_tiles_left) continue;
      const std::byte* fragment = record + m * record_step;
      if constexpr (Left::digits) {
        const uint4 a = *reinterpret_cast<const uint4*>(fragment + lane() * 16);
        const float* scales = reinterpret_cast<const float*>(fragment + fragment_bytes);
        const float row_scale[2] = {scales[lane() / 4], scales[lane() / 4 + 8]};
#pragma unroll
        for (int t = 0; t < tiles; ++t) {
          if (may_have_halves && halves) {
#pragma unroll
            for (int h = 0; h < 2; ++h) {
              int c[4] = {sum_of_digits_begin, sum_of_digits_begin, sum_of_digits_begin, sum_of_digits_begin};
              multiply_half_group(c, h ? a.z : a.x, h ? a.w : a.y, right[t][h]);
              weigh_digits(sum[m][i][t], c, row_scale, scale[t][may_have_halves ? h : 0]);
            }
          } else {
            int c[4] = {sum_of_digits_begin, sum_of_digits_begin, sum_of_digits_begin, sum_of_digits_begin};
            multiply_digits(c, a, right[t][0], right[t][1]);
            weigh_digits(sum[m][i][t], c, row_scale, scale[t][0]);
          }
        }
        if (may_have_minimum && minimum) {
          int all[4] = {sum_of_digits_begin, sum_of_digits_begin, sum_of_digits_begin, sum_of_digits_begin};
          multiply_digits(all, a, 0x01010101, 0x01010101);
#pragma unroll
          for (int t = 0; t < tiles; ++t) weigh_digits(sum[m][i][t], all, row_scale, least[t]);
        }
      } else {
        constexpr int planes = Left::planes;
        uint4 a[2][planes];
#pragma unroll
        for (int h = 0; h < 2; ++h)
#pragma unroll
          for (int p = 0; p < planes; ++p)
            a[h][p] = *reinterpret_cast<const uint4*>(fragment + (h * planes + p) * fragment_bytes + lane() * 16);
#pragma unroll
        for (int t = 0; t < tiles; ++t) {
          float c[4] = {};
#pragma unroll
          for (int h = 0; h < 2; ++h) {
#pragma unroll
            for (int p = planes; p-- > 0;) multiply_numbers(c, a[h][p], right[t][2 * h], right[t][2 * h + 1]);
            if (may_have_halves && halves) {
              weigh(sum[m][i][t], c, scale[t][may_have_halves ? h : 0]);
#pragma unroll
              for (float& x : c) x = 0.f;
            }
          }
          if (!may_have_halves || !halves) weigh(sum[m][i][t], c, scale[t][0]);
        }
        if (may_have_minimum && minimum) {
          float all[4] = {};
          constexpr unsigned ones = 0x3f803f80u;
#pragma unroll
          for (int h = 0; h < 2; ++h)
#pragma unroll
            for (int p = planes; p-- > 0;) multiply_numbers(all, a[h][p], ones, ones);
#pragma unroll
          for (int t = 0; t < tiles; ++t) weigh(sum[m][i][t], all, least[t]);
        }
      }
    }
  }
  // out[row * stride + i * columns + column]
  WEFT_DEVICE void write(float* out, int stride) const {
    const int row = first_row() + lane() / 4, column = first_column() + lane() % 4 * 2;
#pragma unroll
    for (int m = 0; m < row_tiles; ++m)
#pragma unroll
      for (int i = 0; i < contractions; ++i)
#pragma unroll
        for (int t = 0; t < tiles; ++t)
#pragma unroll
          for (int half = 0; half < 2; ++half)
            *reinterpret_cast<float2*>(out + (row + 16 * m + 8 * half) * stride + i * columns + column + 8 * t) =
                make_float2(sum[m][i][t][2 * half], sum[m][i][t][2 * half + 1]);
  }

 private:
  WEFT_DEVICE static void weigh(float (&sum)[4], const float (&c)[4], const float (&scale)[2]) {
#pragma unroll
    for (int e = 0; e < 4; ++e) sum[e] = fmaf(c[e], scale[e % 2], sum[e]);
  }
  WEFT_DEVICE static void weigh_digits(float (&sum)[4], const int (&c)[4], const float (&row)[2], const float (&column)[2]) {
#pragma unroll
    for (int e = 0; e < 4; ++e) sum[e] = fmaf(sum_of_digits(c[e]), row[e / 2] * column[e % 2], sum[e]);
  }
};

}  // namespace weft::cuda
