// trial: a program on random data, run by the executor and by the interpreter; how far they are apart. The oracle of every skeleton.
#pragma once
#include <weft/cpu/executor.hpp>

#include "random_program.hpp"
#include "stored_error.hpp"

namespace weft {

template <class P> class Trial : public RandomProgram<P> {
 public:
  using RandomProgram<P>::binding;
  using RandomProgram<P>::RandomProgram;

  // runs both and gives the largest relative error (norm) of the leaves that the program stores to
  double error(cpu::Executor& executor) {
    const auto wanted = interpret<P>(binding);
    executor.run(binding);
    return stored_error<P>(binding, wanted);
  }
};

// the relative error of one run on two threads
template <class P> double trial(const Extents& extents, unsigned seed = 1, float scale = 1.f, std::int32_t first_integer = 0) {
  static cpu::Executor executor(2);
  return Trial<P>(extents, seed, first_integer, scale).error(executor);
}

}  // namespace weft
