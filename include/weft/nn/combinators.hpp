// combinators: modules made of modules
#pragma once
#include <weft/nn/module.hpp>

namespace weft {

template <class First, class... Rest> constexpr auto chain(auto x) {
  if constexpr (sizeof...(Rest) == 0)
    return apply<First>(x);
  else
    return chain<Rest...>(apply<First>(x));
}
template <class... Step> struct Chain {
  constexpr auto formula(auto x) const { return chain<Step...>(x); }
};

// x + body(norm(x)), rounded to the format of activations: the pre-norm residual stream
template <class Norm, class Body> struct Residual {
  Use<Norm> norm;
  Use<Body> body;
  constexpr auto formula(auto x) const { return rounded(x + body(norm(x))); }
};

// the same module, stored differently: Storage is a Stored<...>
template <class Storage, class Body> struct As {
  using storage = Storage;
  constexpr auto formula(auto... x) const { return apply<Body>(x...); }
};

}  // namespace weft
