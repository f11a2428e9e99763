// stream: contraction - map of its result with online statistics - contraction, block by block along the streamed axis, after
// FlashAttention-2 (Dao, arXiv 2307.08691). Operands that do not lie as they are multiplied are staged first. Where there are few rows,
// parts of the keys that the mask leaves go to blocks of their own, and a second kernel combines them in their order.
#pragma once
#include <weft/cuda/device.cuh>
#include <weft/cuda/stream_tile.cuh>

namespace weft::cuda {

template <class P, int k> __global__ void __launch_bounds__(StreamTile<P, k>::threads)
    stream_kernel(const Binding<P> b, const StreamPlaces<P, k> places, bool vectors) {
  StreamTile<P, k>::run(b, places, vectors);
}
template <class P, int k> __global__ void __launch_bounds__(StreamTile<P, k>::threads)
    combine_kernel(const Binding<P> b, const StreamPlaces<P, k> places, bool vectors) {
  StreamTile<P, k>::combine_parts(b, places, vectors);
}

template <class P, int k> struct StreamKernel {
  using S = StreamFacts<P, k>;
  using F = ContractionFacts<P, k>;
  using Tile = StreamTile<P, k>;
  using Places = StreamPlaces<P, k>;

  static std::size_t workspace(const Binding<P>& b) {
    long bytes = 0;
    places(b, [&](long n) {
      bytes += round_up(n, 256);
      return static_cast<std::byte*>(nullptr);
    });
    return static_cast<std::size_t>(bytes);
  }
  static void run(const Binding<P>& b, std::byte* memory, cudaStream_t stream) {
    const long rows = count_of<P, typename F::Rows>(b), batches = count_of<P, typename F::Batch>(b),
               tiles = (rows + Tile::rows - 1) / Tile::rows;
    if (rows * batches == 0) return;
    const Places p = places(b, [&](long bytes) { return std::exchange(memory, memory + round_up(bytes, 256)); });
    if (p.query)
      RowLaunch<typename S::QueryTask>::run(b, {p.query, S::template staged_size<typename S::Element, typename S::Depth>(b)}, stream);
    if (p.keys)
      RowLaunch<typename S::KeyTask>::run(b, {p.keys, S::template staged_size<typename S::Element, typename S::Depth>(b)}, stream);
    if (p.values)
      RowLaunch<typename S::ValueTask>::run(b, {p.values, S::template staged_size<typename S::Weight, typename S::C>(b)}, stream);
    const bool vectors = Epilogue<P, k, 0>::is_aligned(b);
    const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(p.part_count), static_cast<unsigned>(batches));
    launch(stream_kernel<P, k>, grid, Tile::shared_bytes(b), b, p, vectors, stream);
    if (p.part_count > 1) {
      constexpr long bytes = 4L * Tile::rows * (Tile::out_stride + Tile::row_values + 1);
      launch(combine_kernel<P, k>, dim3(grid.x, 1, grid.z), bytes, b, p, vectors, stream);
    }
  }

 private:
  static constexpr long fewest_keys = 256, wanted_blocks = 128;
  template <class Kernel>
  static void launch(Kernel kernel, dim3 grid, long bytes, const Binding<P>& b, const Places& p, bool vectors, cudaStream_t stream) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          "asking for " + std::to_string(bytes) + " bytes of shared memory");
    kernel<<<grid, Tile::threads, static_cast<std::size_t>(bytes), stream>>>(b, p, vectors);
  }
  // f(bytes) gives memory
  template <class G> static Places places(const Binding<P>& b, G f) {
    using E = typename S::Element;
    using W = typename S::Weight;
    Places p;
    const long rows = count_of<P, typename F::Rows>(b), batches = count_of<P, typename F::Batch>(b), keys = extent_of<P, S::key>(b);
    const long depth = S::template staged_size<E, typename S::Depth>(b), columns = S::template staged_size<W, typename S::C>(b);
    if (!S::template lies<S::query, E, typename S::Depth>(b))
      p.query = reinterpret_cast<E*>(f(batches * rows * depth * static_cast<long>(sizeof(E))));
    if (!S::template lies<S::keys, E, typename S::Depth>(b))
      p.keys = reinterpret_cast<E*>(f(batches * keys * depth * static_cast<long>(sizeof(E))));
    if (!S::template lies<S::values, W, typename S::C>(b))
      p.values = reinterpret_cast<W*>(f(batches * keys * columns * static_cast<long>(sizeof(W))));
    if (keys <= fewest_keys) return p;
    // Few tiles of rows: parts of the keys become blocks of their own. There is room for all parts that there can be, whatever the number
    // of rows.
    p.parts = reinterpret_cast<float*>(f(wanted_blocks * Tile::rows * Tile::part_size * 4));
    const long most_parts = (keys + fewest_keys - 1) / fewest_keys, blocks = (rows + Tile::rows - 1) / Tile::rows * batches,
               parts = blocks > 0 && wanted_blocks / blocks < most_parts ? wanted_blocks / blocks : most_parts;
    p.part_count = static_cast<int>(parts > 1 ? parts : 1);
    return p;
  }
};

}  // namespace weft::cuda
