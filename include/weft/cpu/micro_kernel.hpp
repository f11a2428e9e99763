// micro_kernel: the inner products of the skeletons.
//
// Many rows: MicroKernel<Element>::tile multiplies a packed left panel (`rows` rows) by a packed right panel (`cols` columns) into a block
// of f32 accumulators in memory, at 99 % of the peak of one core (AVX-512 on Zen 4, k = 896). Element is the format of the packed operands:
// float everywhere, bf16 where has_bf16_dot (accumulated in f32, two products at a time). Consecutive k values lie together, `left_depth`
// of a row and `depth` of a column; the two differ for tile registers only (micro_amx.hpp):
//   left  [ceil(k / left_depth)][rows][left_depth]     right  [ceil(k / left_depth) * left_depth / depth][cols][depth]
// with zeros for rows, columns and k beyond the extent. micro_pack.hpp fills panels; panels are 64-byte aligned. Few rows: micro_dots.hpp
// works on operands where they lie.
//
// Every sum runs over k in an order that depends on k, the formats and the instruction set only: not on the number of rows or columns that
// were computed together, and not on addresses.
//
// A thread that calls tile holds a TileScope. Another kind of tile is another specialisation with the same members.
#pragma once
#include <type_traits>

#include "micro_amx.hpp"
#include "micro_amx_tiles.hpp"
#include "simd.hpp"

namespace weft::cpu {

inline constexpr bool has_bf16_dot = isa >= Isa::avx512_bf16;

// the format in which operands of format T are packed: bf16 keeps its own where there is an instruction for it
template <class T> using PackedAs = std::conditional_t<has_bf16_dot && std::is_same_v<T, bf16>, bf16, float>;

namespace detail {

// one step of a tile: `depth` products per lane
template <class Element> struct Product;
template <> struct Product<float> {
  static constexpr int depth = 1;
  using Operand = native::Floats;
  WEFT_INLINE static Operand load(const float* p) { return native::load(p); }
  WEFT_INLINE static Operand broadcast(const float* p) { return native::broadcast(*p); }
  WEFT_INLINE static native::Floats add(native::Floats sum, Operand a, Operand b) { return native::fma(a, b, sum); }
};
#if defined(WEFT_AVX512_BF16)
template <> struct Product<bf16> {
  static constexpr int depth = 2;
  using Operand = __m512bh;
  WEFT_INLINE static Operand load(const bf16* p) { return (__m512bh)_mm512_loadu_si512(p); }
  WEFT_INLINE static Operand load(const bf16* p, long n) { return (__m512bh)_mm512_maskz_loadu_epi16(n >= 32 ? ~0u : (1u << n) - 1, p); }
  WEFT_INLINE static Operand broadcast(const bf16* p) {
    int pair;
    __builtin_memcpy(&pair, p, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
  }
  WEFT_INLINE static native::Floats add(native::Floats sum, Operand a, Operand b) { return _mm512_dpbf16_ps(sum, a, b); }
};
#endif

}  // namespace detail

// The micro-kernel of vector registers: rows come in groups whose group * packets accumulators, `packets` operands and a broadcast fit the
// 32 or 16 registers. A panel has one group, or more where it has the rows of tile registers.
inline constexpr int register_rows = isa >= Isa::avx512 ? 12 : 6;
template <class Element, int panel_rows> struct RegisterMicroKernel {
  using Product = detail::Product<Element>;
  static constexpr int depth = Product::depth, left_depth = depth;
  static constexpr int packets = 2;
  static constexpr int rows = panel_rows, group = register_rows;
  static constexpr int cols = packets * Packet::lanes;

  static constexpr long steps(long k) { return (k + depth - 1) / depth; }
  static constexpr long left_size(long k) { return steps(k) * rows * depth; }  // elements of a panel
  static constexpr long right_size(long k) { return steps(k) * cols * depth; }

  // c[r * ldc + j] = (accumulate ? c : 0) + sum over k of left * right, for r < R and all j < cols
  template <int R> [[gnu::noinline]] static void tile_rows(const Element* left, const Element* right, long k, float* c, long ldc,
                                                           bool accumulate, Ahead ahead) {
    static_assert(1 <= R && R <= group);
    const char* next = static_cast<const char*>(ahead.bytes > 0 ? ahead.first : c);
    native::Floats sum[R][packets];
    unroll<R>([&](auto r) WEFT_FLAT {
      unroll<packets>([&](auto j)
                          WEFT_FLAT { sum[r][j] = accumulate ? native::load(c + r * ldc + j * Packet::lanes) : native::broadcast(0.f); });
    });
    const long n = steps(k), ahead_step = (ahead.bytes + n - 1) / n;
    for (long step = 0; step < n; ++step, left += rows * depth, right += cols * depth, next += ahead_step) {
      __builtin_prefetch(next, 0, 2);
      typename Product::Operand b[packets];
      unroll<packets>([&](auto j) WEFT_FLAT { b[j] = Product::load(right + j * (Packet::lanes * depth)); });
      unroll<R>([&](auto r) WEFT_FLAT {
        const typename Product::Operand a = Product::broadcast(left + r * depth);
        unroll<packets>([&](auto j) WEFT_FLAT { sum[r][j] = Product::add(sum[r][j], a, b[j]); });
      });
    }
    unroll<R>([&](auto r)
                  WEFT_FLAT { unroll<packets>([&](auto j) WEFT_FLAT { native::store(c + r * ldc + j * Packet::lanes, sum[r][j]); }); });
  }
  static void tile(const Element* left, const Element* right, long k, float* c, long ldc, bool accumulate, Ahead ahead = {}) {
    tile(rows, left, right, k, c, ldc, accumulate, ahead);
  }
  // At least the first n rows, 1 <= n <= rows: a multiple of row_step, so that three tiles have to be compiled and not one for each n. c
  // needs room for all rows of the tile; those from n on hold nothing of use afterwards.
  static constexpr int row_step = group / 3;
  static_assert(rows % row_step == 0);
  static void tile(int n, const Element* left, const Element* right, long k, float* c, long ldc, bool accumulate, Ahead ahead = {}) {
    if constexpr (rows > group)
      for (; n > group; n -= group, left += group * depth, c += group * ldc) tile_rows<group>(left, right, k, c, ldc, accumulate, ahead);
    if (n <= row_step)
      tile_rows<row_step>(left, right, k, c, ldc, accumulate, ahead);
    else if (n <= 2 * row_step)
      tile_rows<2 * row_step>(left, right, k, c, ldc, accumulate, ahead);
    else
      tile_rows<group>(left, right, k, c, ldc, accumulate, ahead);
  }
};

// What a thread holds while it calls tile: the set-up of its tile registers, where there are such.
#if defined(WEFT_AMX)
using TileScope = HardwareTiles::Scope;
template <class Element> struct MicroKernel : RegisterMicroKernel<Element, AmxMicroKernel<HardwareTiles>::rows> {};
template <> struct MicroKernel<bf16> : AmxMicroKernel<HardwareTiles> {};
#else
struct TileScope {
  TileScope() {}  // so that holding one is no unused variable
};
template <class Element> struct MicroKernel : RegisterMicroKernel<Element, register_rows> {};
#endif

}  // namespace weft::cpu

#include "micro_dots.hpp"
#include "micro_pack.hpp"
