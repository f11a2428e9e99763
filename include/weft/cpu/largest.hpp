// largest: the positions of the largest elements of a row.
#pragma once

namespace weft::cpu {

// The positions of the k largest of n >= k elements, the largest first, of equal ones the first; all -1 where an element is NaN. value: room for k.
template <class Position> void select_largest(const float* x, long n, long k, float* value, Position* position) {
  long count = 0;
  for (long i = 0; i < n; ++i) {
    const float v = x[i];
    if (v != v) {
      for (long j = 0; j < k; ++j) position[j] = Position(-1);
      return;
    }
    if (count == k && !(v > value[k - 1])) continue;
    long at = count < k ? count++ : k - 1;
    for (; at > 0 && v > value[at - 1]; --at) {
      value[at] = value[at - 1];
      position[at] = position[at - 1];
    }
    value[at] = v;
    position[at] = static_cast<Position>(i);
  }
}

}  // namespace weft::cpu
