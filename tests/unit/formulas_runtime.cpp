// All formulas with extents known only at run time.
#include "../support/formula_check.hpp"

using namespace weft;

TEST_CASE("runtime extents") {
  check_formulas<formulas::Open<8, float>>({{"hidden", 33},
                                            {"inter", 21},
                                            {"kv_head", 2},
                                            {"group", 3},
                                            {"head", 6},
                                            {"q_dim", 48},
                                            {"kv_dim", 16},
                                            {"vocab", 45},
                                            {"rank", 5}});
}
