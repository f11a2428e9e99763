// rows sorted by their groups on the device
#include <cub/device/device_radix_sort.cuh>
#include <weft/cuda/route.cuh>

#include "grouping.hpp"
#include "route_programs.hpp"

namespace weft::grouping {

using P = routes::Plain<float, bf16>::Summed;

template <class T> std::vector<T> read(const T* from, long n) {
  std::vector<T> to(static_cast<std::size_t>(n));
  cuda::check(cudaMemcpy(to.data(), from, to.size() * sizeof(T), cudaMemcpyDeviceToHost), "copying from the device");
  return to;
}

Sorted sort_on_device(const Numbers& keys, long groups, int tile_rows) {
  using Kernel = cuda::GroupRows<P, 0>;
  const cuda::Memory index(keys.size() * sizeof keys[0]);
  index.upload(keys.data());
  Binding<P> b;
  for (int a = 0; a < Compiled<P>::table.axes; ++a)
    if (b.extent[a] == runtime) {
      const std::string name = Compiled<P>::table.axis[a].name;
      set_extent(b, a, name == "token" ? static_cast<long>(keys.size() / 3) : name == "group" ? groups : 8, "test");
    }
  bind_dense(b, leaf_number<P>("index"), index.data());
  long bytes = 0;
  const auto place = [&](std::byte* memory) {
    bytes = 0;
    return Kernel::place(b, tile_rows, [&](long n) { return memory + std::exchange(bytes, bytes + (n + 255) / 256 * 256); });
  };
  place(nullptr);
  const cuda::Memory memory(static_cast<std::size_t>(bytes));
  const cuda::Groups to = place(memory.data());
  Kernel::run(b, tile_rows, to, {}, nullptr);
  cuda::check(cudaDeviceSynchronize(), "sorting rows");
  Sorted result;
  result.order = read(to.order, read(to.start + groups, 1)[0]);
  const Numbers addends = read(to.addends, static_cast<long>(keys.size()));
  for (std::size_t i = 0; i < addends.size(); i += 3) result.addends.push_back({addends[i], addends[i + 1], addends[i + 2]});
  for (const cuda::GroupTile& t : read(to.tiles, read(to.tile_count, 1)[0])) result.tiles.push_back({t.group, t.first, t.count});
  return result;
}

Numbers sort_with_library(const Numbers& keys) {
  const int n = static_cast<int>(keys.size());
  Numbers rows(keys.size());
  for (int i = 0; i < n; ++i) rows[static_cast<std::size_t>(i)] = i;
  const std::size_t size = keys.size() * sizeof keys[0];
  const cuda::Memory in(size), out(size), values(size), sorted(size);
  in.upload(keys.data());
  values.upload(rows.data());
  const auto sort = [&](void* memory, std::size_t& bytes) {
    cuda::check(cub::DeviceRadixSort::SortPairs(memory, bytes, in.as<std::int32_t>(), out.as<std::int32_t>(), values.as<std::int32_t>(),
                                                sorted.as<std::int32_t>(), n),
                "sorting with CUB");
  };
  std::size_t bytes = 0;
  sort(nullptr, bytes);
  const cuda::Memory memory(bytes);
  sort(memory.data(), bytes);
  return read(sorted.as<std::int32_t>(), n);
}

}  // namespace weft::grouping
