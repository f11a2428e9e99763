// on_device: runs programs on a device for tests that are compiled without nvcc. A .cu file instantiates run_on_device (on_device.cuh) for
// its programs.
#pragma once
#include <weft/plan/binding.hpp>

#include <cstddef>

namespace weft {

// Copies all tensors of a program, dense in the host's memory and bytes[leaf] long, to the device, runs the program and copies back the
// tensors that it stores to. `shift`: bytes by which every tensor on the device is off the alignment of its allocation.
template <class P> void run_on_device(const Binding<P>& host, const std::size_t* bytes, std::size_t shift = 0);

}  // namespace weft
