// What compile_time.py compiles: the headers, and with -DWEFT_PROGRAM=Norm (or another layer) the kernels of that program.
#include <weft/cpu/executor.hpp>

#include "layer_programs.hpp"

#if defined(WEFT_PROGRAM)
namespace weft {
using Timed = benchmarks::HeadLayers<Stored<WEFT_FORMAT>, 64>::WEFT_PROGRAM;
template void cpu::Executor::run<Timed>(Binding<Timed>&);
}  // namespace weft
#endif
