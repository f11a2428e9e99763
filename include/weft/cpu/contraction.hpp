// contraction: sums of products with any prologue on the left, any number of right operands and any epilogue. Many rows: panels are packed
// (contraction_many.hpp). Few rows: weights are streamed once (contraction_few.hpp).
#pragma once
#include <weft/cpu/contraction_few.hpp>
#include <weft/cpu/contraction_many.hpp>
#include <weft/cpu/few_or_many.hpp>

namespace weft::cpu {

template <class P, int k> struct ContractionKernel
    : FewOrMany<P, ContractionFacts<P, k>, ContractionOfFewRows<P, k>, ContractionOfManyRows<P, k>> {};

}  // namespace weft::cpu
