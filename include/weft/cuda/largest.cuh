// largest: which elements are the largest: of a row in the registers of a warp. As on the CPU: the largest first, of equal ones the first; all positions
// are -1 where an element is NaN.
#pragma once
#include <weft/cuda/place.cuh>

namespace weft::cuda {

// Numbers as unsigned integers in the same order: 0 is below all of them, -0 equals 0, every NaN is above all.
inline constexpr unsigned no_key = 0, key_of_nan = 0xffffffffu;
WEFT_DEVICE unsigned ordered_key(float x) {
  const unsigned bits = __float_as_uint(x + 0.f);
  return x != x ? key_of_nan : bits >> 31 ? ~bits : bits | 0x80000000u;
}

// Lane l has the keys of elements l, l + 32, ...; no_key where there is none. f(i, position of the i-th largest) for i < wanted in all lanes; there must
// be as many elements. The keys of those that were found are lost.
template <int steps, class F> WEFT_DEVICE void each_of_largest(unsigned (&key)[steps], int wanted, F f) {
  constexpr unsigned all = 0xffffffffu;
  const int lane = static_cast<int>(threadIdx.x % 32);
  for (int i = 0; i < wanted; ++i) {
    unsigned mine = no_key;
    int at = 0;
#pragma unroll
    for (int s = 0; s < steps; ++s)
      if (key[s] > mine) {
        mine = key[s];
        at = s * 32 + lane;
      }
    const unsigned largest = __reduce_max_sync(all, mine);
    if (largest == key_of_nan) {
      for (int rest = 0; rest < wanted; ++rest) f(rest, -1);
      return;
    }
    const int first = static_cast<int>(__reduce_min_sync(all, mine == largest ? static_cast<unsigned>(at) : ~0u));
    f(i, first);
#pragma unroll
    for (int s = 0; s < steps; ++s)
      if (s * 32 + lane == first) key[s] = no_key;
  }
}

}  // namespace weft::cuda
