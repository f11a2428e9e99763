// evaluate: runs a formula on tensors in the memory of a device.
//   evaluate(on_cuda, formula, out, in...)    stores formula(in...) to out with an executor of the process, and waits for the result
//   evaluate(executor, formula, out, in...)   starts kernels that do so on the executor's stream, and returns
// Tensors are those of weft/core/tensor.hpp, with named axes: out has the axes of the result, in any order, and may be one of the operands
// where each element depends on its own place only. Their memory may come from cuda::Buffer, cudaMalloc or a container of Thrust; it stays
// the caller's. Any dense or strided layout will do; 16-byte aligned rows are fastest. Formulas of the library's layers and of users are the
// same ones that the CPU evaluates. A file that includes Thrust, CUB or libcu++, too, must not say `using namespace weft` at global scope:
// weft::cuda would meet their ::cuda.
#pragma once
#include <weft/cuda/executor.cuh>
#include <weft/plan/trace.hpp>

#include <mutex>

namespace weft {
namespace cuda {

struct Default {
  static Executor& executor() {
    static Executor e;
    return e;
  }
  static std::mutex& turn() {
    static std::mutex m;
    return m;
  }
};

// throws Error where a tensor lies where no kernel can read it
template <class P> void check_memory(const Binding<P>& b) {
  for (int l = 0; l < Binding<P>::leaves; ++l) {
    cudaPointerAttributes facts{};
    check(cudaPointerGetAttributes(&facts, b.view[l].data), "asking where a tensor lies");
    if (facts.type == cudaMemoryTypeUnregistered && b.view[l].data)
      throw Error(std::string("operand ") + Compiled<P>::table.leaf[l].path.text + ": expected memory of a device, found the host's");
  }
}

}  // namespace cuda
inline constexpr cuda::Default on_cuda{};

// Throws Error where the extents of the tensors disagree, naming the operand (out, in0, in1, ...) and the axis, and where a kernel cannot be
// started, with the plan. What goes wrong in a kernel, an index that names nothing among it, is thrown by executor.synchronize(), or see
// Executor::check_each_kernel.
template <class F, class Out, class... In> void evaluate(cuda::Executor& executor, F, const Out& out, const In&... in) {
  using P = typename Traced<F, Out, In...>::self;  // nvcc lets no closure type, F, into the names of kernels
  Binding<P> b = bound<P>(out, in...);
  executor.run(b);
}
// As above; also throws Error for a tensor that does not lie in a device's memory, and, with the plan, for what goes wrong in a kernel.
// Calls from several threads take turns.
template <class F, class Out, class... In> void evaluate(cuda::Default, F, const Out& out, const In&... in) {
  using P = typename Traced<F, Out, In...>::self;
  const std::lock_guard lock(cuda::Default::turn());
  cuda::Executor& executor = cuda::Default::executor();
  Binding<P> b = bound<P>(out, in...);
  cuda::check_memory(b);
  executor.run(b);
  executor.template synchronize<P>();
}

}  // namespace weft
