// formula_check: every formula of formulas.hpp runs on the CPU and gives what the interpreter gives in double precision: few rows and many,
// ragged extents.
#pragma once
#include <doctest/doctest.h>

#include "formulas.hpp"
#include "trial.hpp"

namespace weft {

// f32 sums of up to a few dozen products: rounding errors of a few units in the last place, growing with the depth of the formula
inline constexpr double formula_tolerance = 2e-6;

template <class P> void check_formula(const char* name, const Extents& more = {}, std::int32_t past = 0) {
  for (const long tokens : {1, 2, 3, 5, 8, 9, 13, 30}) {
    Extents e = more;
    e["token"] = tokens;
    e["key"] = tokens + past;
    CAPTURE(std::string(name));
    CAPTURE(tokens);
    CHECK(trial<P>(e, static_cast<unsigned>(tokens), 0.5f, past) < formula_tolerance);
  }
}
template <class F> void check_formulas(const Extents& more) {
  check_formula<typename F::RmsNorm>("rms_norm", more);
  check_formula<typename F::SwiGlu>("swiglu", more);
  check_formula<typename F::GeGlu>("geglu", more);
  check_formula<typename F::Down>("down", more);
  check_formula<typename F::Qkv>("qkv", more, 4);
  check_formula<typename F::HeadNorm>("head norm", more, 3);
  check_formula<typename F::Attention>("attention", more, 21);
  check_formula<typename F::Capped>("capped", more, 70);
  check_formula<typename F::Sigmoid>("sigmoid", more, 5);
  check_formula<typename F::Sink>("sink", more, 300);
  check_formula<typename F::Router>("router", more);
  check_formula<typename F::Lora>("lora", more);
  check_formula<typename F::Loss>("loss", more);
  check_formula<typename F::Parallel>("parallel", more);
  check_formula<typename F::PostNorm>("post norm", more);
  check_formula<typename F::WithoutCache>("without cache", more);
  check_formula<typename F::Layer>("layer", more, 6);
}

}  // namespace weft
