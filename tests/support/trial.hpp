// trial: a program on random data, run by the executor and by the interpreter; how far they are apart. The oracle of every skeleton.
#pragma once
#include <weft/cpu/executor.hpp>

#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "interpreter.hpp"

namespace weft {

using Extents = std::map<std::string, long>;

template <class P> class Trial {
 public:
  static constexpr auto& table = Compiled<P>::table;
  Binding<P> binding;

  // extents: of the axes known only at run time. Reals are normal with a standard deviation of `scale`, integers count up from `first_integer`.
  explicit Trial(const Extents& extents, unsigned seed = 1, float scale = 1.f, std::int32_t first_integer = 0) : random_(seed) {
    for (int a = 0; a < table.axes; ++a)
      if (binding.extent[a] == runtime)
        if (const auto e = extents.find(table.axis[a].name); e != extents.end()) set_extent(binding, a, e->second, "trial");
    for (int l = 0; l < table.leaves; ++l) {
      const LeafRecord& leaf = table.leaf[l];
      long n = 1;
      for (int d = 0; d < leaf.axes; ++d) n *= binding.extent[leaf.axis[d]];
      memory_.emplace_back(static_cast<std::size_t>(n * bytes_of(leaf.dtype)));
      std::normal_distribution<float> normal(0.f, scale);
      for (long i = 0; i < n; ++i) put(memory_.back().data(), leaf.dtype, i, leaf.dtype == DType::i32 ? static_cast<float>(first_integer + i) : normal(random_));
      bind_dense(binding, l, memory_.back().data());
    }
  }

  std::vector<std::vector<double>> expected() const { return interpret<P>(binding); }
  std::vector<double> found(int leaf) const { return read_leaf(binding, leaf); }
  const Memory& memory(int leaf) const { return memory_[static_cast<std::size_t>(leaf)]; }
  void set(const char* path, std::vector<float> values) {
    const int l = leaf_number<P>(path);
    for (std::size_t i = 0; i < values.size(); ++i) put(memory_[static_cast<std::size_t>(l)].data(), table.leaf[l].dtype, static_cast<long>(i), values[i]);
  }

  // runs both and gives the largest relative error (norm) of the leaves that the program stores to
  double error(cpu::Executor& executor) {
    const auto wanted = expected();
    executor.run(binding);
    double worst = 0;
    for (int q = 0; q < table.statements; ++q) {
      const int l = table.record[table.statement[q].target].number;
      const std::vector<double> got = found(l);
      double distance = 0, size = 0;
      for (std::size_t i = 0; i < got.size(); ++i) {
        const double w = wanted[static_cast<std::size_t>(l)][i];
        distance += (got[i] - w) * (got[i] - w);
        size += w * w;
        if (std::isnan(got[i]) != std::isnan(w)) return std::numeric_limits<double>::infinity();
      }
      worst = std::max(worst, std::sqrt(distance / std::max(size, 1e-300)));
    }
    return worst;
  }

 private:
  static void put(std::byte* memory, DType t, long i, float x) {
    if (t == DType::f32) reinterpret_cast<float*>(memory)[i] = x;
    if (t == DType::i32) reinterpret_cast<std::int32_t*>(memory)[i] = static_cast<std::int32_t>(x);
    if (t == DType::bf16) reinterpret_cast<bf16*>(memory)[i] = to_bf16(x);
    if (t == DType::f16) reinterpret_cast<f16*>(memory)[i] = to_f16(x);
  }
  std::mt19937 random_;
  std::vector<Memory> memory_;
};

// the relative error of one run on two threads
template <class P> double trial(const Extents& extents, unsigned seed = 1, float scale = 1.f, std::int32_t first_integer = 0) {
  static cpu::Executor executor(2);
  return Trial<P>(extents, seed, scale, first_integer).error(executor);
}

}  // namespace weft
