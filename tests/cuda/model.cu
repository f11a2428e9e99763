// the programs of a model, for the device
#include "model_types.hpp"
#include "on_device.cuh"

namespace weft {

#define WEFT_RUN(...) template void run_on_device<__VA_ARGS__>(const Binding<__VA_ARGS__>&, const std::size_t*, std::size_t);
WEFT_RUN(EmbedProgram<tiny::Group7, Stored<bf16>>)
WEFT_RUN(LayerProgram<tiny::Group7, Stored<bf16>>)
WEFT_RUN(HeadProgram<tiny::Group7, Stored<bf16>>)

}  // namespace weft
