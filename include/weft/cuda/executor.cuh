// executor: runs a program on a device. It owns a stream and a workspace, never data; the tensors of a program lie in the device's memory.
// The kernels of a program follow each other on the stream; run() does not wait for them.
#pragma once
#include <weft/cuda/accumulate.cuh>
#include <weft/cuda/complaint.cuh>
#include <weft/cuda/contraction.cuh>
#include <weft/cuda/route.cuh>
#include <weft/cuda/row.cuh>
#include <weft/cuda/select.cuh>
#include <weft/cuda/stream.cuh>
#include <weft/plan/explain.hpp>

namespace weft::cuda {

template <class P, int k> struct kernel_of {
  static auto choose() {
    constexpr Skeleton skeleton = trimmed_plan<P>.kernel[k].skeleton;
    constexpr Store first = trimmed_plan<P>.store[trimmed_plan<P>.kernel[k].segment[0].store[0]];
    constexpr bool selects = trimmed_plan<P>.node[first.node].kind == NodeKind::top_k;
    if constexpr (skeleton == Skeleton::contraction)
      return ContractionKernel<P, k>{};
    else if constexpr (skeleton == Skeleton::stream)
      return StreamKernel<P, k>{};
    else if constexpr (skeleton == Skeleton::route)
      return RouteKernel<P, k>{};
    else if constexpr (selects)
      return SelectKernel<P, k>{};
    else if constexpr (first.kind == OutputKind::accumulate)
      return AccumulateKernel<P, k>{};
    else
      return RowKernel<P, k>{};
  }
  using type = decltype(choose());
};

// Kernels that may complain (complaint.cuh) have
//   static std::string complaint(long row, long index, long count)     what they complain of, in words
//   static long choices(const Binding<P>&)                             `count`: of what an index chooses from
//   static void run(const Binding<P>&, std::byte*, cudaStream_t, Complaint)
template <class Kernel, class P> concept MayComplain = requires(const Binding<P>& b) {
  Kernel::complaint(0, 0, 0);
  Kernel::choices(b);
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
    unroll<trimmed_plan<P>.kernels>([&](auto k) {
      if constexpr (MayComplain<typename kernel_of<P, k>::type, P>) complaints_.prepare();
    });
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
      using K = typename kernel_of<P, k>::type;
      try {
        if constexpr (MayComplain<K, P>)
          K::run(b, rest, stream(), complaints_.of(complaint<P, k>, K::choices(b)));
        else
          K::run(b, rest, stream());
        check(cudaGetLastError(), "starting a kernel");
        if (checks_) check(cudaStreamSynchronize(stream()), "running a kernel");
      } catch (const Error& e) {
        throw Error(e.what() + kernel_in_words<P>(k));
      }
      if (checks_) complaints_.expect_none(stream());
    });
  }
  // Waits. Throws Error where a kernel went wrong since the last time, or met an index that names nothing.
  void synchronize() {
    stream_.synchronize();
    complaints_.expect_none(stream());
  }
  // the same; what went wrong is thrown with the kernels of program P
  template <class P> void synchronize() {
    if (const cudaError_t status = cudaStreamSynchronize(stream()); status != cudaSuccess)
      throw Error(text_of(status, "running a kernel") + ", one of\n" + words<P>());
    complaints_.expect_none(stream());
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
  template <class P> static std::string kernel_in_words(int k) { return ", kernel " + std::to_string(k + 1) + " of\n" + words<P>(); }
  template <class P, int k> static std::string complaint(long row, long index, long count) {
    return kernel_of<P, k>::type::complaint(row, index, count) + kernel_in_words<P>(k);
  }
  DeviceStream stream_;
  Memory workspace_;
  Complaints complaints_;
  bool checks_ = false;
};

}  // namespace weft::cuda
