// evaluate: runs a formula on tensors in the memory of a device. evaluate(executor, formula, out, in...) starts kernels that store
// formula(in...) to out; evaluate(on_cuda, ...) uses an executor of the process and waits for the result.
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

}  // namespace cuda
inline constexpr cuda::Default on_cuda{};

// throws Error where the extents of the tensors disagree
template <class F, class Out, class... In> void evaluate(cuda::Executor& executor, F, const Out& out, const In&... in) {
  using P = typename Traced<F, Out, In...>::self;  // nvcc lets no closure type, F, into the names of kernels
  Binding<P> b = bound<P>(out, in...);
  executor.run(b);
}
template <class F, class Out, class... In> void evaluate(cuda::Default, F f, const Out& out, const In&... in) {
  const std::lock_guard lock(cuda::Default::turn());
  evaluate(cuda::Default::executor(), f, out, in...);
  cuda::Default::executor().synchronize();
}

}  // namespace weft
