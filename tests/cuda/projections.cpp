// Projections of formulas in f32 on the device give what double precision gives: several segments, heads that are normalised and rotated,
// several left operands, reductions over a tile.
#include "check.hpp"
#include "contraction_programs.hpp"

using namespace weft;
using namespace weft::contractions;

template <class P> void check(const Extents& more = {}, std::int32_t past = 0) {
  for (const long tokens : {1, 3, 8, 9, 67}) {
    CAPTURE(tokens);
    Extents e = more;
    e["token"] = tokens;
    e["key"] = tokens + past;
    CHECK(error_on_device<P>(e, past) < f32_tolerance);
  }
}
TEST_CASE("queries, keys and values") {
  check<Open::Qkv>({{"hidden", 40}, {"kv_head", 2}, {"group", 3}, {"head", 6}, {"q_dim", 96}, {"kv_dim", 32}}, 4);
  check<Open::Qkv>({{"hidden", 33}, {"kv_head", 1}, {"group", 2}, {"head", 2}, {"q_dim", 32}, {"kv_dim", 16}});
}
TEST_CASE("heads that are normalised") { check<Small::HeadNorm>({}, 3); }
TEST_CASE("a softmax over a tile") { check<Small::Router>(); }
TEST_CASE("low rank") { check<Small::Lora>(); }
TEST_CASE("a row of logits") { check<Small::Loss>(); }
TEST_CASE("two left operands") { check<Small::Parallel>(); }
