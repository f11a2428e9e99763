// Every skeleton with nothing around it: map, row, contraction and stream, at the shapes of all sizes, in bf16 and f32.
#include "layers.hpp"

namespace weft::benchmarks {
namespace {

// T: the format of all tensors
template <class T> struct Plain {
  using Row = Axis<"row">;
  using Column = Axis<"column">;
  using Depth = Axis<"depth">;
  using Batch = Axis<"batch">;
  static constexpr Input<"a", T, Row, Column> a{};
  static constexpr Input<"b", T, Row, Column> b{};
  static constexpr Output<"y", T, Row, Column> y{};
  struct Add : decltype(program(assign(y, cast<T>(a + b)))) {};
  struct Softmax : decltype(program(assign(y, cast<T>(softmax<Column>(a))))) {};
  struct Product : decltype(program(assign(y, cast<T>(dot<Depth>(Input<"left", T, Row, Depth>{}, Input<"right", T, Column, Depth>{}))))) {};
  static_assert(kernel_count<Add> == 1 && kernel_count<Softmax> == 1 && kernel_count<Product> == 1);
};
// a batch of attentions without a mask; heads share keys and values, as `group` of the rows do
template <class T, long head_dim> struct PlainStream {
  using Row = Axis<"row">;
  using Batch = Axis<"batch">;
  using Group = Axis<"group">;
  using HeadDim = Tile<"head_dim", head_dim>;
  static constexpr auto attention() {
    auto score = dot<HeadDim>(Input<"q", T, Row, Batch, Group, HeadDim>{}, Input<"k", T, Key, Batch, HeadDim>{});
    return program(assign(Output<"o", T, Row, Batch, Group, HeadDim>{},
                          cast<T>(dot<Key>(softmax<Key>(score * 0.125_c), Input<"v", T, Key, Batch, HeadDim>{}))));
  }
  struct Attention : decltype(attention()) {};
  static_assert(kernel_count<Attention> == 1 && Compiled<Attention>::plan.kernel[0].skeleton == Skeleton::stream);
};

template <class T, long head_dim> void add_stream(const Size& size, long rows, long keys, const std::string& name) {
  const Qwen2Dims& d = size.dims;
  const Extents extents = {{"row", rows}, {"key", keys}, {"batch", d.kv_heads}, {"group", d.heads / d.kv_heads}};
  add(name, [=](benchmark::State& s) { run_program<typename PlainStream<T, head_dim>::Attention>(s, extents, 0); });
}

template <class T> void add_all(const Selection& selection) {
  using P = Plain<T>;
  const std::string format = name_of(dtype_of<T>);
  if (!selection.has_format(dtype_of<T>)) return;
  for (const Size& size : sizes) {
    if (!selection.has_size(size.name)) continue;
    const Qwen2Dims& d = size.dims;
    const auto name = [&](const std::string& what, long rows) {
      return what + "/" + size.name + "/" + format + "/rows:" + std::to_string(rows);
    };
    for (const long rows : {1L, 512L}) {
      const Extents activations = {{"row", rows}, {"column", d.hidden}};
      add(name("map", rows), [=](benchmark::State& s) { run_program<typename P::Add>(s, activations, 0); });
      add(name("row", rows), [=](benchmark::State& s) { run_program<typename P::Softmax>(s, activations, 0); });
    }
    struct Matrix {
      const char* what;
      long columns, depth;
    };
    for (const Matrix m : {Matrix{"contraction square", d.hidden, d.hidden}, Matrix{"contraction wide", d.intermediate, d.hidden},
                           Matrix{"contraction deep", d.hidden, d.intermediate}})
      for (const long rows : {1L, 4L, 16L, 64L, 512L}) {
        const Extents extents = {{"row", rows}, {"column", m.columns}, {"depth", m.depth}};
        add(name(m.what, rows), [=](benchmark::State& s) { run_program<typename P::Product>(s, extents, 0); });
      }
    for (const auto& [rows, keys] : {std::pair{1L, depths[1]}, std::pair{512L, 512L}}) {
      if (d.head_dim == 64)
        add_stream<T, 64>(size, rows, keys, name("stream", rows));
      else
        add_stream<T, 128>(size, rows, keys, name("stream", rows));
    }
  }
}

}  // namespace

void add_skeletons(const Selection& selection) {
  add_all<bf16>(selection);
  add_all<float>(selection);
}

}  // namespace weft::benchmarks
