// programs whose weights, or whose results, are in blocks, for the device
#include "contraction_programs.hpp"
#include "on_device.cuh"

namespace weft {

#define WEFT_RUN(...) template void run_on_device<__VA_ARGS__>(const Binding<__VA_ARGS__>&, const std::size_t*, std::size_t);
WEFT_RUN(contractions::InBlocks<any_block>::Exact)
WEFT_RUN(contractions::InBlocks<any_block>::Digits)
WEFT_RUN(contractions::InBlocks<q5_k>::Mixed)
WEFT_RUN(contractions::InBlocks<q4_0>::Cached)
WEFT_RUN(contractions::WideTile<float, any_block>::Normed)
WEFT_RUN(contractions::StoredInBlocks::Both)

}  // namespace weft
