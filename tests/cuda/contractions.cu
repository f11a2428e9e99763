// programs of the skeleton contraction, for the device
#include "../support/selection_programs.hpp"
#include "contraction_programs.hpp"
#include "on_device.cuh"

namespace weft {

#define WEFT_RUN(...) template void run_on_device<__VA_ARGS__>(const Binding<__VA_ARGS__>&, const std::size_t*, std::size_t);
WEFT_RUN(contractions::Bf16::Gated)
WEFT_RUN(contractions::Bf16::Down)
WEFT_RUN(contractions::Bf16::Projected)
WEFT_RUN(skeletons::Product<float, bf16, bf16>::P)
WEFT_RUN(skeletons::Product<float, f16, f16>::P)
WEFT_RUN(skeletons::Batched)
WEFT_RUN(contractions::WideTile<bf16, bf16>::Normed)
WEFT_RUN(selections::Router60)
WEFT_RUN(selections::Router64)

}  // namespace weft
