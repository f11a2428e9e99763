// route: contractions whose right operand depends on the row, through an index: rows are grouped by that index, and each group is multiplied by its
// own right operand, with any prologue, several right operands and any epilogue, which may add up rows. Many rows: panels are packed
// (route_many.hpp). Few rows: the right operands of the groups are streamed once (route_few.hpp).
//
// Rows are added up in the ascending order of their groups, each sum by one thread: so results depend neither on the number of threads nor on
// which other rows are computed.
#pragma once
#include <weft/cpu/route_few.hpp>
#include <weft/cpu/route_many.hpp>

namespace weft::cpu {

template <class P, int k> struct RouteKernel {
  using Facts = RouteFacts<P, k>;
  using Few = RouteOfFewRows<P, k>;
  using Many = RouteOfManyRows<P, k>;

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
    How::run(b, worker, layout);
  }
};

}  // namespace weft::cpu
