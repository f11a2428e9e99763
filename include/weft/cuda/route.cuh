// route: contractions whose right operand depends on the row, through an index: rows are grouped by that index, and each group is multiplied by its
// own right operand, with any prologue, several right operands and any epilogue, which may add up rows. Few rows: the right operands of the groups
// are streamed once (route_few.cuh). Many rows: tiles of each group (route_many.cuh). Where an index names no group the row is left out, and the
// executor throws Error when it waits.
#pragma once
#include <weft/cuda/route_few.cuh>
#include <weft/cuda/route_many.cuh>

namespace weft::cuda {

template <class P, int k> struct RouteKernel {
  using F = RouteFacts<P, k>;
  using Few = RouteOfFewRows<P, k>;
  using Many = RouteOfManyRows<P, k>;

  static std::string complaint(long row, long index, long count) { return F::complaint(row, index, count); }
  static long choices(const Binding<P>& b) { return F::groups(b); }

  // enough for these rows and for any fewer
  static std::size_t workspace(const Binding<P>& b) { return Few::suits(b) ? 0 : Many::workspace(b); }
  static void run(const Binding<P>& b, std::byte* memory, cudaStream_t stream, const Complaint& complaint = {}) {
    if (F::row_count(b) == 0) return;
    if constexpr (FewFacts<P, k>::reads_right_operands) {
      if (Few::suits(b)) {
        Few::run(b, stream, complaint);
        return;
      }
    }
    Many::run(b, memory, stream, complaint);
  }
};

}  // namespace weft::cuda
