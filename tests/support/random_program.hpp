// random_program: memory with random numbers for every leaf of a program.
#pragma once
#include <weft/core/quantize.hpp>
#include <weft/core/tensor.hpp>
#include <weft/plan/binding.hpp>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace weft {

using Extents = std::map<std::string, long>;

template <class P> class RandomProgram {
 public:
  static constexpr auto& table = Compiled<P>::table;
  Binding<P> binding;

  // extents: of the axes known only at run time. Reals are normal with a standard deviation of `scale`, integers count up from `first_integer`.
  // any: the format of leaves of any_block
  explicit RandomProgram(const Extents& extents, unsigned seed = 1, std::int32_t first_integer = 0, float scale = 1.f,
                         DType any = DType::q8_0)
      : random_(seed) {
    for (int a = 0; a < table.axes; ++a)
      if (binding.extent[a] == runtime)
        if (const auto e = extents.find(table.axis[a].name); e != extents.end()) set_extent(binding, a, e->second, "random program");
    std::normal_distribution<float> normal(0.f, scale);
    std::vector<float> some(65521);  // a prime, so that rows of a matrix do not repeat
    for (float& x : some) x = normal(random_);
    for (int l = 0; l < table.leaves; ++l) {
      const LeafRecord& leaf = table.leaf[l];
      long n = 1;
      for (int d = 0; d < leaf.axes; ++d) n *= binding.extent[leaf.axis[d]];
      const DType format = leaf.dtype == DType::any_block ? any : leaf.dtype;
      memory_.emplace_back(static_cast<std::size_t>(bytes_for(format, n)));
      const auto start = static_cast<long>(random_() % some.size());
      if (is_block(format)) {
        std::vector<float> values(static_cast<std::size_t>(n));
        for (long i = 0; i < n; ++i) values[static_cast<std::size_t>(i)] = some[static_cast<std::size_t>(start + i) % some.size()];
        quantize_row(values.data(), n, format, memory_.back().data());
      }
      for (long i = 0; i < n && !is_block(format); ++i)
        put(l, i,
            leaf.dtype == DType::i32 ? static_cast<float>(first_integer + i) : some[static_cast<std::size_t>(start + i) % some.size()]);
      bind_dense(binding, l, memory_.back().data(), format);
    }
  }
  const Memory& memory(int leaf) const { return memory_[static_cast<std::size_t>(leaf)]; }
  template <class T> T* data(const char* path) { return memory(leaf_number<P>(path)).template as<T>(); }
  void set(const char* path, const std::vector<float>& values) {
    const int l = leaf_number<P>(path);
    for (std::size_t i = 0; i < values.size(); ++i) put(l, static_cast<long>(i), values[i]);
  }

 private:
  void put(int leaf, long i, float x) {
    std::byte* data = memory_[static_cast<std::size_t>(leaf)].data();
    const DType t = table.leaf[leaf].dtype;
    if (t == DType::f32) reinterpret_cast<float*>(data)[i] = x;
    if (t == DType::i32) reinterpret_cast<std::int32_t*>(data)[i] = static_cast<std::int32_t>(x);
    if (t == DType::bf16) reinterpret_cast<bf16*>(data)[i] = to_bf16(x);
    if (t == DType::f16) reinterpret_cast<f16*>(data)[i] = to_f16(x);
  }
  std::mt19937 random_;
  std::vector<Memory> memory_;
};

}  // namespace weft
