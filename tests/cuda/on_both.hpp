// on_both: a program of a model on random data, on the device and on the CPU.
#pragma once
#include "../support/random_program.hpp"

#include <weft/cpu/executor.hpp>
#include <weft/cuda/kernels.hpp>
#include <weft/generate/model_session.hpp>
#include <weft/models/qwen2.hpp>

#include <cmath>

namespace weft::test {

// A program with the sizes of a model, on random data: how far (norm) what the device stores is from what the CPU stores.
template <class P> class OnBoth {
 public:
  OnBoth(const DecoderDims& dims, long tokens, long past)
      : program_(extents(dims, tokens, past), 3, static_cast<std::int32_t>(past), 0.1f) {
    std::vector<float> frequencies(static_cast<std::size_t>(dims.head_dim / 2));
    inverse_frequencies(1e6, frequencies);
    set("rms_norm_eps", {1e-6f});
    set("norm_topk_prob", {1.f});
    set("window", {static_cast<float>(everything_is_visible)});
    set("inverse_frequency", frequencies);
  }
  double distance() {
    const auto device = cuda::Kernels<P>::open();
    Binding<P> there = program_.binding;
    for (int l = 0; l < Binding<P>::leaves; ++l) {
      const Memory& memory = program_.memory(l);
      there.view[l].data = device->allocate(memory.size());
      device->write(there.view[l].data, memory.data(), memory.size());
    }
    cuda::Kernels<P>::run(*device, there);
    cpu::Executor executor(2);
    executor.run(program_.binding);
    double worst = 0;
    for (int l = 0; l < Binding<P>::leaves; ++l) {
      if (!stores_to<P>(l)) continue;
      const Memory& memory = program_.memory(l);
      Memory got(memory.size());
      device->read(got.data(), there.view[l].data, got.size());
      const double d = distance(got, memory, there.view[l].format);
      if (std::isnan(d)) return d;  // which no tolerance allows
      worst = std::max(worst, d);
    }
    return worst;
  }

 private:
  void set(const char* path, const std::vector<float>& values) {
    if (leaf_number<P>(path) >= 0) program_.set(path, values);
  }
  static Extents extents(const DecoderDims& dims, long tokens, long past) {
    Extents extents;
    for (int a = 0; a < Compiled<P>::table.axes; ++a) {
      const std::string axis = Compiled<P>::table.axis[a].name;
      extents[axis] = axis == "token" ? tokens : axis == "key" ? past + tokens : dims.extent_of(axis);
    }
    return extents;
  }
  static double distance(const Memory& got, const Memory& wanted, DType format) {
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < got.size() / static_cast<std::size_t>(bytes_of(format)); ++i) {
      const auto at = [&](const Memory& m) {
        return static_cast<double>(format == DType::bf16 ? to_float(m.as<bf16>()[i]) : m.as<float>()[i]);
      };
      difference += (at(got) - at(wanted)) * (at(got) - at(wanted));
      size += at(wanted) * at(wanted);
    }
    return std::sqrt(difference / size);
  }
  RandomProgram<P> program_;
};
template <class P> double distance(long tokens, long past, const DecoderDims& dims = qwen2::b0_5) {
  return OnBoth<P>(dims, tokens, past).distance();
}

}  // namespace weft::test
