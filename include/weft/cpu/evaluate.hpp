// evaluate: runs a formula on tensors. evaluate(executor, formula, out, in...) stores formula(in...) to out; evaluate(on_cpu, ...) uses an executor
// of the process with as many threads as the machine has.
#pragma once
#include <weft/cpu/executor.hpp>
#include <weft/plan/trace.hpp>

#include <mutex>

namespace weft {
namespace cpu {

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

}  // namespace cpu
inline constexpr cpu::Default on_cpu{};

// throws Error where the extents of the tensors disagree
template <class F, class Out, class... In> void evaluate(cpu::Executor& executor, F, const Out& out, const In&... in) {
  using P = Traced<F, Out, In...>;
  Binding<P> b = bound<P>(out, in...);
  executor.run(b);
}
template <class F, class Out, class... In> void evaluate(cpu::Default, F f, const Out& out, const In&... in) {
  const std::lock_guard lock(cpu::Default::turn());
  evaluate(cpu::Default::executor(), f, out, in...);
}

}  // namespace weft
