// device: what programs need of the CUDA runtime: errors as exceptions, memory on the device, streams, events. Memory and streams belong to
// the device that is current when they are made.
#pragma once
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "weft: kernels need compute capability 8.0; expected -arch=sm_80 or newer (nvcc chooses an older one by default)"
#endif

#include <cuda_runtime.h>
#include <weft/core/tensor.hpp>

#include <string>
#include <utility>

namespace weft::cuda {

inline std::string text_of(cudaError_t status, const std::string& what) {
  return what + ": " + cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")";
}
// throws Error with the runtime's words
inline void check(cudaError_t status, const std::string& what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // it has been told
  throw Error(text_of(status, what));
}

// The current device in words: its name and compute capability. Throws Error where there is none, or one that cannot run the kernels.
inline std::string usable_device() {
  const std::string expected = "CUDA: expected a device of compute capability 8.0 or newer, found ";
  int count = 0, device = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    cudaGetLastError();
    throw Error(expected + "none" + (status == cudaSuccess ? std::string() : std::string(": ") + cudaGetErrorString(status)));
  }
  cudaDeviceProp facts{};
  check(cudaGetDevice(&device), "asking for the current device");
  check(cudaGetDeviceProperties(&facts, device), "asking what the device is");
  const std::string text =
      std::string(facts.name) + ", compute capability " + std::to_string(facts.major) + "." + std::to_string(facts.minor);
  if (facts.major < 8) throw Error(expected + text);
  return text;
}

// Memory on the device, at least 256-byte aligned, not initialised; moves, does not copy.
class Memory {
 public:
  Memory() = default;
  explicit Memory(std::size_t bytes) : size_(bytes) {
    if (bytes > 0) check(cudaMalloc(&data_, bytes), "allocating " + std::to_string(bytes) + " bytes on the device");
  }
  Memory(Memory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Memory& operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Memory() { cudaFree(data_); }
  std::byte* data() const { return static_cast<std::byte*>(data_); }
  std::size_t size() const { return size_; }
  template <class T> T* as() const { return static_cast<T*>(data_); }

  // Copies all of it; the host's memory must have as many bytes. They return when that is done.
  void upload(const void* host) const { check(cudaMemcpy(data_, host, size_, cudaMemcpyHostToDevice), "copying to the device"); }
  void download(void* host) const { check(cudaMemcpy(host, data_, size_, cudaMemcpyDeviceToHost), "copying from the device"); }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

// work that follows each other in order, beside that of other streams
class DeviceStream {
 public:
  DeviceStream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream"); }
  DeviceStream(const DeviceStream&) = delete;
  DeviceStream& operator=(const DeviceStream&) = delete;
  ~DeviceStream() { cudaStreamDestroy(stream_); }
  cudaStream_t get() const { return stream_; }
  void synchronize() const { check(cudaStreamSynchronize(stream_), "waiting for the kernels of a stream"); }

 private:
  cudaStream_t stream_ = nullptr;
};

// a point in a stream
class Event {
 public:
  Event() { check(cudaEventCreate(&event_), "creating an event"); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }
  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "recording an event"); }
  void synchronize() const { check(cudaEventSynchronize(event_), "waiting for an event"); }
  // time of the device between two points that have passed
  float milliseconds_since(const Event& earlier) const {
    float t = 0;
    check(cudaEventElapsedTime(&t, earlier.event_, event_), "reading the time between two events");
    return t;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

// what was put on a stream once, to be started again and again as a whole: for steps whose kernels do not change
class CapturedGraph {
 public:
  // captures what f() puts on the stream, which is not executed; f must not allocate
  template <class F> CapturedGraph(cudaStream_t stream, F f) {
    cudaGraph_t graph = nullptr;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "beginning to capture a graph");
    try {
      f();
    } catch (...) {
      cudaStreamEndCapture(stream, &graph);
      cudaGraphDestroy(graph);
      throw;
    }
    check(cudaStreamEndCapture(stream, &graph), "capturing a graph");
    const cudaError_t status = cudaGraphInstantiate(&graph_, graph, 0);
    cudaGraphDestroy(graph);
    check(status, "instantiating a graph");
  }
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;
  ~CapturedGraph() { cudaGraphExecDestroy(graph_); }
  void launch(cudaStream_t stream) const { check(cudaGraphLaunch(graph_, stream), "launching a graph"); }

 private:
  cudaGraphExec_t graph_ = nullptr;
};

// an owner on the device with the shape of a tensor; its elements cannot be reached from the host
template <class T, class... Ax> class Buffer {
 public:
  template <class... N>
  requires(sizeof...(N) == sizeof...(Ax)) explicit Buffer(N... extents)
      : memory_(static_cast<std::size_t>(bytes_for(dtype_of<T>, (1L * ... * static_cast<long>(extents))))),
        view_(memory_.as<T>(), extents...) {}
  // a copy of what a dense tensor in the host's memory holds
  explicit Buffer(const Tensor<T, Ax...>& host) : memory_(static_cast<std::size_t>(bytes_for(dtype_of<T>, host.size()))), view_(host) {
    view_.data = memory_.as<T>();
    memory_.upload(host.data);
  }
  const Tensor<T, Ax...>& view() const { return view_; }
  operator Tensor<T, Ax...>() const { return view_; }
  const Memory& memory() const { return memory_; }

 private:
  Memory memory_;
  Tensor<T, Ax...> view_;
};

}  // namespace weft::cuda
