// The profile of an executor: what it predicts for known programs, that every kernel appears, and that it leaves no trace where it is off.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "../support/formulas.hpp"
#include "../support/random_program.hpp"
#include <weft/cpu/profile_report.hpp>

using namespace weft;

namespace {

using F = formulas::Open<8, bf16>;
constexpr long token = 3, key = 5, hidden = 12, inter = 20, kv_head = 2, group = 3, head_dim = 8;
const Extents extents = {{"token", token},
                         {"key", key},
                         {"hidden", hidden},
                         {"inter", inter},
                         {"kv_head", kv_head},
                         {"group", group},
                         {"head", kv_head* group},
                         {"q_dim", kv_head* group* head_dim},
                         {"kv_dim", kv_head* head_dim},
                         {"rank", 4},
                         {"vocab", 40}};

template <class P> cpu::KernelProfile only_row(cpu::Executor& executor, Binding<P>& b, int calls) {
  cpu::Profile profile;
  executor.record(&profile);
  for (int i = 0; i < calls; ++i) executor.run(b);
  executor.record(nullptr);
  const auto rows = cpu::rows_of(profile);
  REQUIRE(rows.size() == 1);
  return rows[0];
}

// a program whose weight has any block format
struct Blocks {
  using Token = Axis<"token">;
  using Hidden = Axis<"hidden", 64>;
  using Inter = Axis<"inter", 96>;
  template <class W> static constexpr auto product() {
    return program(
        assign(Output<"y", float, Token, Hidden>{}, dot<Inter>(Input<"act", float, Token, Inter>{}, Input<"w", W, Hidden, Inter>{})));
  }
};
struct InQ4 : decltype(Blocks::product<q4_0>()) {};
struct InAny : decltype(Blocks::product<any_block>()) {};

}  // namespace

TEST_CASE("a product: calls, bytes and FLOPs of all of them") {
  cpu::Executor executor(2);
  RandomProgram<F::Down> random(extents);
  const auto row = only_row(executor, random.binding, 3);
  CHECK(row.calls == 3);
  CHECK(row.number == 1);
  CHECK(row.program == "Down");
  CHECK(row.name == "contraction over inter: w_down");
  CHECK(row.flops == 3. * (2 * token * inter * hidden + token * hidden));
  CHECK(row.read == 3. * (4 * token * inter + 2 * inter * hidden + 4 * token * hidden));
  CHECK(row.written == 3. * 4 * token * hidden);
  CHECK(row.multiplied == DType::f32);  // the left operand is not in bf16
  CHECK(row.seconds > 0);
  CHECK(row.median_seconds > 0);
}

TEST_CASE("extents of each call count") {
  cpu::Executor executor(1);
  RandomProgram<F::Down> random(extents);
  cpu::Profile profile;
  executor.record(&profile);
  executor.run(random.binding);
  change_extent(random.binding, "token", 1);
  executor.run(random.binding);
  executor.record(nullptr);
  const auto rows = cpu::rows_of(profile);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].flops == (token + 1.) * (2 * inter * hidden + hidden));
}

TEST_CASE("of a stream, what its mask leaves") {
  cpu::Executor executor(2);
  RandomProgram<F::Attention> random(extents, 1, 1);  // the rows stand at 1, 2, 3 and see 2, 3, 4 keys: one of five is seen by none
  const auto row = only_row(executor, random.binding, 1);
  const long heads = kv_head * group, pairs = 2 + 3 + 4;
  CHECK(row.name == "stream over key: v");
  // q.k, scale, choice, max, - max, exp, sum, .v for each pair and head; a comparison for each pair; a division for each output
  CHECK(row.flops == doctest::Approx(heads * pairs * (4 * head_dim + 6) + pairs + token * heads * head_dim));
  CHECK(row.read == doctest::Approx(4 * token * heads * head_dim + 2 * 4 * 4 * kv_head * head_dim + 4 * token));
}

