// programs of the skeletons map and row, for the device
#include "../support/selection_programs.hpp"
#include "on_device.cuh"
#include "row_programs.hpp"

namespace weft {

#define WEFT_RUN(...) template void run_on_device<__VA_ARGS__>(const Binding<__VA_ARGS__>&, const std::size_t*, std::size_t);
WEFT_RUN(rows::Small::RmsNorm)
WEFT_RUN(rows::Open::RmsNorm)
WEFT_RUN(rows::LayerNorm<rows::Open>)
WEFT_RUN(rows::Softmax<float, bf16, rows::Fixed>)
WEFT_RUN(rows::Softmax<f16, float, rows::Wide>)
WEFT_RUN(rows::TwoAxes)
WEFT_RUN(rows::Embedding<bf16>)
WEFT_RUN(rows::Embedding<q4_0>)
WEFT_RUN(rows::InPlace)
WEFT_RUN(skeletons::RowSum)
WEFT_RUN(skeletons::Outer)
WEFT_RUN(selections::Best<float>)
WEFT_RUN(selections::BestOfColumns)
WEFT_RUN(selections::ThirdBest)
WEFT_RUN(selections::Met<float>)
WEFT_RUN(selections::Met<bf16>)
WEFT_RUN(selections::Counted)

}  // namespace weft
