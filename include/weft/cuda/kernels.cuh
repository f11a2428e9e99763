// kernels: the definition of what kernels.hpp declares, for .cu files
#pragma once
#include <weft/cuda/executor.cuh>
#include <weft/cuda/kernels.hpp>

#include <vector>

namespace weft::cuda {

class OpenDevice final : public Device {
 public:
  Executor& executor() { return executor_; }

  std::string text() const override { return text_; }
  std::byte* allocate(std::size_t bytes) override {
    memory_.emplace_back(bytes);
    check(cudaMemsetAsync(memory_.back().data(), 0, bytes, stream()), "clearing memory on the device");
    return memory_.back().data();
  }
  void write(void* to, const void* from, std::size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), "copying to the device");
  }
  void read(void* to, const void* from, std::size_t bytes) override {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), "copying from the device");
    executor_.synchronize();
  }
  void synchronize() override { executor_.synchronize(); }
  std::unique_ptr<Repeatable> capture(const std::function<void()>& f) override { return std::make_unique<Captured>(stream(), f); }

 private:
  struct Captured final : Repeatable {
    Captured(cudaStream_t s, const std::function<void()>& f) : stream(s), graph(s, f) {}
    void launch() override { graph.launch(stream); }
    cudaStream_t stream;
    CapturedGraph graph;
  };
  cudaStream_t stream() const { return executor_.stream(); }

  const std::string text_ = usable_device();
  Executor executor_;
  std::vector<Memory> memory_;
};

template <class P> std::unique_ptr<Device> Kernels<P>::open() { return std::make_unique<OpenDevice>(); }
template <class P> void Kernels<P>::reserve(Device& device, const Binding<P>& b) { static_cast<OpenDevice&>(device).executor().reserve(b); }
template <class P> void Kernels<P>::run(Device& device, Binding<P>& b) { static_cast<OpenDevice&>(device).executor().run(b); }

}  // namespace weft::cuda
