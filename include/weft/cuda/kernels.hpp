// kernels: programs on a device, for code that is compiled without nvcc. Their kernels come from a .cu file, which includes kernels.cuh and
// says for each program P
//   template struct weft::cuda::Kernels<P>;
#pragma once
#include <weft/plan/binding.hpp>

#include <functional>
#include <memory>
#include <string>

namespace weft::cuda {

// work that was put together once, to be started again and again as a whole: a graph of CUDA
class Repeatable {
 public:
  virtual ~Repeatable() = default;
  virtual void launch() = 0;
};

// Memory on a device, and a stream of work there, which runs in the order in which it is asked for. All functions throw Error with the words
// of the CUDA runtime where something goes wrong; what does so in a kernel is thrown by a later call that waits.
class Device {
 public:
  virtual ~Device() = default;
  virtual std::string text() const = 0;                                   // "NVIDIA H100, compute capability 9.0"
  virtual std::byte* allocate(std::size_t bytes) = 0;                     // zeroed, at least 256-byte aligned; lives as long as this object
  virtual void write(void* to, const void* from, std::size_t bytes) = 0;  // from the host, whose memory may be changed at once
  virtual void read(void* to, const void* from, std::size_t bytes) = 0;   // to the host; waits for the work before it
  virtual void synchronize() = 0;                                         // waits for all work
  virtual std::unique_ptr<Repeatable> capture(
      const std::function<void()>& f) = 0;  // of the programs that f runs; they are not executed yet
};

template <class P> struct Kernels {
  // Throws Error where there is no CUDA device, or one of a compute capability below 8.0.
  static std::unique_ptr<Device> open();
  // The device must come from open(), of whichever program; leaves are bound to its memory. run() allocates nothing if reserve() has seen a
  // binding that is at least as large.
  static void reserve(Device& device, const Binding<P>& b);
  static void run(Device& device, Binding<P>& b);
};

}  // namespace weft::cuda
