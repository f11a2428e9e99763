// evaluate, graphs, errors, and the layout of kernel arguments
#include "device.hpp"

#include <weft/cuda/evaluate.cuh>

#include <cstddef>

#include "stream_programs.hpp"

namespace weft::devices {

namespace {

using Row = Axis<"row">;
using Column = Axis<"column", 896>;
constexpr auto normalised = [](auto x) { return x * rsqrt(mean<Column>(square(x)) + 1e-6_c); };
using P = streams::InBf16<64>::Attention;

struct Layout {
  std::size_t binding, binding_alignment, format, last_extent, places, places_alignment, part_count;
};
template <class Binding, class Places> WEFT_HD Layout layout_of() {
  Binding* b = nullptr;
  Places* p = nullptr;
  return {sizeof(Binding),
          alignof(Binding),
          reinterpret_cast<std::size_t>(&b->view[Binding::views - 1].format),
          reinterpret_cast<std::size_t>(&b->extent[Binding::axes - 1]),
          sizeof(Places),
          alignof(Places),
          reinterpret_cast<std::size_t>(&p->part_count)};
}
__global__ void layout_kernel(Layout* out) { *out = layout_of<Binding<P>, cuda::StreamPlaces<P, 0>>(); }
std::vector<std::size_t> numbers(const Layout& l) {
  return {l.binding, l.binding_alignment, l.format, l.last_extent, l.places, l.places_alignment, l.part_count};
}
template <class F> std::string message_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

}  // namespace

std::vector<float> normalise(const std::vector<float>& x, long rows) {
  std::vector<float> y(x.size());
  const cuda::Buffer<float, Row, Column> in(Tensor<float, Row, Column>(const_cast<float*>(x.data()), rows, 896)), out(rows, 896);
  evaluate(on_cuda, normalised, out.view(), in.view());
  out.memory().download(y.data());
  return y;
}
std::vector<float> normalise_as_graph(const std::vector<float>& x, long rows, int times) {
  std::vector<float> y(x.size());
  const cuda::Buffer<float, Row, Column> in(Tensor<float, Row, Column>(const_cast<float*>(x.data()), rows, 896));
  cuda::Executor executor;
  const cuda::CapturedGraph graph(executor.stream(), [&] { evaluate(executor, normalised, in.view(), in.view()); });
  for (int i = 0; i < times; ++i) graph.launch(executor.stream());
  executor.synchronize();
  in.memory().download(y.data());
  return y;
}
std::string message_of_mismatch() {
  const cuda::Buffer<float, Row, Column> in(2, 896), out(3, 896);
  return message_of([&] { evaluate(on_cuda, normalised, out.view(), in.view()); });
}
std::vector<std::size_t> layout_on_host() { return numbers(layout_of<Binding<P>, cuda::StreamPlaces<P, 0>>()); }
std::vector<std::size_t> layout_on_device() {
  const cuda::Memory memory(sizeof(Layout));
  layout_kernel<<<1, 1>>>(memory.as<Layout>());
  Layout l;
  memory.download(&l);
  return numbers(l);
}

}  // namespace weft::devices
