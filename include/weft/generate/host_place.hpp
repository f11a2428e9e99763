// host_place: where a session works whose programs read and write the host's memory (see model_session.hpp).
#pragma once
#include <cstring>
#include <vector>

#include "weft/core/tensor.hpp"
#include "weft/generate/weights.hpp"

namespace weft {

// Executor: reserve(binding), run(binding). Executor and weights are shared and must outlive the place; places that share an executor take
// turns.
template <class Executor> class HostPlace {
 public:
  static constexpr bool is_host = true;
  HostPlace(Executor& executor, const Weights& weights) : executor_(executor), weights_(weights) {}

  std::byte* allocate(std::size_t bytes) { return memory_.emplace_back(bytes).data(); }
  void write(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }
  const std::byte* parameter(int row, long block) const { return weights_.data(row, block); }
  void* const* parts(int row, long block) const { return weights_.parts(row, block); }
  template <class P> void reserve(const Binding<P>& b) { executor_.reserve(b); }
  template <class P> void run(Binding<P>& b) { executor_.run(b); }

 private:
  Executor& executor_;
  const Weights& weights_;
  std::vector<Memory> memory_;
};

}  // namespace weft
