// contraction: sums of products with any prologue on the left, any number of right operands and any epilogue. Few rows: weights are
// streamed once (contraction_few.cuh). Many rows: tiles, on tensor cores where weights are in blocks (contraction_blocks.cuh), or where
// both operands are bf16 or f16 (contraction_many.cuh).
#pragma once
#include <weft/cuda/contraction_blocks.cuh>
#include <weft/cuda/contraction_few.cuh>
#include <weft/cuda/contraction_many.cuh>

namespace weft::cuda {

template <class P, int k> struct ContractionKernel {
  using Few = ContractionOfFewRows<P, k>;
  using Many = std::conditional_t<ContractionFacts<P, k>::all_in_blocks, ContractionOfBlocks<P, k>, ContractionOfManyRows<P, k>>;

  // enough for these rows and for any fewer
  static std::size_t workspace(const Binding<P>& b) {
    if constexpr (FewFacts<P, k>::reads_right_operands) {
      if (Few::suits(b)) return 0;
    }
    return Many::workspace(b);
  }
  static void run(const Binding<P>& b, std::byte* memory, cudaStream_t stream) {
    if constexpr (FewFacts<P, k>::reads_right_operands) {
      if (Few::suits(b)) {
        Few::run(b, stream);
        return;
      }
    }
    Many::run(b, memory, stream);
  }
};

}  // namespace weft::cuda
