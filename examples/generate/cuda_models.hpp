// cuda_models: the model types whose kernels for CUDA devices are part of this program (weft_cuda_models in cmake/WeftCuda.cmake;
// no_cuda/models.cpp where it was built without).
#pragma once
#include <vector>

#include <weft/generate/language_model.hpp>

// throws weft::Error where there are none
std::vector<weft::CompiledModel> cuda_models();
