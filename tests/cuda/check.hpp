// check: a program on random data, run on the device and by the interpreter; how far they are apart.
#pragma once
#include <doctest/doctest.h>

#include "../support/random_program.hpp"
#include "../support/stored_error.hpp"
#include "on_device.hpp"

namespace weft {

template <class P> void run_on_device(RandomProgram<P>& program, std::size_t shift = 0) {
  std::size_t bytes[Binding<P>::leaves + 1];
  for (int l = 0; l < Binding<P>::leaves; ++l) bytes[l] = program.memory(l).size();
  run_on_device<P>(program.binding, bytes, shift);
}
// the largest relative error (norm) of the tensors that a program stores to
template <class P> double error_on_device(RandomProgram<P>& program, std::size_t shift = 0) {
  const auto wanted = interpret<P>(program.binding);
  run_on_device(program, shift);
  return stored_error<P>(program.binding, wanted);
}
template <class P>
double error_on_device(const Extents& extents, std::int32_t first_integer = 0, std::size_t shift = 0, float scale = 0.5f) {
  RandomProgram<P> program(extents, 7, first_integer, scale);
  return error_on_device(program, shift);
}

// rounding to a format is at most half a unit in the last place: of f32 after some operations, of bf16 (8 bits), of f16 (11 bits)
inline constexpr double f32_tolerance = 2e-6, bf16_tolerance = 0x1p-9, f16_tolerance = 0x1p-12;

}  // namespace weft
