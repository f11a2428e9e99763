// few_or_many: a kernel that multiplies few rows in one way and many in another, in the same workspace.
#pragma once
#include <weft/cpu/graph.hpp>
#include <weft/cpu/team.hpp>

#include <algorithm>

namespace weft::cpu {

template <class P, class Facts, class Few, class Many> struct FewOrMany {
  // enough for these rows and for any fewer
  static std::size_t workspace(const Binding<P>& b, int threads) {
    Arena many, few;
    Many::layout(b, threads, 0, many);
    Few::layout(b, threads, 0, few);
    return std::max(many.used(), few.used());
  }
  static void run(const Binding<P>& b, Worker& worker, std::byte* memory) {
    if (count_of<P, Facts::rows>(b) == 0) return;
    if (Few::suits(b))
      run_as<Few>(b, worker, memory);
    else
      run_as<Many>(b, worker, memory);
  }

 private:
  template <class How> static void run_as(const Binding<P>& b, Worker& worker, std::byte* memory) {
    Arena arena(memory);
    auto layout = How::layout(b, worker.count(), worker.number(), arena);
    const long batches = count_of<P, Facts::batch>(b);
    for (long n = 0; n < batches; ++n) {
      Index<P> index;
      decode<P, Facts::batch>(b, n, index);
      if (n > 0) worker.sync();
      How::run(b, worker, layout, index);
    }
  }
};

}  // namespace weft::cpu
