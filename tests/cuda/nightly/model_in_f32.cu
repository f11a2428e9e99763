// the programs of a model in f32, for the device
#include <weft/cuda/kernels.cuh>
#include <weft/models/qwen2.hpp>

using namespace weft;

template struct weft::cuda::Kernels<EmbedProgram<Qwen2Runtime<64>, Stored<float>>>;
template struct weft::cuda::Kernels<LayerProgram<Qwen2Runtime<64>, Stored<float>>>;
template struct weft::cuda::Kernels<HeadProgram<Qwen2Runtime<64>, Stored<float>>>;
