#pragma once
#include <string>

namespace weft::benchmarks {

struct ModelRun {
  std::string model;
  long prefill = 512, decode = 64, repeat = 3;
};
// Times a whole model with random weights; prints a table. Throws Error for an unknown name.
void run_model(const ModelRun& run);

}  // namespace weft::benchmarks
