// tile_product: the inner product of tiles in shared memory: rows x depth times columns x depth, accumulated in f32 registers. bf16 and f16
// run on tensor cores (mma.sync m16n8k16), f32 on the ordinary units. Stages of 64 bytes of depth arrive by cp.async.
//
// A row (or column) of a stage has four pieces of 16 bytes; piece c of row r lies at place c ^ (r / 2 % 4), so that eight neighbouring rows
// of one piece, which are read together, lie in different banks.
#pragma once
#include <weft/cuda/numbers.cuh>

namespace weft::cuda {

inline constexpr int stage_bytes = 64;  // of depth, of each row

WEFT_DEVICE unsigned shared_address(const void* p) { return static_cast<unsigned>(__cvta_generic_to_shared(p)); }
// copies 16 bytes, of which the first `bytes` exist and the rest become 0; both addresses are multiples of 16
WEFT_DEVICE void copy_async(unsigned to, const void* from, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(__cvta_generic_to_global(from)), "r"(bytes) : "memory");
}
WEFT_DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// until at most `pending` groups of copies are under way
template <int pending> WEFT_DEVICE void wait_for_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory"); }
WEFT_DEVICE unsigned piece_of(unsigned stage, int row, int piece) {
  return stage + static_cast<unsigned>(row * stage_bytes + ((piece ^ (row / 2 % 4)) * 16));
}

// ---- bf16, f16: 2 warps side by side, each with 32 rows and half of the columns of every contraction
template <class T, int rows, int contractions, int columns> struct TileProduct {
  static constexpr int threads = 2 * rows;
  static constexpr int pairs = columns / 32;  // of 8 columns, of a contraction, of a warp
  static_assert(rows % 32 == 0 && columns % 32 == 0);
  float sum[2][contractions][2 * pairs][4];

  WEFT_DEVICE void clear() {
#pragma unroll
    for (int i = 0; i < 2 * contractions * 2 * pairs * 4; ++i) (&sum[0][0][0][0])[i] = 0.f;
  }
  // contractions [first, last) of a stage: `left` and `right` are shared addresses; the columns of contraction i begin at row i * columns
  // of `right`
  template <int first, int last> WEFT_DEVICE void add(unsigned left, unsigned right) {
    const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
    const int row = warp / 2 * 32 + lane % 16, column = warp % 2 * (columns / 2) + lane % 8 + lane / 16 * 8;
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      unsigned a[2][4];
#pragma unroll
      for (int m = 0; m < 2; ++m) load_matrices(a[m], piece_of(left, row + 16 * m, 2 * step + lane / 16));
#pragma unroll
      for (int i = first; i < last; ++i)
#pragma unroll
        for (int p = 0; p < pairs; ++p) {
          unsigned w[4];
          load_matrices(w, piece_of(right, i * columns + column + 16 * p, 2 * step + lane / 8 % 2));
#pragma unroll
          for (int m = 0; m < 2; ++m) {
            multiply(sum[m][i][2 * p], a[m], w[0], w[1]);
            multiply(sum[m][i][2 * p + 1], a[m], w[2], w[3]);
          }
        }
    }
  }
  // out[row * stride + i * columns + column]
  WEFT_DEVICE void write(float* out, int stride) const {
    const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
    const int row = warp / 2 * 32 + lane / 4, column = warp % 2 * (columns / 2) + lane % 4 * 2;
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
      for (int i = 0; i < contractions; ++i)
#pragma unroll
        for (int n = 0; n < 2 * pairs; ++n)
#pragma unroll
          for (int half = 0; half < 2; ++half)
            *reinterpret_cast<float2*>(out + (row + 16 * m + 8 * half) * stride + i * columns + column + 8 * n) =
                make_float2(sum[m][i][n][2 * half], sum[m][i][n][2 * half + 1]);
  }

  WEFT_DEVICE static void load_matrices(unsigned (&r)[4], unsigned address) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  }
  WEFT_DEVICE static void multiply(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    if constexpr (std::is_same_v<T, bf16>)
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                   : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    else
      asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                   : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                   : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

// ---- f32: a thread has every eighth (of 64 rows) row and every sixteenth column
template <int rows, int contractions, int columns> struct TileProduct<float, rows, contractions, columns> {
  static constexpr int threads = 2 * rows;
  static constexpr int row_step = threads / 16, mine = rows / row_step, columns_each = columns / 16;
  static_assert(columns % 16 == 0);
  float sum[mine][contractions][columns_each];

  WEFT_DEVICE void clear() {
#pragma unroll
    for (int i = 0; i < mine * contractions * columns_each; ++i) (&sum[0][0][0])[i] = 0.f;
  }
  template <int first, int last> WEFT_DEVICE void add(unsigned left, unsigned right) {
    const int row = static_cast<int>(threadIdx.x / 16), column = static_cast<int>(threadIdx.x % 16);
#pragma unroll
    for (int piece = 0; piece < 4; ++piece) {
      float4 a[mine];
#pragma unroll
      for (int m = 0; m < mine; ++m) a[m] = load_piece(piece_of(left, row + m * row_step, piece));
#pragma unroll
      for (int i = first; i < last; ++i)
#pragma unroll
        for (int n = 0; n < columns_each; ++n) {
          const float4 w = load_piece(piece_of(right, i * columns + column + 16 * n, piece));
#pragma unroll
          for (int m = 0; m < mine; ++m) {
            float s = sum[m][i][n];
            s = fmaf(a[m].x, w.x, s);
            s = fmaf(a[m].y, w.y, s);
            s = fmaf(a[m].z, w.z, s);
            sum[m][i][n] = fmaf(a[m].w, w.w, s);
          }
        }
    }
  }
  WEFT_DEVICE void write(float* out, int stride) const {
    const int row = static_cast<int>(threadIdx.x / 16), column = static_cast<int>(threadIdx.x % 16);
#pragma unroll
    for (int m = 0; m < mine; ++m)
#pragma unroll
      for (int i = 0; i < contractions; ++i)
#pragma unroll
        for (int n = 0; n < columns_each; ++n) out[(row + m * row_step) * stride + i * columns + column + 16 * n] = sum[m][i][n];
  }

  WEFT_DEVICE static float4 load_piece(unsigned address) {
    float4 v;
    asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "r"(address) : "memory");
    return v;
  }
};

}  // namespace weft::cuda
