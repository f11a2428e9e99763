// programs of the skeleton route, for the device
#include "on_device.cuh"
#include "route_programs.hpp"

namespace weft {

#define WEFT_RUN(...) template void run_on_device<__VA_ARGS__>(const Binding<__VA_ARGS__>&, const std::size_t*, std::size_t);
using Summed = routes::Plain<float, bf16>::Summed;
using Mixed = routes::Plain<float, bf16>::Mixed;
WEFT_RUN(routes::Experts<bf16>::P)
WEFT_RUN(routes::Experts<any_block>::P)
WEFT_RUN(routes::Plain<float, float>::Normed)
WEFT_RUN(Summed)
WEFT_RUN(Mixed)

namespace routes {

template <class P> void run_with_outer_groups(const Binding<P>& host) {
  cuda::Executor executor;
  Binding<P> device = host;
  std::vector<cuda::Memory> memory;
  const auto bytes_of = [&](int l) {
    const LeafRecord& leaf = Compiled<P>::table.leaf[l];
    long n = 1;
    for (int d = 0; d < leaf.axes; ++d) n *= host.extent[leaf.axis[d]];
    return bytes_for(host.view[l].format, n);
  };
  const auto copy = [&](int l, long at, long n) {
    cuda::check(cudaMemcpy(memory[static_cast<std::size_t>(l)].data() + at, static_cast<const std::byte*>(host.view[l].data) + at,
                           static_cast<std::size_t>(n), cudaMemcpyHostToDevice),
                "copying to the device");
  };
  for (int l = 0; l < Binding<P>::leaves; ++l) {
    const long bytes = bytes_of(l), groups = host.extent[Compiled<P>::table.leaf[l].axis[0]];
    memory.emplace_back(static_cast<std::size_t>(bytes));
    device.view[l].data = memory.back().data();
    if (contracts_with<P>(l)) {
      copy(l, 0, bytes / groups);
      copy(l, bytes - bytes / groups, bytes / groups);
    } else {
      copy(l, 0, bytes);
    }
  }
  executor.reserve(device);
  const cuda::CapturedGraph graph(executor.stream(), [&] { executor.run(device); });
  graph.launch(executor.stream());
  executor.synchronize<P>();
  const int y = leaf_number<P>("y");
  memory[static_cast<std::size_t>(y)].download(host.view[y].data);
}
template void run_with_outer_groups<Experts<bf16>::P>(const Binding<Experts<bf16>::P>&);
template void run_with_outer_groups<Experts<any_block>::P>(const Binding<Experts<any_block>::P>&);

}  // namespace routes
}  // namespace weft
