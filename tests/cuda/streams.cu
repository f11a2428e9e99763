// programs of the skeleton stream, for the device
#include "on_device.cuh"
#include "stream_programs.hpp"

namespace weft {

#define WEFT_RUN(...) template void run_on_device<__VA_ARGS__>(const Binding<__VA_ARGS__>&, const std::size_t*, std::size_t);
WEFT_RUN(streams::InBf16<64>::Attention)
WEFT_RUN(streams::InBf16<128>::Attention)
WEFT_RUN(streams::Small::Capped)
WEFT_RUN(skeletons::Streamed)

}  // namespace weft
