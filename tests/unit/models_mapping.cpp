// Which pages of a checkpoint the weights of a model touch.
#include <doctest/doctest.h>

#include "io_files.hpp"

#include <algorithm>
#include <fcntl.h>
#include <numeric>
#include <unistd.h>

#include <weft/cpu/executor.hpp>
#include <weft/generate/weights.hpp>
#include <weft/nn/layers.hpp>

using namespace weft;

namespace {

// the projection up of 60 experts, each a tensor of its own
struct RoutedUp {
  static constexpr long experts = 60, choices = 4, hidden = 256, inter = 512;
  using Hidden = Axis<"hidden", hidden>;
  using Inter = Axis<"inter", inter>;
  using Expert = Tile<"expert", experts>;
  using Choice = Tile<"choice", choices>;
  using Formula = decltype(dot<Hidden>(Input<"x", bf16, Token, Hidden>{}, gather<Expert>(Param<"experts.#.up.#", Expert, Inter, Hidden>{},
                                                                                         Input<"index", std::int32_t, Token, Choice>{})));
  struct P : decltype(program(assign(Output<"y", float, Token, Choice, Inter>{}, Formula{}))) {
    using storage = Stored<bf16>;
  };
};

// how many bytes of a part of a mapped file are in the page tables of this process
std::size_t mapped_bytes(const std::byte* part, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<std::uintptr_t>(part) / page, end = (reinterpret_cast<std::uintptr_t>(part) + bytes - 1) / page + 1;
  std::vector<std::uint64_t> entries(end - first);
  const detail::FileDescriptor pages(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  const std::size_t size = entries.size() * sizeof(std::uint64_t);
  REQUIRE(::pread(pages.get(), entries.data(), size, static_cast<off_t>(first * sizeof(std::uint64_t))) == static_cast<ssize_t>(size));
  return page * static_cast<std::size_t>(std::count_if(entries.begin(), entries.end(), [](std::uint64_t e) { return (e >> 63) != 0; }));
}

}  // namespace

TEST_CASE("of a checkpoint larger than memory only the experts that tokens choose are read") {
  using P = RoutedUp::P;
  constexpr std::size_t bytes = RoutedUp::inter * RoutedUp::hidden * sizeof(bf16);
  const TemporaryDirectory directory;
  const auto path = directory.path() / "model.safetensors";
  const std::vector<bf16> elements(bytes / sizeof(bf16), to_bf16(0.5f));
  std::vector<TensorInfo> tensors;
  for (long e = 0; e < RoutedUp::experts; ++e)
    tensors.push_back({checkpoint_name("experts.#.up.#", 0, e),
                       StoredType::bf16,
                       {RoutedUp::inter, RoutedUp::hidden},
                       std::as_bytes(std::span(elements))});
  write_safetensors(path, tensors);

  ParameterTable table;
  add_parameters<P>(table, DecoderDims{.layers = 1}, Role::parameter);
  LoadSettings settings = {.threads = 2, .huge_pages = HugePages::never};
  const auto load = [&](std::uint64_t memory) {
    settings.memory = memory;
    return Weights::load(Checkpoint::open(path), table, {}, {}, settings);
  };
  const auto part = [](const Weights& weights, long expert) { return static_cast<const std::byte*>(weights.parts(0, 0)[expert]); };
  SUBCASE("there is memory for all") {
    const Weights weights = load(RoutedUp::experts * bytes * 2);
    for (long e = 0; e < RoutedUp::experts; ++e) CHECK(mapped_bytes(part(weights, e), bytes) >= bytes);
  }
  SUBCASE("there is not") {
    const Weights weights = load(RoutedUp::experts * bytes);
    std::vector<std::int32_t> in_file(RoutedUp::experts);  // the experts, as they follow each other
    std::iota(in_file.begin(), in_file.end(), 0);
    std::sort(in_file.begin(), in_file.end(), [&](auto a, auto b) { return part(weights, a) < part(weights, b); });
    // chosen are some beside the header, which is read: a fault maps what is near, too, 64 KiB that are in memory already or a huge page
    std::vector<std::int32_t> index = {in_file[1], in_file[2], in_file[3], in_file[5]};
    constexpr std::size_t near = 6 + (2 << 20) / bytes;
    static_assert(near < RoutedUp::experts / 2);
    const auto check_that_far_ones_are_not_mapped = [&] {
      for (std::size_t i = near; i < in_file.size(); ++i) CHECK(mapped_bytes(part(weights, in_file[i]), bytes) == 0);
    };
    check_that_far_ones_are_not_mapped();

    std::vector<bf16> x(RoutedUp::hidden, to_bf16(1));
    std::vector<float> y(RoutedUp::choices * RoutedUp::inter);
    Binding<P> binding;
    change_extent(binding, "token", 1);
    bind_dense(binding, leaf_number<P>("x"), x.data());
    bind_dense(binding, leaf_number<P>("index"), index.data());
    bind_dense(binding, leaf_number<P>("y"), y.data());
    bind_parts(binding, leaf_number<P>("experts.#.up.#"), weights.parts(0, 0), weights.format(0, 0), weights.layout(0, 0));
    cpu::Executor(2).run(binding);
    CHECK(std::all_of(y.begin(), y.end(), [](float v) { return v == RoutedUp::hidden / 2; }));
    for (const std::int32_t e : index) CHECK(mapped_bytes(part(weights, e), bytes) >= bytes);
    check_that_far_ones_are_not_mapped();
  }
}
