// evaluate, graphs, errors, and the layout of kernel arguments
#include "device.hpp"

#include <weft/cuda/evaluate.cuh>

#include <cstddef>

#include "contraction_programs.hpp"
#include "route_programs.hpp"
#include "stream_programs.hpp"

namespace weft::devices {

namespace {

using Row = Axis<"row">;
using Column = Axis<"column", 896>;
constexpr auto normalised = [](auto x) { return x * rsqrt(mean<Column>(square(x)) + 1e-6_c); };

// ---- sizes and alignments of types, and where their members lie
struct Layout {
  static constexpr int capacity = 128;
  std::size_t number[capacity];
  int count = 0;
  WEFT_HD void add(std::size_t n) { number[count++] = n; }
  // members: as many as T has, so that none is left out
  template <class T, int members> WEFT_HD void add() {
    add(sizeof(T));
    add(alignof(T));
    T& t = *reinterpret_cast<T*>(std::size_t{1} << 20);  // never read
    const auto at = [&](const auto&... member) { (add(reinterpret_cast<std::size_t>(&member)), ...); };
    if constexpr (members == 2) {
      auto& [a, b] = t;
      at(a, b);
    } else if constexpr (members == 4) {
      auto& [a, b, c, d] = t;
      at(a, b, c, d);
    } else if constexpr (members == 5) {
      auto& [a, b, c, d, e] = t;
      at(a, b, c, d, e);
    }
  }
};
// every type of argument that a kernel has beside numbers and plain pointers
WEFT_HD void add_all(Layout& out) {
  using Streamed = streams::InBf16<64>::Attention;
  using Gated = contractions::Bf16::Gated;
  using Exact = contractions::InBlocks<q8_0>::Exact;
  using Normalised = Traced<decltype(normalised), Tensor<float, Row, Column>, Tensor<float, Row, Column>>::self;
  out.add<View, 5>();
  out.add<Binding<Streamed>, 2>();
  out.add<Binding<Gated>, 2>();
  out.add<Binding<Exact>, 2>();
  out.add<Binding<Normalised>, 2>();
  out.add<cuda::StoredRow<Normalised, 0>, 0>();
  out.add<cuda::StreamPlaces<Streamed, 0>, 5>();
  out.add<cuda::FewFacts<Gated, 0>::Split, 2>();
  out.add<cuda::Staging<Gated, 0>::Places, 2>();
  out.add<cuda::Staging<Gated, 0>::LeftTask<0>, 2>();
  out.add<cuda::Staging<Gated, 0>::RightTask<0, 0>, 2>();
  out.add<cuda::BlockFacts<Exact, 0>::Places, 2>();
  out.add<cuda::Fragments<Exact, 0, 0>, 4>();
  out.add<cuda::Complaint, 2>();
  out.add<cuda::GroupTile, 5>();
  out.add<cuda::ManyRoutes<routes::Experts<bf16>::P, 1>::Places, 5>();
}
__global__ void layout_kernel(Layout* out) {
  Layout l;
  add_all(l);
  *out = l;
}
std::vector<std::size_t> numbers(const Layout& l) { return {l.number, l.number + l.count}; }
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
std::string message_of_host_memory() {
  std::vector<float> x(2 * 896);
  const cuda::Buffer<float, Row, Column> out(2, 896);
  return message_of([&] { evaluate(on_cuda, normalised, out.view(), Tensor<float, Row, Column>(x.data(), 2, 896)); });
}
std::string message_of_kernel() {
  const cuda::Memory memory(64);
  const Tensor<float, Row> huge(memory.as<float>(), 1L << 41);  // more than a grid of blocks can have
  return message_of([&] {
    evaluate(
        on_cuda, [](auto x) { return x * 3_c; }, huge, huge);
  });
}
std::vector<std::size_t> layout_on_host() {
  Layout l;
  add_all(l);
  return numbers(l);
}
std::vector<std::size_t> layout_on_device() {
  const cuda::Memory memory(sizeof(Layout));
  cuda::check(cudaMemset(memory.data(), 0, memory.size()), "clearing");
  layout_kernel<<<1, 1>>>(memory.as<Layout>());
  Layout l;
  memory.download(&l);
  return numbers(l);
}

}  // namespace weft::devices
