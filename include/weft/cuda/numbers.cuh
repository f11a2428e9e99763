// numbers: conversions between f32 and the formats of memory in device code, and neighbours in accesses of up to 16 bytes. Rounding is to
// nearest, ties to even, as on the host (core/dtype.hpp); only the bits of a NaN differ.
#pragma once
#include <cuda_runtime.h>
#include <weft/core/dtype.hpp>

namespace weft::cuda {

#define WEFT_DEVICE __device__ __forceinline__
#define WEFT_BOTH __host__ __device__ __forceinline__

WEFT_DEVICE float number(float x) { return x; }
WEFT_DEVICE float number(std::int32_t x) { return static_cast<float>(x); }
WEFT_DEVICE float number(bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
WEFT_DEVICE float number(f16 x) {
  float r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x.bits));
  return r;
}

template <class T> WEFT_DEVICE T rounded(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return x;
  } else if constexpr (std::is_same_v<T, std::int32_t>) {
    return static_cast<std::int32_t>(x);
  } else {
    T r;
    if constexpr (std::is_same_v<T, bf16>)
      asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r.bits) : "f"(x));
    else
      asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r.bits) : "f"(x));
    return r;
  }
}
// two neighbours in one register, the first in the lower half
template <class T> WEFT_DEVICE unsigned rounded_pair(float first, float second) {
  unsigned r;
  if constexpr (std::is_same_v<T, bf16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
  return r;
}
template <class T> WEFT_DEVICE void numbers_of_pair(unsigned pair, float* out) {
  out[0] = number(T{static_cast<std::uint16_t>(pair & 0xffffu)});
  out[1] = number(T{static_cast<std::uint16_t>(pair >> 16)});
}

// ---- n neighbours at an address that is a multiple of their size, or of 16 bytes where they are more
template <class T, int n> WEFT_DEVICE void load_neighbours(const T* p, float* out) {
  if constexpr (sizeof(T) == 4) {
    static_assert(n % 4 == 0);
#pragma unroll
    for (int i = 0; i < n; i += 4) {
      const uint4 w = *reinterpret_cast<const uint4*>(p + i);
      const unsigned word[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if constexpr (std::is_same_v<T, float>)
          out[i + j] = __uint_as_float(word[j]);
        else
          out[i + j] = static_cast<float>(static_cast<std::int32_t>(word[j]));
      }
    }
  } else if constexpr (n == 4) {
    const uint2 w = *reinterpret_cast<const uint2*>(p);
    numbers_of_pair<T>(w.x, out);
    numbers_of_pair<T>(w.y, out + 2);
  } else {
    static_assert(n % 8 == 0);
#pragma unroll
    for (int i = 0; i < n; i += 8) {
      const uint4 w = *reinterpret_cast<const uint4*>(p + i);
      numbers_of_pair<T>(w.x, out + i);
      numbers_of_pair<T>(w.y, out + i + 2);
      numbers_of_pair<T>(w.z, out + i + 4);
      numbers_of_pair<T>(w.w, out + i + 6);
    }
  }
}
template <class T, int n> WEFT_DEVICE void store_neighbours(T* p, const float* in) {
  if constexpr (sizeof(T) == 4) {
    static_assert(n % 4 == 0);
#pragma unroll
    for (int i = 0; i < n; i += 4) {
      unsigned word[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if constexpr (std::is_same_v<T, float>)
          word[j] = __float_as_uint(in[i + j]);
        else
          word[j] = static_cast<unsigned>(static_cast<std::int32_t>(in[i + j]));
      }
      *reinterpret_cast<uint4*>(p + i) = make_uint4(word[0], word[1], word[2], word[3]);
    }
  } else if constexpr (n == 4) {
    *reinterpret_cast<uint2*>(p) = make_uint2(rounded_pair<T>(in[0], in[1]), rounded_pair<T>(in[2], in[3]));
  } else {
    static_assert(n % 8 == 0);
#pragma unroll
    for (int i = 0; i < n; i += 8)
      *reinterpret_cast<uint4*>(p + i) = make_uint4(rounded_pair<T>(in[i], in[i + 1]), rounded_pair<T>(in[i + 2], in[i + 3]),
                                                    rounded_pair<T>(in[i + 4], in[i + 5]), rounded_pair<T>(in[i + 6], in[i + 7]));
  }
}

}  // namespace weft::cuda
