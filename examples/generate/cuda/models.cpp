#include <weft/generate/device_model.hpp>
#include <weft/models/qwen2.hpp>

#include "../cuda_models.hpp"

namespace {

template <long... head_dim> std::vector<weft::CompiledModel> models() {
  return {weft::compiled_device_model<weft::Qwen2Runtime<head_dim>, weft::Stored<weft::bf16>>()...};
}

}  // namespace

std::vector<weft::CompiledModel> cuda_models() { return models<WEFT_CUDA_HEAD_DIMS>(); }
