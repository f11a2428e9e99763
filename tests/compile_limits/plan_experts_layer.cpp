// planning a decoder layer with experts, plain weights and such in blocks
#include <weft/models/qwen2_moe.hpp>
#include <weft/plan/plan_errors.hpp>

using namespace weft;

using Layer = SparseDecoderLayer<qwen2_moe::a2_7b>;
template <class Format> struct LayerWithExperts
    : decltype(program(assign(Output<"y", Activation, Token, Axis<"hidden", 2048>>{},
                              apply<Layer>(Input<"x", Activation, Token, Axis<"hidden", 2048>>{})))) {
  using storage = Format;
};
static_assert(kernel_count<LayerWithExperts<Stored<bf16>>> == 7);
static_assert(kernel_count<LayerWithExperts<Stored<any_block>>> == 8);
