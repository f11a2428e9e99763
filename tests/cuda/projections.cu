// formulas of projections in f32, for the device
#include "contraction_programs.hpp"
#include "on_device.cuh"

namespace weft {

#define WEFT_RUN(...) template void run_on_device<__VA_ARGS__>(const Binding<__VA_ARGS__>&, const std::size_t*, std::size_t);
WEFT_RUN(contractions::Open::Qkv)
WEFT_RUN(contractions::Small::HeadNorm)
WEFT_RUN(contractions::Small::Router)
WEFT_RUN(contractions::Small::Lora)
WEFT_RUN(contractions::Small::Loss)
WEFT_RUN(contractions::Small::Parallel)

}  // namespace weft
