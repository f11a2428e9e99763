// report: runs a norm, a decoder layer (in bf16, and with matrices in q4_0) and the head of Qwen2.5-0.5B, and 16 of the experts of
// Qwen1.5-MoE-A2.7B (in bf16 and q4_0), four for each token, once each, on zeros, for benchmarks/cuda_report. Prints for each kernel of their plans
// the launches that it took, by their numbers, the bytes that the plan says are the least, and its operations. `report TOKENS KEYS COUNTERS`
#include <weft/cuda/executor.cuh>
#include <weft/models/qwen2.hpp>
#include <weft/nn/experts.hpp>
#include <weft/plan/cost.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

using namespace weft;

namespace {

struct NormProgram : decltype(program(assign(Output<"y", bf16, Token, Axis<"hidden", 896>>{}, [] {
  constexpr Input<"x", bf16, Token, Axis<"hidden", 896>> x{};
  constexpr Input<"gain", bf16, Axis<"hidden", 896>> gain{};
  return x * rsqrt(mean<Axis<"hidden", 896>>(square(x)) + 1e-6_c) * gain;
}()))) {};

template <class W> struct ExpertsProgram : decltype(program(assign(Output<"y", bf16, Token, Axis<"hidden", 2048>>{}, [] {
  using Expert = Tile<"expert", 16>;
  using Choice = Tile<"choice", 4>;
  using Hidden = Axis<"hidden", 2048>;
  using Inter = Axis<"expert_intermediate", 1408>;
  constexpr Input<"x", bf16, Token, Hidden> x{};
  constexpr Input<"index", std::int32_t, Token, Choice> index{};
  constexpr Input<"weight", float, Token, Choice> weight{};
  auto each = gated_experts<Expert, Hidden, Inter>(x, index, Input<"gate", W, Expert, Inter, Hidden>{},
                                                   Input<"up", W, Expert, Inter, Hidden>{}, Input<"down", W, Expert, Hidden, Inter>{});
  return x + sum<Choice>(each * weight);
}()))) {
  using storage = Stored<W>;
};

long launches(const char* counters) {  // that the emulator has written a line for
  std::ifstream file(counters);
  long n = 0;
  for (std::string line; std::getline(file, line);) ++n;
  return n;
}
template <class P> void run(const char* name, long tokens, long keys, const char* counters) {
  const auto& table = Compiled<P>::table;
  constexpr DecoderDims dims = qwen2::b0_5;
  Binding<P> b;
  for (int a = 0; a < table.axes; ++a) {
    const std::string_view axis = table.axis[a].name;
    const long extent = axis == "token" ? tokens : axis == "key" ? keys : dims.extent_of(axis);
    if (b.extent[a] == runtime) set_extent(b, a, extent, table.axis[a].name);
  }
  std::vector<cuda::Memory> memory;
  for (int l = 0; l < table.leaves; ++l) {
    long n = 1;
    for (int d = 0; d < table.leaf[l].axes; ++d) n *= b.extent[table.leaf[l].axis[d]];
    memory.emplace_back(static_cast<std::size_t>(bytes_for(table.leaf[l].dtype, n)));
    cuda::check(cudaMemset(memory.back().data(), 0, memory.back().size()), "clearing a tensor");
    bind_dense(b, l, memory.back().data());
    const std::string_view path = table.leaf[l].path.text;
    if (path == "position") {
      std::vector<std::int32_t> positions;
      for (long t = 0; t < n; ++t) positions.push_back(static_cast<std::int32_t>(keys - n + t));
      memory.back().upload(positions.data());
    } else if (path == "index") {  // four different experts for each token, over all of them
      std::vector<std::int32_t> experts;
      for (long i = 0; i < n; ++i) experts.push_back(static_cast<std::int32_t>((i * 5 + i / 4) % 16));
      memory.back().upload(experts.data());
    } else if (path == "window") {
      const std::int32_t everything = 1 << 30;
      memory.back().upload(&everything);
    }
  }
  const cuda::Memory workspace(cuda::Executor::workspace_bytes(b));
  bind_temporaries(b, workspace.data());
  cuda::unroll<Compiled<P>::plan.kernels>([&](auto k) {
    const long before = launches(counters);
    cuda::kernel_of<P, k>::type::run(b, workspace.data() + temporary_bytes(b), nullptr);
    cuda::check(cudaDeviceSynchronize(), name);
    constexpr Cost cost = cost_of<P>(k);
    std::printf("%s\t%d\t%s\t%ld\t%ld\t%ld\t%ld\t%ld\n", name, k + 1, name_of(Compiled<P>::plan.kernel[k].skeleton), before,
                launches(counters), cost.read.evaluate(b.extent), cost.written.evaluate(b.extent), cost.flops.evaluate(b.extent));
  });
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) {
    std::fprintf(stderr, "report TOKENS KEYS COUNTERS\n");
    return 2;
  }
  const long tokens = std::atol(arguments[1]), keys = std::atol(arguments[2]);
  run<NormProgram>("norm", tokens, keys, arguments[3]);
  run<LayerProgram<Qwen2_5_0_5B>>("layer", tokens, keys, arguments[3]);
  run<LayerProgram<Qwen2_5_0_5B, Stored<q4_0>>>("layer in q4_0", tokens, keys, arguments[3]);
  run<HeadProgram<Qwen2_5_0_5B>>("head", 1, keys, arguments[3]);
  run<ExpertsProgram<bf16>>("experts", tokens, keys, arguments[3]);
  run<ExpertsProgram<q4_0>>("experts in q4_0", tokens, keys, arguments[3]);
}
