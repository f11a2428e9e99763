// trial: a program on random data, run by the executor and by the interpreter; how far they are apart. The oracle of every skeleton.
#pragma once
#include <weft/cpu/executor.hpp>

#include <cmath>
#include <limits>

#include "interpreter.hpp"
#include "random_program.hpp"

namespace weft {

template <class P> class Trial : public RandomProgram<P> {
 public:
  using RandomProgram<P>::binding;
  using RandomProgram<P>::RandomProgram;
  using RandomProgram<P>::table;

  // runs both and gives the largest relative error (norm) of the leaves that the program stores to
  double error(cpu::Executor& executor) {
    const auto wanted = interpret<P>(binding);
    executor.run(binding);
    double worst = 0;
    for (int q = 0; q < table.statements; ++q) {
      const int l = table.record[table.statement[q].target].number;
      const std::vector<double> got = read_leaf(binding, l);
      double distance = 0, size = 0;
      for (std::size_t i = 0; i < got.size(); ++i) {
        const double w = wanted[static_cast<std::size_t>(l)][i];
        if (std::isnan(got[i]) != std::isnan(w)) return std::numeric_limits<double>::infinity();
        if (std::isnan(w)) continue;
        distance += (got[i] - w) * (got[i] - w);
        size += w * w;
      }
      worst = std::max(worst, std::sqrt(distance / std::max(size, 1e-300)));
    }
    return worst;
  }
};

// the relative error of one run on two threads
template <class P> double trial(const Extents& extents, unsigned seed = 1, float scale = 1.f, std::int32_t first_integer = 0) {
  static cpu::Executor executor(2);
  return Trial<P>(extents, seed, first_integer, scale).error(executor);
}

}  // namespace weft
