// A cache of keys and values in q8_0: what a decoder layer stores there and reads again is what its formula says, in double precision.
#include <doctest/doctest.h>

#include <weft/nn/layers.hpp>

#include "../support/trial.hpp"

using namespace weft;

namespace {

using Hidden = Axis<"hidden", 64>;
using Attention = SelfAttention<"self_attn", Hidden, 4, 2, 64>;
constexpr Input<"x", Activation, Token, Hidden> x{};
constexpr Output<"y", Activation, Token, Hidden> y{};
template <class Storage> struct Layer : decltype(program(assign(y, apply<Attention>(x)))) { using storage = Storage; };

// A stored element within f32 rounding of the middle between two digits may become the other one: 1/127 of the largest of 32, now and then.
constexpr double tolerance = 2e-3;

template <class Storage> void check(double most) {
  for (const long tokens : {1, 3, 9, 40}) {
    Extents e;
    e["token"] = tokens;
    e["key"] = tokens + 5;
    CAPTURE(tokens);
    CHECK(trial<Layer<Storage>>(e, static_cast<unsigned>(tokens), 0.3f, 5) < most);
  }
}

}  // namespace

TEST_CASE("keys and values in q8_0") { check<Stored<float, float, q8_0, float>>(tolerance); }
TEST_CASE("keys and values in f16") { check<Stored<float, float, f16, float>>(tolerance); }
