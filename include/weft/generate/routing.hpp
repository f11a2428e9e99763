// routing: through which experts the tokens of a session pass, for those who ask (SessionSettings::routing).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace weft {

class RoutingObserver {
 public:
  virtual ~RoutingObserver() = default;
  // Layer `layer` has computed some tokens, each of which passed through `each` of its `experts` experts. choices: [token, each], the
  // tokens in the order of the text, the most probable expert first. It is valid during the call only.
  virtual void on_choices(long layer, long experts, long each, std::span<const std::int32_t> choices) = 0;
};

// Counts how often each expert was chosen, by the tokens of a prompt and those that were generated. One counter may observe several sessions
// that take turns.
class RoutingCounts final : public RoutingObserver {
 public:
  struct Layer {
    long number = 0;          // in the model: layers without experts are not listed
    long each = 0;            // experts that a token passes through
    std::vector<long> count;  // by expert: the tokens that passed through it

    long choices() const { return std::accumulate(count.begin(), count.end(), 0L); }
    long tokens() const { return each > 0 ? choices() / each : 0; }
    // of all choices; the shares of a layer sum to 1
    double share(std::size_t expert) const {
      const long all = choices();
      return all > 0 ? static_cast<double>(count[expert]) / static_cast<double>(all) : 0;
    }
    // -sum of share * log(share), in nats: log(number of experts) where all are equally busy, 0 where one has everything
    double entropy() const {
      double sum = 0;
      for (std::size_t e = 0; e < count.size(); ++e)
        if (const double p = share(e); p > 0) sum -= p * std::log(p);
      return sum;
    }
    double largest_entropy() const { return count.empty() ? 0 : std::log(static_cast<double>(count.size())); }
    // the expert that was chosen most and the one that was chosen least; of equal ones the first
    std::size_t busiest() const { return static_cast<std::size_t>(std::max_element(count.begin(), count.end()) - count.begin()); }
    std::size_t idlest() const { return static_cast<std::size_t>(std::min_element(count.begin(), count.end()) - count.begin()); }
    long never_chosen() const { return std::count(count.begin(), count.end(), 0L); }
  };

  // the layers with experts through which tokens went, in the order of the model; empty for a dense model
  const std::vector<Layer>& layers() const { return layers_; }

  void on_choices(long layer, long experts, long each, std::span<const std::int32_t> choices) override {
    auto at = std::lower_bound(layers_.begin(), layers_.end(), layer, [](const Layer& l, long number) { return l.number < number; });
    if (at == layers_.end() || at->number != layer)
      at = layers_.insert(at, {layer, each, std::vector<long>(static_cast<std::size_t>(experts))});
    for (const std::int32_t expert : choices)
      if (expert >= 0 && expert < experts) ++at->count[static_cast<std::size_t>(expert)];  // a NaN chooses none
  }

 private:
  std::vector<Layer> layers_;
};

}  // namespace weft
