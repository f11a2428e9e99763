// layers: the programs of layer_programs.hpp at the shapes of all sizes.
#pragma once
#include "layer_programs.hpp"
#include "support.hpp"

namespace weft::benchmarks {

// a benchmark for decoding one token, and one for prefill
template <class P> void add_layer(const std::string& layer, const Size& size, DType format) {
  const std::string name = layer + "/" + size.name + "/" + name_of(format);
  add(name + "/decode", [=](benchmark::State& s) { run_program<P>(s, extents_of(size.dims, 1, depths[0]), depths[0] - 1, format); });
  add(name + "/prefill:512", [=](benchmark::State& s) { run_program<P>(s, extents_of(size.dims, 512, 512), 0, format); });
}
// the same, and what changes with the depth of the cache
template <class P> void add_deep_layer(const std::string& layer, const Size& size, DType format) {
  const std::string name = layer + "/" + size.name + "/" + name_of(format);
  add_layer<P>(layer, size, format);
  for (const long depth : depths)
    if (depth != depths[0])
      add(name + "/decode_at:" + std::to_string(depth),
          [=](benchmark::State& s) { run_program<P>(s, extents_of(size.dims, 1, depth), depth - 1, format); });
  for (const long n : prefills)
    if (n != 512)
      add(name + "/prefill:" + std::to_string(n), [=](benchmark::State& s) { run_program<P>(s, extents_of(size.dims, n, n), 0, format); });
}

template <class Format, long head_dim> void add_layers_of(const Size& size, DType format) {
  using L = HeadLayers<Format, head_dim>;
  add_layer<typename L::Norm>("Norm", size, format);
  add_layer<typename L::Qkv>("Qkv", size, format);
  add_deep_layer<typename L::Attend>("Attend", size, format);
  add_layer<typename L::OutProjection>("OutProjection", size, format);
  add_layer<typename L::GateUp>("GateUp", size, format);
  add_layer<typename L::Down>("Down", size, format);
  add_layer<typename L::Mlp3>("Mlp", size, format);
  add_deep_layer<typename L::Layer>("Layer", size, format);
  add_layer<typename L::Embed>("Embed", size, format);
  add(std::string("Logits/") + size.name + "/" + name_of(format) + "/decode",
      [=](benchmark::State& s) { run_program<typename L::Logits>(s, extents_of(size.dims, 1, 0), 0, format); });
}
// the layers of all selected sizes with one storage policy; format: of its matrices
template <class Format> void add_layers(const Selection& selection, DType format) {
  if (!selection.has_format(format)) return;
  for (const Size& size : sizes) {
    if (!selection.has_size(size.name)) continue;
    if (size.dims.head_dim == 64)
      add_layers_of<Format, 64>(size, format);
    else
      add_layers_of<Format, 128>(size, format);
  }
}

}  // namespace weft::benchmarks
