// formulas that the library has never seen, for the device
#include "../unit/unseen/attention_formulas.hpp"
#include "../unit/unseen/pointwise_formulas.hpp"
#include "../unit/unseen/projections_formulas.hpp"
#include "../unit/unseen/routing_formulas.hpp"
#include "on_device.cuh"

namespace weft {

#define WEFT_RUN(...) template void run_on_device<__VA_ARGS__>(const Binding<__VA_ARGS__>&, const std::size_t*, std::size_t);
WEFT_RUN(unseen::attention::SoftCap)
WEFT_RUN(unseen::attention::Alibi)
WEFT_RUN(unseen::attention::Sink)
WEFT_RUN(unseen::attention::Unguarded)
WEFT_RUN(unseen::attention::Banded)
WEFT_RUN(unseen::attention::Sigmoid)
WEFT_RUN(unseen::attention::Paged)
WEFT_RUN(unseen::projections::HeadNorm)
WEFT_RUN(unseen::projections::HeadNormRope)
WEFT_RUN(unseen::projections::ScaledWeight)
WEFT_RUN(unseen::projections::Transposed)
WEFT_RUN(unseen::pointwise::LayerNorm)
WEFT_RUN(unseen::pointwise::GeGlu)
WEFT_RUN(unseen::pointwise::Lora)
WEFT_RUN(unseen::pointwise::GatedResidual)
WEFT_RUN(unseen::pointwise::CrossEntropy)
WEFT_RUN(unseen::routing::Hybrid)
WEFT_RUN(unseen::routing::Grouped)
WEFT_RUN(unseen::routing::ExpertChoice)

}  // namespace weft
