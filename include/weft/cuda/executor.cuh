// executor: runs a program on a device. It owns a stream and a workspace, never data; the tensors of a program lie in the device's memory.
// The kernels of a program follow each other on the stream; run() does not wait for them.
#pragma once
#include <weft/cuda/contraction.cuh>
#include <weft/cuda/row.cuh>
#include <weft/cuda/stream.cuh>
#include <weft/plan/explain.hpp>

namespace weft::cuda {

// what no kernel for devices does yet
template <class P> inline constexpr bool selects_or_accumulates = [] {
  for (int n = 0; n < trimmed_plan<P>.nodes; ++n)
    if (trimmed_plan<P>.node[n].kind == NodeKind::top_k) return true;
  for (int s = 0; s < trimmed_plan<P>.stores; ++s)
    if (trimmed_plan<P>.store[s].kind == OutputKind::accumulate) return true;
  return false;
}();

template <class P, int k> struct kernel_of {
  static auto choose() {
    constexpr Skeleton skeleton = trimmed_plan<P>.kernel[k].skeleton;
    static_assert(skeleton != Skeleton::route, "kernels for devices do not group rows by an index yet: run this program on the CPU");
    static_assert(!selects_or_accumulates<P>,
                  "kernels for devices neither select the largest nor add up rows that meet yet: run this program on the CPU");
    if constexpr (skeleton == Skeleton::contraction)
      return ContractionKernel<P, k>{};
    else if constexpr (skeleton == Skeleton::stream)
      return StreamKernel<P, k>{};
    else
      return RowKernel<P, k>{};
  }
  using type = decltype(choose());
};

class Executor {
 public:
  cudaStream_t stream() const { return stream_.get(); }

  // the bytes that a program needs beside its arguments: temporaries, and the largest workspace of its kernels
  template <class P> static std::size_t workspace_bytes(Binding<P> b) {
    // as they will lie, if not where: what has to be staged depends on it
    bind_temporaries(b, reinterpret_cast<std::byte*>(std::size_t{256}));
    std::size_t kernel = 0;
    unroll<trimmed_plan<P>.kernels>([&](auto k) {
      const std::size_t bytes = kernel_of<P, k>::type::workspace(b);
      kernel = bytes > kernel ? bytes : kernel;
    });
    return temporary_bytes(b) + kernel;
  }
  // grows the workspace so that run does not have to
  template <class P> void reserve(const Binding<P>& b) {
    if (const std::size_t bytes = workspace_bytes(b); workspace_.size() < bytes) {
      stream_.synchronize();  // kernels that use the old one have ended
      workspace_ = Memory(bytes);
    }
  }

  // Starts all kernels of a program; allocates nothing if the workspace suffices. Throws Error where a kernel cannot be started; what goes
  // wrong while it runs is thrown by synchronize(), or at once, with the kernel's formula, after check_each_kernel().
  template <class P> void run(Binding<P>& b) {
    check(cudaGetLastError(), "work on the device before this program");
    for (int l = 0; l < Binding<P>::leaves; ++l)
      if (b.view[l].panel_row != 0 || b.view[l].parts)
        throw Error(std::string("operand ") + Compiled<P>::table.leaf[l].path.text + ": expected rows one after the other, found " +
                    (b.view[l].parts ? "pieces" : "panels") + ", which devices do not read");
    reserve(b);
    bind_temporaries(b, workspace_.data());
    std::byte* rest = workspace_.data() + temporary_bytes(b);
    unroll<trimmed_plan<P>.kernels>([&](auto k) {
      try {
        kernel_of<P, k>::type::run(b, rest, stream());
        check(cudaGetLastError(), "starting a kernel");
        if (checks_) check(cudaStreamSynchronize(stream()), "running a kernel");
      } catch (const Error& e) {
        throw Error(std::string(e.what()) + ", kernel " + std::to_string(k + 1) + " of\n" + words<P>());
      }
    });
  }
  void synchronize() const { stream_.synchronize(); }
  // waits; the error of a kernel that went wrong since then is thrown with the kernels of program P
  template <class P> void synchronize() const {
    if (const cudaError_t status = cudaStreamSynchronize(stream()); status != cudaSuccess)
      throw Error(text_of(status, "running a kernel") + ", one of\n" + words<P>());
  }
  // waits after each kernel, so that an error names it: for debugging
  void check_each_kernel(bool on = true) { checks_ = on; }

 private:
  template <class P> static std::string words() {
#if defined(__CUDA_ARCH__)
    return {};  // the pass that compiles for the device never runs this, and is spared the work
#else
    return explain<P>();
#endif
  }
  DeviceStream stream_;
  Memory workspace_;
  bool checks_ = false;
};

}  // namespace weft::cuda
