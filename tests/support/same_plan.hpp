// same_plan: do two programs plan alike? Extents and constants aside: it compares kernels, their axes and operands, and what they store where.
#pragma once
#include <weft/plan/plan.hpp>

namespace weft {

constexpr bool same_axes_in(const IndexForm& a, const IndexForm& b) {
  if (a.summands != b.summands || a.constant != b.constant) return false;
  for (int t = 0; t < a.summands; ++t)
    if (a.term[t].axis != b.term[t].axis) return false;
  return true;
}
template <class P, class Q> constexpr bool same_plan() {
  constexpr auto& a = Compiled<P>::plan;
  constexpr auto& b = Compiled<Q>::plan;
  if (a.kernels != b.kernels || a.stores != b.stores || a.temporaries != b.temporaries) return false;
  for (int k = 0; k < a.kernels; ++k) {
    const Kernel &p = a.kernel[k], &q = b.kernel[k];
    if (p.skeleton != q.skeleton || p.rows != q.rows || p.batch != q.batch || p.bound != q.bound || p.lefts != q.lefts ||
        p.segments != q.segments || p.statistics != q.statistics || p.stream.sums != q.stream.sums || p.stream.lows != q.stream.lows ||
        p.stream.highs != q.stream.highs)
      return false;
    for (int l = 0; l < p.lefts; ++l)
      if (p.left[l].bound != q.left[l].bound || p.left[l].statistics != q.left[l].statistics) return false;
    for (int g = 0; g < p.segments; ++g)
      if (p.segment[g].columns != q.segment[g].columns || p.segment[g].contractions != q.segment[g].contractions ||
          p.segment[g].reductions != q.segment[g].reductions || p.segment[g].stores != q.segment[g].stores)
        return false;
  }
  for (int s = 0; s < a.stores; ++s) {
    const Store &p = a.store[s], &q = b.store[s];
    if (p.leaf != q.leaf || p.rank != q.rank || p.dimension != q.dimension || p.temporary != q.temporary || p.dtype != q.dtype)
      return false;
    for (int d = 0; d < p.rank; ++d)
      if (!same_axes_in(p.at[d], q.at[d])) return false;
  }
  return true;
}

}  // namespace weft
