// value_product: weights times values, for tiles in shared memory. Weights lie like the left operand of a TileProduct; values as they lie
// in memory, row by row of the depth, so tensor cores read them transposed.
#pragma once
#include <weft/cuda/tile_product.cuh>

namespace weft::cuda {

// depth: rows of values in a block. Stage s of the values holds 64 bytes of each row, from s * 64 on.
template <class T, int rows, int columns, int depth> struct ValueProduct : TileProduct<T, rows, 1, columns> {
  using Base = TileProduct<T, rows, 1, columns>;
  using Base::sum;
  static constexpr int left_stage = rows * stage_bytes, right_stage = depth * stage_bytes;

  // each row times its factor
  WEFT_DEVICE void scale(const float* factor) {
    const int row = static_cast<int>(threadIdx.x / 64 * 32 + threadIdx.x % 32 / 4);
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float f = factor[row + 16 * m + 8 * half];
#pragma unroll
        for (int n = 0; n < 2 * Base::pairs; ++n) {
          sum[m][0][n][2 * half] *= f;
          sum[m][0][n][2 * half + 1] *= f;
        }
      }
  }
  WEFT_DEVICE void add_block(unsigned left, unsigned right) {
    const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
    const int row = warp / 2 * 32 + lane % 16, column = warp % 2 * (columns / 2) + lane / 16 * 8;
#pragma unroll
    for (int s = 0; s < depth / 16; ++s) {
      unsigned a[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) Base::load_matrices(a[m], piece_of(left + s / 2 * left_stage, row + 16 * m, s % 2 * 2 + lane / 16));
#pragma unroll
      for (int p = 0; p < Base::pairs; ++p) {
        const int at = column + 16 * p;
        unsigned w[4];
        load_transposed(w, piece_of(right + at / 32 * right_stage, 16 * s + lane % 16, at % 32 / 8));
#pragma unroll
        for (int m = 0; m < 2; ++m) {
          Base::multiply(sum[m][0][2 * p], a[m], w[0], w[1]);
          Base::multiply(sum[m][0][2 * p + 1], a[m], w[2], w[3]);
        }
      }
    }
  }

 private:
  WEFT_DEVICE static void load_transposed(unsigned (&r)[4], unsigned address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  }
};

template <int rows, int columns, int depth> struct ValueProduct<float, rows, columns, depth> : TileProduct<float, rows, 1, columns> {
  using Base = TileProduct<float, rows, 1, columns>;
  using Base::sum;
  static constexpr int left_stage = rows * stage_bytes, right_stage = depth * stage_bytes;

  WEFT_DEVICE void scale(const float* factor) {
#pragma unroll
    for (int m = 0; m < Base::mine; ++m) {
      const float f = factor[threadIdx.x / 16 + m * Base::row_step];
#pragma unroll
      for (int n = 0; n < Base::columns_each; ++n) sum[m][0][n] *= f;
    }
  }
  WEFT_DEVICE void add_block(unsigned left, unsigned right) {
    const int row = static_cast<int>(threadIdx.x / 16), column = static_cast<int>(threadIdx.x % 16);
#pragma unroll 1
    for (int s = 0; s < depth / 4; ++s) {
      float4 a[Base::mine];
#pragma unroll
      for (int m = 0; m < Base::mine; ++m) a[m] = Base::load_piece(piece_of(left + s / 4 * left_stage, row + m * Base::row_step, s % 4));
#pragma unroll
      for (int n = 0; n < Base::columns_each; ++n) {
        float w[4];
#pragma unroll
        for (int j = 0; j < 4; ++j) w[j] = load(piece_of(right + n * right_stage, 4 * s + j, column / 4) + column % 4 * 4);
#pragma unroll
        for (int m = 0; m < Base::mine; ++m)
          sum[m][0][n] = fmaf(a[m].w, w[3], fmaf(a[m].z, w[2], fmaf(a[m].y, w[1], fmaf(a[m].x, w[0], sum[m][0][n]))));
      }
    }
  }

 private:
  WEFT_DEVICE static float load(unsigned address) {
    float v;
    asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(address) : "memory");
    return v;
  }
};

}  // namespace weft::cuda
