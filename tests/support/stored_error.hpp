// stored_error: how far what a program stored is from what the interpreter says.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "interpreter.hpp"

namespace weft {

// The largest relative error (norm) of the leaves that a program stores to; `wanted` is what interpret<P> gave before it ran. Infinite where one of
// the two is NaN alone.
template <class P, class Wanted> double stored_error(const Binding<P>& binding, const Wanted& wanted) {
  constexpr auto& table = Compiled<P>::table;
  double worst = 0;
  for (int q = 0; q < table.statements; ++q) {
    const int l = table.record[table.statement[q].target].number;
    const std::vector<double> got = read_leaf(binding, l);
    double distance = 0, size = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double w = wanted[static_cast<std::size_t>(l)][i];
      if (std::isnan(got[i]) != std::isnan(w)) return std::numeric_limits<double>::infinity();
      if (std::isnan(w)) continue;  // both are; a sum with it would hide all others
      distance += (got[i] - w) * (got[i] - w);
      size += w * w;
    }
    worst = std::max(worst, std::sqrt(distance / std::max(size, 1e-300)));
  }
  return worst;
}

}  // namespace weft
