// Every formula of support/formulas.hpp runs on the CPU and gives what the interpreter gives in double precision: few rows and many, ragged
// extents, extents known at compile time or at run time, weights in f32 and bf16.
#include <doctest/doctest.h>

#include "../support/formulas.hpp"
#include "../support/trial.hpp"

using namespace weft;
using F32 = formulas::Of<24, 20, 2, 3, 8, 40, float>;
using Bf16 = formulas::Of<40, 36, 1, 7, 16, 50, bf16>;
using Open = formulas::Open<8, float>;

// f32 sums of up to a few dozen products: rounding errors of a few units in the last place, growing with the depth of the formula
constexpr double tolerance = 2e-6;

template <class P> void check(const char* name, const Extents& more = {}, std::int32_t past = 0) {
  for (const long tokens : {1, 2, 3, 5, 8, 9, 13, 30}) {
    Extents e = more;
    e["token"] = tokens;
    e["key"] = tokens + past;
    CAPTURE(std::string(name));
    CAPTURE(tokens);
    CHECK(trial<P>(e, static_cast<unsigned>(tokens), 0.5f, past) < tolerance);
  }
}
template <class F> void check_all(const Extents& more) {
  check<typename F::RmsNorm>("rms_norm", more);
  check<typename F::SwiGlu>("swiglu", more);
  check<typename F::GeGlu>("geglu", more);
  check<typename F::Down>("down", more);
  check<typename F::Qkv>("qkv", more, 4);
  check<typename F::HeadNorm>("head norm", more, 3);
  check<typename F::Attention>("attention", more, 21);
  check<typename F::Capped>("capped", more, 70);
  check<typename F::Sigmoid>("sigmoid", more, 5);
  check<typename F::Sink>("sink", more, 300);
  check<typename F::Router>("router", more);
  check<typename F::Lora>("lora", more);
  check<typename F::Loss>("loss", more);
  check<typename F::Parallel>("parallel", more);
  check<typename F::PostNorm>("post norm", more);
  check<typename F::WithoutCache>("without cache", more);
  check<typename F::Layer>("layer", more, 6);
}
TEST_CASE("static extents, f32 weights") { check_all<F32>({}); }
TEST_CASE("static extents, bf16 weights") { check_all<Bf16>({}); }
TEST_CASE("runtime extents") {
  check_all<Open>({{"hidden", 33},
                   {"inter", 21},
                   {"kv_head", 2},
                   {"group", 3},
                   {"head", 6},
                   {"q_dim", 48},
                   {"kv_dim", 16},
                   {"vocab", 45},
                   {"rank", 5}});
}
