// experts: mixtures of experts as formulas. A router gives each token a probability for each expert; the token passes through the few with the
// largest, whose outputs are added up, weighted.
#pragma once
#include <weft/nn/layers.hpp>

namespace weft {

// Which experts a token passes through, and with which weights: the largest of p[token, expert], values and indices [token, Choice], the most
// probable first. Weights may be made to sum to 1. Order, ties and NaN are those of top_k: of experts that are equally probable the first is
// taken, also where only rounding has made them equal, as it often does router logits in bf16; transformers (torch.topk) may take another of
// them then. A NaN in a row of p is an Error when its experts are to be multiplied.
enum class ChoiceWeights { as_they_are, normalised };
template <class Expert, class Choice, ChoiceWeights kind = ChoiceWeights::as_they_are> constexpr auto choose(auto p) {
  const auto best = top_k<Expert, Choice>(p);
  if constexpr (kind == ChoiceWeights::normalised) {
    const auto weights = best.values / sum<Choice>(best.values);
    return Largest<std::remove_const_t<decltype(weights)>, decltype(best.indices)>{weights, best.indices};
  } else {
    return best;
  }
}

// gate, up: [Expert, Inter, Hidden], down: [Expert, Hidden, Inter]; y[token, Choice, Hidden], what each chosen expert makes of x[token, Hidden]
template <class Expert, class Hidden, class Inter> constexpr auto gated_experts(auto x, auto index, auto gate, auto up, auto down) {
  auto in = multiplicand<Hidden>(x);
  auto g = rounded(dot<Hidden>(in, gather<Expert>(gate, index)));
  auto u = rounded(dot<Hidden>(in, gather<Expert>(up, index)));
  return rounded(dot<Inter>(multiplicand<Inter>(rounded(rounded(silu(g)) * u)), gather<Expert>(down, index)));
}

}  // namespace weft
