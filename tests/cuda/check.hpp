// check: a program on random data, run on the device and by the interpreter; how far they are apart.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "../support/interpreter.hpp"
#include "../support/random_program.hpp"
#include "on_device.hpp"

namespace weft {

template <class P> void run_on_device(RandomProgram<P>& program, std::size_t shift = 0) {
  std::size_t bytes[Binding<P>::leaves + 1];
  for (int l = 0; l < Binding<P>::leaves; ++l) bytes[l] = program.memory(l).size();
  run_on_device<P>(program.binding, bytes, shift);
}
// the largest relative error (norm) of the tensors that a program stores to
template <class P> double error_on_device(RandomProgram<P>& program, std::size_t shift = 0) {
  constexpr auto& table = Compiled<P>::table;
  const auto wanted = interpret<P>(program.binding);
  run_on_device(program, shift);
  double worst = 0;
  for (int q = 0; q < table.statements; ++q) {
    const int l = table.record[table.statement[q].target].number;
    const std::vector<double> got = read_leaf(program.binding, l);
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
template <class P>
double error_on_device(const Extents& extents, std::int32_t first_integer = 0, std::size_t shift = 0, float scale = 0.5f) {
  RandomProgram<P> program(extents, 7, first_integer, scale);
  return error_on_device(program, shift);
}

// rounding to a format is at most half a unit in the last place: of f32 after some operations, of bf16 (8 bits), of f16 (11 bits)
inline constexpr double f32_tolerance = 2e-6, bf16_tolerance = 0x1p-9, f16_tolerance = 0x1p-12;

}  // namespace weft
