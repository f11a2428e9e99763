#include "layers.hpp"

namespace weft::benchmarks {

// one instantiation serves all block formats: which one is bound is known at run time
void add_block_layers(const Selection& selection) {
  for (const DType format : block_formats) add_layers<Stored<any_block>>(selection, format);
}

}  // namespace weft::benchmarks
