// All formulas with extents known at compile time and weights in bf16, on every instruction set.
#include "../support/formula_check.hpp"

using namespace weft;

TEST_CASE("static extents, bf16 weights") { check_formulas<formulas::Of<40, 36, 1, 7, 16, 50, bf16>>({}); }
