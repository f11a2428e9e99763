// A layer that weft has never seen: attention whose scores are capped, lean on the distance and may fall into a learned sink, behind a layer norm
// with a bias. It is written as a module, checked as a program, and runs on the kernels that the planner makes for it.
#include <weft/weft.hpp>

#include <cstdio>
#include <vector>

using namespace weft;

template <Name name, class Over> struct LayerNorm : Module<name> {
  Param<"weight", Over> weight;
  Param<"bias", Over> bias;
  constexpr auto formula(auto x) const {
    auto centred = x - mean<Over>(x);
    return centred * rsqrt(mean<Over>(square(centred)) + 1e-5_c) * weight + bias;
  }
};

template <Name name, class Hidden, long heads, long head_dim> struct SinkAttention : Module<name> {
  using Head = Axis<name / "head", heads>;
  using HeadDim = Tile<name / "head_dim", head_dim>;
  Use<Linear<"q_proj", Axes<Head, HeadDim>, Hidden>> q_proj;
  Use<Linear<"k_proj", Axes<Head, HeadDim>, Hidden>> k_proj;
  Use<Linear<"v_proj", Axes<Head, HeadDim>, Hidden>> v_proj;
  Use<Linear<"o_proj", Hidden, Axes<Head, HeadDim>>> o_proj;
  Param<"slope", Head> slope;
  Param<"sink", Head> sink;
  State<"keys", Key, Head, HeadDim> keys;
  State<"values", Key, Head, HeadDim> values;

  constexpr auto formula(auto x) const {
    auto at = token_position;
    auto k = update<Key>(keys, at, k_proj(x));
    auto v = update<Key>(values, at, v_proj(x));
    auto capped = tanh(dot<HeadDim>(q_proj(x), k) * 0.01_c) * 30_c;
    auto score = where(position<Key> <= at, capped + slope * cast<float>(position<Key> - at), minus_inf);
    auto m = maximum(max<Key>(score), sink);
    auto p = exp(score - m);
    return o_proj(dot<Key>(p / (sum<Key>(p) + exp(sink - m)), v));
  }
};

using Hidden = Axis<"hidden", 64>;
using Layer = Residual<LayerNorm<"norm", Hidden>, SinkAttention<"attention", Hidden, 4, 16>>;
struct OwnLayer : decltype(program(assign(Output<"y", float, Token, Hidden>{}, apply<Layer>(Input<"x", float, Token, Hidden>{})))) {};
static_assert(kernel_count<OwnLayer> == 3);  // [norm, q, k, v, cache] [attention] [output projection + residual]

int main() {
  std::puts(explain<OwnLayer>().c_str());

  // leaves are bound by their paths
  const long tokens = 3, past = 0;
  Binding<OwnLayer> b;
  change_extent(b, "token", tokens);
  change_extent(b, "key", past + tokens);
  std::vector<Memory> memory;
  for (int l = 0; l < Binding<OwnLayer>::leaves; ++l) {
    const LeafRecord& leaf = Compiled<OwnLayer>::table.leaf[l];
    long n = 1;
    for (int d = 0; d < leaf.axes; ++d) n *= b.extent[leaf.axis[d]];
    memory.emplace_back(static_cast<std::size_t>(n * bytes_of(leaf.dtype)));
    for (long i = 0; i < n; ++i)
      if (leaf.dtype == DType::i32)
        memory.back().as<std::int32_t>()[i] = static_cast<std::int32_t>(past + i);
      else
        memory.back().as<float>()[i] = static_cast<float>((i * 37 + l) % 17 - 8) / 32;
    bind_dense(b, l, memory.back().data());
  }
  cpu::Executor executor;
  executor.run(b);
  std::printf("y[2, 0..3] =");
  for (long i = 0; i < 4; ++i)
    std::printf(" %g", static_cast<double>(memory[static_cast<std::size_t>(leaf_number<OwnLayer>("y"))].as<float>()[2 * 64 + i]));
  std::puts("");
}
