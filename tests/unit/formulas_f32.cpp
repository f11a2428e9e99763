// All formulas with extents known at compile time and weights in f32.
#include "../support/formula_check.hpp"

using namespace weft;

TEST_CASE("static extents, f32 weights") { check_formulas<formulas::Of<24, 20, 2, 3, 8, 40, float>>({}); }