TEST_CASE("every kernel of a program has a row, in their order") {
  cpu::Executor executor(2);
  RandomProgram<F::Layer> random(extents, 1, 1);
  cpu::Profile profile;
  executor.record(&profile);
  for (int i = 0; i < 4; ++i) executor.run(random.binding);
  executor.record(nullptr);
  const auto rows = cpu::rows_of(profile);
  REQUIRE(rows.size() == kernel_count<F::Layer>);
  for (std::size_t k = 0; k < rows.size(); ++k) {
    CHECK(rows[k].number == static_cast<int>(k) + 1);
    CHECK(rows[k].calls == 4);
    CHECK(rows[k].written == 4. * static_cast<double>(cost_of<F::Layer>(static_cast<int>(k)).written.evaluate(random.binding.extent)));
  }
  CHECK(rows[0].name == "contraction over hidden: w_k, w_v, w_q");

  const cpu::Peaks peaks{1e10, 1e11, 1e11, 1e11};
  const std::string table = cpu::table_of(rows, peaks, 4);
  for (const auto& row : rows) CHECK(table.find(std::to_string(row.number) + " " + row.name) != table.npos);
  const auto json = nlohmann::json::parse(cpu::json_of(rows, peaks));
  REQUIRE(json.size() == rows.size());
  CHECK(json[1]["name"] == rows[1].name);
  CHECK(json[1]["calls"] == 4);
  CHECK(json[1]["flops"].get<double>() == doctest::Approx(rows[1].flops).epsilon(1e-6));
}

TEST_CASE("no profile, no trace") {
  cpu::Executor executor(2);
  RandomProgram<F::Down> with(extents, 5), without(extents, 5);
  cpu::Profile profile;
  executor.record(&profile);
  executor.run(with.binding);
  executor.record(nullptr);
  executor.run(without.binding);
  REQUIRE(profile.entries().size() == 1);
  CHECK(profile.entries()[0].seconds.size() == 1);
  const float *a = with.data<float>("y"), *b = without.data<float>("y");
  for (long i = 0; i < token * hidden; ++i) CHECK(a[i] == b[i]);
}

TEST_CASE("the roofline is the slower of memory and arithmetic") {
  const cpu::Peaks peaks{10., 100., 400., 800.};
  CHECK(peaks.least_seconds(20., 100., DType::f32) == 2.);
  CHECK(peaks.least_seconds(20., 800., DType::f32) == 8.);
  CHECK(peaks.least_seconds(20., 800., DType::bf16) == 2.);
  CHECK(peaks.least_seconds(20., 4000., DType::q8_0) == 5.);
}

TEST_CASE("weights in blocks have the bytes of their blocks") {
  constexpr Cost cost = cost_of<InQ4>(0);
  static_assert(cost.read_in_blocks.summands == 0);
  Binding<InQ4> b;
  change_extent(b, "token", 2);
  CHECK(cost.read.evaluate(b.extent) == 2 * 96 * 4 + bytes_for(DType::q4_0, 64 * 96));

  Binding<InAny> any;
  change_extent(any, "token", 2);
  const Cost open = cost_of<InAny>(0);
  CHECK(open.read.evaluate(any.extent) == 2 * 96 * 4);
  CHECK(open.read_in_blocks.evaluate(any.extent) == 64 * 96);
  for (const DType format : {DType::q8_0, DType::q5_1}) {
    DType formats[Binding<InAny>::views];
    for (int v = 0; v < Binding<InAny>::views; ++v) formats[v] = any.view[v].format;
    formats[leaf_number<InAny>("w")] = format;
    const Cost bound = CostModel<ProgramPlan>{Compiled<InAny>::plan, Compiled<InAny>::table.leaf, formats}.of(0);
    CHECK(bound.read_in_blocks.summands == 0);
    CHECK(bound.read.evaluate(any.extent) == 2 * 96 * 4 + bytes_for(format, 64 * 96));
  }
}

TEST_CASE("profile of a formula") {
  using Row = Axis<"row">;
  using Column = Axis<"column", 8>;
  Buffer<float, Row, Column> x(6, 8), y(6, 8);
  for (long i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i);
  cpu::Executor executor(2);
  const auto result = profile(
      executor, [](auto a) { return a * a + 1_c; }, y.view(), x.view());
  REQUIRE(result.kernels.size() == 1);
  const auto& k = result.kernels[0];
  CHECK(result.runs >= 5);
  CHECK(k.calls == result.runs);
  CHECK(k.flops == 2. * 6 * 8 * static_cast<double>(k.calls));
  CHECK(k.bytes() == 2. * 4 * 6 * 8 * static_cast<double>(k.calls));
  CHECK(k.seconds == doctest::Approx(k.median_seconds * static_cast<double>(k.calls)));
  CHECK(result.text().find("1 map") != std::string::npos);
  CHECK(y.data()[3] == 10.f);
}
