// executor: runs a program on the threads that it owns. It owns threads and a workspace, never data; results do not depend on the number of
// threads. One program is one parallel region: its kernels follow each other with a barrier between them.
#pragma once
#include <weft/core/tensor.hpp>
#include <weft/cpu/accumulate.hpp>
#include <weft/cpu/contraction.hpp>
#include <weft/cpu/profile.hpp>
#include <weft/cpu/route.hpp>
#include <weft/cpu/row.hpp>
#include <weft/cpu/select.hpp>
#include <weft/cpu/stream.hpp>

namespace weft::cpu {

template <class P, int k> struct kernel_of {
  static constexpr Skeleton skeleton = plan_of<P>.kernel[k].skeleton;
  static constexpr auto& first_store = plan_of<P>.store[plan_of<P>.kernel[k].segment[0].store[0]];
  static auto choose() {
    if constexpr (skeleton == Skeleton::contraction)
      return ContractionKernel<P, k>{};
    else if constexpr (skeleton == Skeleton::stream)
      return StreamKernel<P, k>{};
    else if constexpr (skeleton == Skeleton::route)
      return RouteKernel<P, k>{};
    else if constexpr (plan_of<P>.node[first_store.node].kind == NodeKind::top_k)
      return SelectKernel<P, k>{};
    else if constexpr (first_store.kind == OutputKind::accumulate)
      return AccumulateKernel<P, k>{};
    else
      return RowKernel<P, k>{};
  }
  using type = decltype(choose());
};

class Executor {
 public:
  // threads: 0 takes as many as the machine has
  explicit Executor(int threads = 0) : threads_(threads > 0 ? threads : Threads::hardware()), team_(threads_) {}
  int threads() const { return threads_.size(); }
  Threads& pool() { return threads_; }

  // the bytes that a program needs beside its arguments: temporaries, and the largest workspace of its kernels
  template <class P> std::size_t workspace_bytes(const Binding<P>& b) const {
    std::size_t kernel = 0;
    unroll<plan_of<P>.kernels>([&](auto k) {
      const std::size_t bytes = kernel_of<P, k>::type::workspace(b, threads_.size());
      kernel = bytes > kernel ? bytes : kernel;
    });
    return temporary_bytes(b) + kernel;
  }
  // grows the workspace so that run does not have to
  template <class P> void reserve(const Binding<P>& b) { grow(workspace_bytes(b)); }

  // From now on `recorder` is told of every run (see Profile in profile_report.hpp); nullptr ends it.
  void record(Recorder* recorder) { recorder_ = recorder; }

  // executes all kernels of a program; allocates nothing if the workspace suffices
  template <class P> void run(Binding<P>& b) {
    grow(workspace_bytes(b));
    bind_temporaries(b, workspace_.data());
    std::byte* rest = workspace_.data() + temporary_bytes(b);
    team_.begin();
    long clock[plan_of<P>.kernels + 1];  // of thread 0, between the barriers
    if (recorder_) clock[0] = nanoseconds_now();
    threads_.run([&](int thread) {
      Worker worker(team_, thread);
      const TileScope tiles;
      unroll<plan_of<P>.kernels>([&](auto k) {
        if constexpr (k > 0) {
          worker.sync();
          if (recorder_ && thread == 0) clock[k] = nanoseconds_now();
        }
        kernel_of<P, k>::type::run(b, worker, rest);
      });
    });
    if (recorder_) {
      clock[plan_of<P>.kernels] = nanoseconds_now();
      tell(*recorder_, b, clock);
    }
  }

 private:
  void grow(std::size_t bytes) {
    if (workspace_.size() < bytes) workspace_ = Memory(bytes);
  }
  Threads threads_;
  Team team_;
  Memory workspace_;
  Recorder* recorder_ = nullptr;
};

}  // namespace weft::cpu
