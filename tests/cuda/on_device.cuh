// on_device: the definition of what on_device.hpp declares
#pragma once
#include <weft/cuda/executor.cuh>

#include <vector>

#include "on_device.hpp"

namespace weft {

template <class P> void run_on_device(const Binding<P>& host, const std::size_t* bytes, std::size_t shift) {
  static cuda::Executor executor;
  executor.check_each_kernel();
  Binding<P> device = host;
  std::vector<cuda::Memory> memory;
  for (int l = 0; l < Binding<P>::leaves; ++l) {
    memory.emplace_back(bytes[l] + shift);
    device.view[l].data = memory.back().data() + shift;
    cuda::check(cudaMemcpy(device.view[l].data, host.view[l].data, bytes[l], cudaMemcpyHostToDevice), "copying to the device");
  }
  executor.run(device);
  for (int q = 0; q < Compiled<P>::table.statements; ++q) {
    const int l = Compiled<P>::table.record[Compiled<P>::table.statement[q].target].number;
    cuda::check(cudaMemcpy(host.view[l].data, device.view[l].data, bytes[l], cudaMemcpyDeviceToHost), "copying from the device");
  }
}

}  // namespace weft
