#include "../cuda_models.hpp"

std::vector<weft::CompiledModel> cuda_models() {
  throw weft::Error("--device cuda: this program was built without kernels for CUDA devices; build it with nvcc and WEFT_CUDA=ON");
}
