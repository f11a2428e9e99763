#include "layers.hpp"

namespace weft::benchmarks {

void add_bf16_layers(const Selection& selection) { add_layers<Stored<bf16>>(selection, DType::bf16); }

}  // namespace weft::benchmarks
