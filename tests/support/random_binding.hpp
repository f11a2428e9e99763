// random_binding: memory with random values for all leaves of a program, for tests of values
#pragma once
#include <weft/core/tensor.hpp>
#include <weft/plan/binding.hpp>

#include <random>
#include <vector>

namespace weft {

template <class P> struct RandomBinding {
  Binding<P> binding;
  std::vector<Memory> memory;

  // sets the runtime axes by (name, extent); reals are normal, whole numbers are 0, 1, 2 ... from `first_index` on
  RandomBinding(std::initializer_list<std::pair<const char*, long>> extents, unsigned seed, int first_index = 0) {
    for (const auto& [name, extent] : extents) change_extent(binding, name, extent);
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (int l = 0; l < Compiled<P>::table.leaves; ++l) {
      const LeafRecord& r = Compiled<P>::table.leaf[l];
      long n = 1;
      for (int d = 0; d < r.axes; ++d) n *= binding.extent[r.axis[d]];
      memory.emplace_back(static_cast<std::size_t>(n * bytes_of(r.dtype)));
      bind_dense(binding, l, memory.back().data());
      for (long i = 0; i < n; ++i) {
        const float x = normal(random);
        if (r.dtype == DType::f32) memory.back().template as<float>()[i] = x;
        if (r.dtype == DType::bf16) memory.back().template as<bf16>()[i] = to_bf16(x);
        if (r.dtype == DType::f16) memory.back().template as<f16>()[i] = to_f16(x);
        if (r.dtype == DType::i32) memory.back().template as<std::int32_t>()[i] = first_index + static_cast<std::int32_t>(i);
      }
    }
  }
  template <class T> T* data(const char* path) { return memory[static_cast<std::size_t>(leaf_number<P>(path))].template as<T>(); }
};

}  // namespace weft
