// Products with columns of blocks, by the instruction set this file is compiled for: against sums in double precision over the elements
// that the formats define, in all formats and over ragged shapes, whether columns lie one after the other or in panels.
#include <weft/core/quantize.hpp>
#include <weft/cpu/staging.hpp>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include <doctest/doctest.h>

using namespace weft;
using cpu::MicroKernel, cpu::DigitGroup;

namespace {

std::mt19937 generator(17);
long ragged(long most) { return std::uniform_int_distribution<long>(1, most)(generator); }
float draw() { return std::normal_distribution<float>()(generator); }
std::size_t to_size(long n) { return static_cast<std::size_t>(n); }

// n elements from a 64-byte boundary on
template <class T> struct Aligned {
  std::vector<std::byte> memory;
  T* p;
  explicit Aligned(long n) : memory(to_size(n) * sizeof(T) + 64, std::byte{0x7e}) {
    void* start = memory.data();
    std::size_t space = memory.size();
    p = static_cast<T*>(std::align(64, to_size(n) * sizeof(T), start, space));
  }
};

// ---- blocks of random bytes, whose scales are ordinary, zero, subnormal or negative, and whose digits are now and then all the same
f16 some_scale() {
  switch (ragged(12)) {
    case 1: return f16{0};
    case 2: return f16{static_cast<std::uint16_t>(ragged(1023))};
    default: return to_f16(draw() * 0.1f);
  }
}
template <class Block> Block random_block() {
  Block b;
  auto* bytes = reinterpret_cast<std::uint8_t*>(&b);
  const long kind = ragged(8);
  constexpr std::uint8_t extremes[] = {0, 255, 128, 127};
  for (std::size_t i = 0; i < sizeof b; ++i) bytes[i] = kind <= 4 ? extremes[kind - 1] : static_cast<std::uint8_t>(generator());
  b.d = some_scale();
  if constexpr (requires { b.m; }) b.m = some_scale();
  if constexpr (requires { b.dmin; }) b.dmin = some_scale();
  return b;
}
// columns `step` blocks apart; between them and behind them blocks that would make every sum NaN. The same columns in panels
template <class Block> struct Weights {
  static constexpr long size = block_elements(dtype_of<Block>);
  long n, k, step;
  std::vector<Block> blocks, in_panels;
  std::vector<float> element, offset;  // [n][k]; offset: the part of an element that digits do not scale

  Weights(long columns, long depth)
      : n(columns),
        k(depth),
        step(depth / size + ragged(3) - 1),
        blocks(to_size((n - 1) * step + k / size)),
        in_panels(to_size((n + panel_rows - 1) / panel_rows * panel_rows * (k / size))) {
    std::memset(static_cast<void*>(blocks.data()), 255, blocks.size() * sizeof(Block));
    std::memset(static_cast<void*>(in_panels.data()), 255, in_panels.size() * sizeof(Block));
    element.resize(to_size(n * k));
    offset.resize(element.size());
    for (long j = 0; j < n; ++j)
      for (long i = 0; i < k / size; ++i) {
        Block& b = blocks[to_size(j * step + i)] = random_block<Block>();
        auto* record = reinterpret_cast<std::byte*>(in_panels.data() + (j / panel_rows * (k / size) + i) * panel_rows);
        Panel<Block>::put(&b, static_cast<int>(j % panel_rows), record);
        const Block back = Panel<Block>::take(record, static_cast<int>(j % panel_rows));
        CHECK(std::memcmp(&back, &b, sizeof b) == 0);
        const long at = j * k + i * size;
        dequantize(b, element.data() + at);
        for (long e = 0; e < size; ++e) {
          float& o = offset[to_size(at + e)];
          if constexpr (requires { b.m; }) o = to_float(b.m);
          if constexpr (requires { b.dmin; })
            o = to_float(b.dmin) * static_cast<float>(weft::detail::unpack_scale(b.scales, static_cast<int>(e / 32)).minimum);
        }
      }
  }
  cpu::BlockColumns<Block> columns(bool panels) const {
    return {{reinterpret_cast<const std::byte*>(panels ? in_panels.data() : blocks.data()), panels ? k : 0}, panels ? k : step * size, k};
  }
  // row . column j, and the sum of the magnitudes of all that is added up on the way to it
  std::pair<double, double> product(const float* row, long j) const {
    double value = 0, magnitude = 0;
    for (long i = 0; i < k; ++i) {
      const double x = row[i], w = element[to_size(j * k + i)], o = offset[to_size(j * k + i)];
      value += x * w;
      magnitude += std::fabs(x) * (std::fabs(w) + 2 * std::fabs(o));
    }
    return {value, magnitude};
  }
};
// Whole numbers are summed exactly; a group is scaled, offset and added with four roundings, an element and a digit's value have two each,
// and at most `terms` partial sums are rounded.
double bound(long terms, double magnitude) { return (static_cast<double>(terms) + 16) * 0x1p-24 * magnitude + 1e-36; }

template <class Block> long some_depth() {
  constexpr long size = Weights<Block>::size;
  return ragged(1024 / size) * size;
}
std::vector<float> random_rows(long count, long k) {
  std::vector<float> x(to_size(count * k));
  for (float& v : x) v = ragged(50) == 1 ? 0.f : draw() * (ragged(20) == 1 ? 30.f : 1.f);
  return x;
}

// what the digits of rows stand for
std::vector<float> taken_for(const std::vector<float>& x) {
  std::vector<float> taken(x.size());
  std::vector<DigitGroup> groups(x.size() / DigitGroup::elements);
  cpu::quantize_row_digits(x.data(), static_cast<long>(x.size()), groups.data(), 1);
  for (std::size_t i = 0; i < x.size(); ++i)
    taken[i] =
        groups[i / DigitGroup::elements].scale * static_cast<float>(groups[i / DigitGroup::elements].digit[i % DigitGroup::elements]);
  return taken;
}
// products of `count` rows with all columns from the first on, as contractions of few rows make them
template <class Block> void few_rows(const float* x, long count, const cpu::BlockColumns<Block>& columns, long n, float* out, long stride) {
  using Rows = cpu::FewRows<std::byte, Block>;
  std::vector<DigitGroup> groups(to_size(Rows::stride(count) * (columns.k / DigitGroup::elements)), DigitGroup{});
  for (long r = 0; r < count; ++r) cpu::quantize_row_digits(x + r * columns.k, columns.k, groups.data() + r, Rows::stride(count));
  const std::byte* left[] = {reinterpret_cast<const std::byte*>(groups.data())};
  Rows(count).products(left, columns.first, columns.step, n, columns.k, out, stride);
}

template <class Block> void check_few_rows() {
  for (int round = 0; round < 24; ++round) {
    const long k = some_depth<Block>(), n = ragged(40), stride = (n + 15) / 16 * 16 + ragged(4) - 1;
    const long count = round % 8 + 1;
    const Weights<Block> w(n, k);
    const auto x = random_rows(count, k), taken = taken_for(x);
    std::vector<float> out(to_size(8 * stride), 5.f), from_panels = out;
    few_rows(x.data(), count, w.columns(false), n, out.data(), stride);
    few_rows(x.data(), count, w.columns(true), n, from_panels.data(), stride);
    double worst = 0;
    bool grouping_matters = false, stray = false;
    for (long r = 0; r < count; ++r)
      for (long j = 0; j < stride; ++j) {
        const float got = out[to_size(r * stride + j)];
        grouping_matters = grouping_matters || from_panels[to_size(r * stride + j)] != got;
        if (j >= n) {
          stray = stray || got != 5.f;
          continue;
        }
        const auto [value, magnitude] = w.product(taken.data() + r * k, j);
        worst = std::max(worst, std::fabs(got - value) / bound(k / 16, magnitude));
        float alone[2];  // nothing may be read behind this column
        const std::vector<Block> column(w.blocks.begin() + j * w.step, w.blocks.begin() + j * w.step + k / Weights<Block>::size);
        few_rows<Block>(x.data() + r * k, 1, {{reinterpret_cast<const std::byte*>(column.data()), 0}, 0, k}, 1, &alone[0], 1);
        const auto panels = w.columns(true);
        few_rows<Block>(x.data() + r * k, 1, {panels.column(j), k, k}, 1, &alone[1], 1);
        grouping_matters = grouping_matters || alone[0] != got || alone[1] != got;
      }
    CHECK(worst <= 1);
    CHECK_FALSE(grouping_matters);
    CHECK_FALSE(stray);
  }
}

template <class Block> void check_tiles() {
  using Kernel = MicroKernel<cpu::digits>;
  constexpr long rows = Kernel::rows, cols = Kernel::cols;
  for (int round = 0; round < 10; ++round) {
    const long k = some_depth<Block>(), ldc = cols + 4 * ragged(3) - 4, skipped = round % 3 * 8;
    const int nrows = static_cast<int>(ragged(rows)), ncols = round < 2 ? static_cast<int>(cols) : static_cast<int>(ragged(cols));
    const Weights<Block> w(skipped + ncols, k);
    const auto x = random_rows(nrows, k), start = random_rows(rows, ldc), taken = taken_for(x);
    Aligned<std::byte> left(Kernel::left_bytes(k)), right(Kernel::right_bytes(k));
    std::memset(left.p, 0, to_size(Kernel::left_bytes(k)));
    for (int r = 0; r < nrows; ++r) Kernel::pack_left_row(x.data() + r * k, k, r, left.p);
    Kernel::pack_right(w.columns(round % 2), skipped, ncols, right.p);
    std::vector<float> few(to_size(8 * cols));  // the same sums, to the bit
    const auto columns = w.columns(true);
    few_rows<Block>(x.data(), std::min(nrows, 8), {columns.column(skipped), columns.step, k}, ncols, few.data(), cols);
    for (bool accumulate : {false, true}) {
      auto c = start, full = start;
      Kernel::tile(nrows, left.p, right.p, k, c.data(), ldc, accumulate);
      Kernel::tile(static_cast<int>(rows), left.p, right.p, k, full.data(), ldc, accumulate);
      double worst = 0;
      bool grouping_matters = false, stray = false;
      for (long r = 0; r < nrows; ++r)
        for (long j = 0; j < ldc; ++j) {
          const auto at = to_size(r * ldc + j);
          const double before = accumulate ? start[at] : 0;
          if (j >= ncols) {
            stray = stray || c[at] != start[at];
            continue;
          }
          const auto [value, magnitude] = w.product(taken.data() + r * k, skipped + j);
          worst = std::max(worst, std::fabs(c[at] - value - before) / bound(k / 16, magnitude + std::fabs(before)));
          grouping_matters = grouping_matters || c[at] != full[at] || (!accumulate && r < 8 && c[at] != few[to_size(r * cols + j)]);
        }
      CHECK(worst <= 1);
      CHECK_FALSE(grouping_matters);
      CHECK_FALSE(stray);
    }
  }
}

// whole elements: panels, rows of floats, packets
template <class Block, class Element> void check_panel(const Weights<Block>& w, bool panels) {
  const int ncols = static_cast<int>(std::min<long>(w.n, MicroKernel<Element>::cols));
  const long size = MicroKernel<Element>::right_size(w.k), at = ragged(w.n - ncols + 1) - 1;
  Aligned<Element> panel(size), expected(size);
  cpu::pack_right_blocks<Element, Block>(w.columns(panels), at, ncols, panel.p);
  cpu::pack_right_rows<Element>(w.element.data() + at * w.k, w.k, w.k, ncols, expected.p);
  CHECK(std::memcmp(panel.p, expected.p, to_size(size) * sizeof(Element)) == 0);
}
template <class Block, class L> void check_exact_rows(const Weights<Block>& w) {
  using Rows = cpu::FewRows<L, Block>;
  const long count = ragged(8), stride = (w.n + 15) / 16 * 16;
  std::vector<std::vector<L>> x(to_size(count), std::vector<L>(to_size(w.k)));
  const L* rows[8];
  for (std::size_t r = 0; r < 8; ++r) {
    for (L& v : x[std::min(r, x.size() - 1)]) v = from_float<L>(draw());
    rows[r] = x[std::min(r, x.size() - 1)].data();
  }
  std::vector<float> out(to_size(8 * stride)), from_panels(out.size());
  const auto columns = w.columns(false), panels = w.columns(true);
  Rows(count).products(rows, columns.first, columns.step, w.n, w.k, out.data(), stride);
  Rows(count).products(rows, panels.first, panels.step, w.n, w.k, from_panels.data(), stride);
  double worst = 0;
  bool grouping_matters = false;
  for (long r = 0; r < count; ++r) {
    std::vector<float> wide(to_size(w.k)), alone(to_size(stride));
    for (long i = 0; i < w.k; ++i) wide[to_size(i)] = to_float(x[to_size(r)][to_size(i)]);
    Rows(1).products(rows + r, columns.first, columns.step, w.n, w.k, alone.data(), stride);
    for (long j = 0; j < w.n; ++j) {
      const auto [value, magnitude] = w.product(wide.data(), j);
      const auto at = to_size(r * stride + j);
      worst = std::max(worst, std::fabs(out[at] - value) / bound(w.k, magnitude));
      grouping_matters = grouping_matters || alone[to_size(j)] != out[at] || from_panels[at] != out[at];
    }
  }
  CHECK(worst <= 1);
  CHECK_FALSE(grouping_matters);
}
template <class Block> void check_elements() {
  for (int round = 0; round < 6; ++round) {
    const Weights<Block> w(ragged(33), some_depth<Block>());
    for (const bool panels : {false, true}) {
      check_panel<Block, float>(w, panels);
      check_panel<Block, cpu::PackedAs<bf16>>(w, panels);
    }
    check_exact_rows<Block, float>(w);
    check_exact_rows<Block, bf16>(w);
    bool exact = true;
    for (int i = 0; i < 200; ++i) {
      const long n = std::min(ragged(cpu::Packet::lanes), w.k), first = ragged(w.k - n + 1) - 1;
      for (const bool panels : {false, true}) {
        float got[cpu::Packet::lanes];
        const auto columns = w.columns(panels);
        store(got, load_along(columns.column(0) + first, 1, n));
        for (long e = 0; e < cpu::Packet::lanes; ++e) exact = exact && got[e] == (e < n ? w.element[to_size(first + e)] : 0.f);
        store(got, load_along(columns.column(0) + first, columns.step, std::min(n, w.n)));
        for (long e = 0; e < std::min(n, w.n); ++e) exact = exact && got[e] == w.element[to_size(e * w.k + first)];
      }
    }
    CHECK(exact);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("few quantised rows times columns", Block, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k) { check_few_rows<Block>(); }
TEST_CASE_TEMPLATE("tiles of digits", Block, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k) { check_tiles<Block>(); }
TEST_CASE_TEMPLATE("elements of blocks", Block, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k) { check_elements<Block>(); }

TEST_CASE("rows are quantised as documented") {
  std::fesetround(FE_TONEAREST);
  for (int round = 0; round < 100; ++round) {
    const long k = 32 * ragged(40);
    auto x = random_rows(1, k);
    for (long g = 0; g < k / 32; ++g) {
      float* group = x.data() + g * 32;
      switch (ragged(8)) {
        case 1: std::fill(group, group + 32, 0.f); break;
        case 2:  // too small, or just large enough
          for (int i = 0; i < 32; ++i) group[i] = draw() * 0x1p-101f;
          break;
        case 3:  // halves between two digits
          for (int i = 0; i < 32; ++i) group[i] = static_cast<float>(i - 16) + 0.5f;
          group[0] = -127.f;
          break;
        case 4:  // near the largest number
          for (int i = 0; i < 32; ++i) group[i] = draw() * 0x1p124f;
          break;
        default: break;
      }
    }
    std::vector<DigitGroup> groups(to_size(k / 32 * 3));
    cpu::quantize_row_digits(x.data(), k, groups.data(), 3);
    bool as_documented = true, close = true;
    for (long g = 0; g < k / 32; ++g) {
      const DigitGroup& group = groups[to_size(g * 3)];
      float m = 0;
      for (long i = g * 32; i < g * 32 + 32; ++i) m = std::max(m, std::fabs(x[to_size(i)]));
      const bool vanishes = m < 0x1p-100f;
      const float scale = vanishes ? 0.f : m / 127.f, inverse = vanishes ? 0.f : 127.f / m;
      int sums[2] = {};
      as_documented = as_documented && group.scale == scale;
      for (long i = g * 32; i < g * 32 + 32; ++i) {
        const float digit = std::nearbyint(x[to_size(i)] * inverse);
        sums[i % 32 / 16] += static_cast<int>(digit);
        as_documented = as_documented && group.digit[i % 32] == digit;
        close = close && std::fabs(scale * digit - x[to_size(i)]) <= (0.5 + 0x1p-15) * std::max(m / 127., 0x1p-99);
      }
      as_documented = as_documented && group.scaled_sum == scale * static_cast<float>(sums[0] + sums[1]) &&
                      group.minus_8_sums == -8 * (sums[0] + sums[1]) && group.minus_16_sums == -16 * (sums[0] + sums[1]) &&
                      group.minus_128_sums == -128 * (sums[0] + sums[1]) && group.minus_32_low_sums == -32 * sums[0] &&
                      group.minus_32_high_sums == -32 * sums[1];
    }
    CHECK(as_documented);
    CHECK(close);
  }
}
