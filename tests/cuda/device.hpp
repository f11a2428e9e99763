// device: what device.cu does with the executor, for a test without nvcc
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace weft::devices {

// x of [rows, 896] divided by the root of its mean square, by evaluate(on_cuda, ...)
std::vector<float> normalise(const std::vector<float>& x, long rows);
// the same `times` times in place, as a graph that was captured once
std::vector<float> normalise_as_graph(const std::vector<float>& x, long rows, int times);
// what evaluate throws where tensors disagree about an axis
std::string message_of_mismatch();
// ... where a tensor lies in the host's memory
std::string message_of_host_memory();
// ... where a kernel cannot be started
std::string message_of_kernel();

// sizes and alignments of kernel arguments, and the places of their last members, as the host and as the device see them
std::vector<std::size_t> layout_on_host();
std::vector<std::size_t> layout_on_device();

}  // namespace weft::devices
