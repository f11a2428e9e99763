// The program of the consumer projects: weft is found, and works.
#include <weft/core/dtype.hpp>
#include <cstdio>

int main() {
  const float value = weft::to_float(weft::to_bf16(1.00390625f));  // between two bf16: ties go to the even one
  std::printf("%s %g\n", weft::name_of(weft::DType::bf16), value);
  return value == 1.0f ? 0 : 1;
}
