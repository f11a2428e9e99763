#include "layers.hpp"

namespace weft::benchmarks {

void add_f32_layers(const Selection& selection) { add_layers<Stored<float>>(selection, DType::f32); }

}  // namespace weft::benchmarks
