// device_model: makes a CompiledModel of a model type that runs on a CUDA device. The kernels come from a .cu file, which instantiates
// cuda::Kernels for the programs of the type: embedding, layers of each kind, head (cuda/kernels.hpp).
#pragma once
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "weft/cpu/roofline.hpp"
#include "weft/cuda/kernels.hpp"
#include "weft/generate/language_model.hpp"
#include "weft/generate/model_session.hpp"

namespace weft {

// the parameters of a model in the memory of a device
class DeviceWeights {
 public:
  DeviceWeights(cuda::Device& device, const Weights& weights) {
    const ParameterTable& table = weights.table();
    std::map<const std::byte*, const std::byte*> copies;  // a tied head shares the memory of the embedding
    for (int r = 0; r < table.rows; ++r) {
      auto& row = rows_.emplace_back();
      for (long block = 0; table.row[r].role == Role::parameter && block < table.row[r].blocks; ++block) {
        const auto bytes = static_cast<std::size_t>(bytes_for(weights.format(r, block), table.row[r].size()));
        if (void* const* parts = weights.parts(r, block)) {
          row.push_back(copy_of_parts(device, parts, table.row[r].extent[0], bytes));
          continue;
        }
        const std::byte* elements = weights.data(r, block);
        if (!elements) {  // this layer does not have it
          row.push_back(nullptr);
          continue;
        }
        auto& copy = copies[elements];
        if (!copy) {
          std::byte* to = device.allocate(bytes);
          device.write(to, elements, bytes);
          copy = to;
        }
        row.push_back(copy);
      }
    }
    device.synchronize();
  }
  const std::byte* data(int row, long block) const { return rows_[static_cast<std::size_t>(row)][static_cast<std::size_t>(block)]; }

 private:
  // of parts that are tensors of their own: one tensor, whose kernels find each part by its index
  static const std::byte* copy_of_parts(cuda::Device& device, void* const* parts, long count, std::size_t bytes) {
    std::byte* to = device.allocate(bytes);
    const std::size_t part = bytes / static_cast<std::size_t>(count);
    for (long i = 0; i < count; ++i) device.write(to + static_cast<std::size_t>(i) * part, parts[i], part);
    return to;
  }
  std::vector<std::vector<const std::byte*>> rows_;
};

// Where a session works on a device (see model_session.hpp): it has a stream and a workspace of its own, so sessions do not wait for each
// other. The weights must outlive it.
class DevicePlace {
 public:
  static constexpr bool is_host = false;
  DevicePlace(std::unique_ptr<cuda::Device> device, const DeviceWeights& weights, bool with_graph)
      : device_(std::move(device)), weights_(&weights), with_graph_(with_graph) {}

  std::byte* allocate(std::size_t bytes) { return device_->allocate(bytes); }
  void write(void* to, const void* from, std::size_t bytes) { device_->write(to, from, bytes); }
  void read(void* to, const void* from, std::size_t bytes) { device_->read(to, from, bytes); }
  const std::byte* parameter(int row, long block) const { return weights_->data(row, block); }
  void* const* parts(int, long) const { return nullptr; }  // they are one tensor there
  template <class P> void reserve(const Binding<P>& b) { cuda::Kernels<P>::reserve(*device_, b); }
  template <class P> void run(Binding<P>& b) { cuda::Kernels<P>::run(*device_, b); }
  // The first time the programs run one by one: a device may load kernels when they are first started, which no graph can hold.
  template <class F> void repeat(F f) {
    if (with_graph_ && has_run_ && !graph_) graph_ = device_->capture(f);
    if (graph_)
      graph_->launch();
    else
      f();
    has_run_ = true;
  }

 private:
  std::unique_ptr<cuda::Device> device_;
  const DeviceWeights* weights_;
  bool with_graph_, has_run_ = false;
  std::unique_ptr<cuda::Repeatable> graph_;
};

template <class Model, class Format> class DeviceModel final : public LanguageModel {
 public:
  DeviceModel(const ModelConfig& config, Weights weights)
      : LanguageModel(std::move(weights)), config_(config), device_(open()), on_device_(*device_, weights_) {}

  std::unique_ptr<Session> start(const SessionSettings& settings) override {
    return std::make_unique<ModelSession<Model, Format, DevicePlace>>(config_, dims_of(config_), weights_,
                                                                      DevicePlace(open(), on_device_, settings.graph), settings);
  }
  std::string device() const override { return device_->text(); }
  int threads() const override { return 1; }
  void record(cpu::Recorder*) override { refuse_to_measure(); }
  cpu::Peaks measure_peaks() override { refuse_to_measure(); }
  static std::unique_ptr<cuda::Device> open() { return cuda::Kernels<EmbedProgram<Model, Format>>::open(); }

 private:
  [[noreturn]] static void refuse_to_measure() {
    throw Error("measuring kernels: expected a model that runs on the CPU, found one on a CUDA device");
  }
  const ModelConfig config_;
  const std::unique_ptr<cuda::Device> device_;
  const DeviceWeights on_device_;
};

template <class Model, class Format> CompiledModel compiled_device_model() {
  CompiledModel model = facts_of_model<Model, Format>();
  model.runs_on_host = false;
  model.check_machine = [] { DeviceModel<Model, Format>::open(); };
  model.make = [](const ModelConfig& config, Weights weights, int) -> std::unique_ptr<LanguageModel> {
    return std::make_unique<DeviceModel<Model, Format>>(config, std::move(weights));
  };
  return model;
}

}  // namespace weft
