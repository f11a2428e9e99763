// isa: which instruction set the packets and micro-kernels of this translation unit use. It follows the compiler's flags alone
// (-march=...), so all parts of a program that use weft on the CPU are compiled with the same flags.
#pragma once
#include <utility>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define WEFT_AVX512 1
#if defined(__AVX512BF16__)
#define WEFT_AVX512_BF16 1
// clang 14 spells them without the middle underscore; permission is asked for as Linux wants it (micro_amx_tiles.hpp)
#if (defined(__AMX_TILE__) || defined(__AMXTILE__)) && (defined(__AMX_BF16__) || defined(__AMXBF16__)) && defined(__linux__)
#define WEFT_AMX 1
#endif
#endif
#elif defined(__AVX2__) && defined(__FMA__)
#define WEFT_AVX2 1
#endif

// small functions (and lambdas, after their parameters) whose arguments live in registers; a call would spill them all
#define WEFT_INLINE [[gnu::always_inline]] inline
#define WEFT_FLAT __attribute__((always_inline))

namespace weft::cpu {

// f(0), ..., f(n - 1), written out; the argument converts to an int that is a constant expression
template <int n, class F> WEFT_INLINE void unroll(F&& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) WEFT_FLAT { (f(std::integral_constant<int, i>{}), ...); }
  (std::make_integer_sequence<int, n>{});
}

enum class Isa { portable, avx2, avx512, avx512_bf16, avx512_amx };  // each has what those before it have

#if defined(WEFT_AMX)
inline constexpr Isa isa = Isa::avx512_amx;
#elif defined(WEFT_AVX512_BF16)
inline constexpr Isa isa = Isa::avx512_bf16;
#elif defined(WEFT_AVX512)
inline constexpr Isa isa = Isa::avx512;
#elif defined(WEFT_AVX2)
inline constexpr Isa isa = Isa::avx2;
#else
inline constexpr Isa isa = Isa::portable;
#endif

constexpr const char* name_of(Isa i) {
  constexpr const char* names[] = {"portable", "AVX2", "AVX-512", "AVX-512 with BF16", "AVX-512 with BF16 and AMX"};
  return names[static_cast<int>(i)];
}

}  // namespace weft::cpu
