// Products with columns of blocks, by the instruction set this file is compiled for: against sums in double precision over the elements that the
// formats define, in all formats and over ragged shapes.
#include <weft/core/quantize.hpp>
#include <weft/cpu/block_load.hpp>
#include <weft/cpu/block_panel.hpp>
#include <weft/cpu/block_products.hpp>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include <doctest/doctest.h>

using namespace weft;
using cpu::MicroKernel, cpu::QuantizedRow;

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
// columns `step` blocks apart; between them and behind them blocks that would make every sum NaN
template <class Block> struct Weights {
  static constexpr long size = block_elements(dtype_of<Block>);
  long n, k, step;
  std::vector<Block> blocks;
  std::vector<float> element, offset;  // [n][k]; offset: the part of an element that digits do not scale

  Weights(long columns, long depth) : n(columns), k(depth), step(depth / size + ragged(3) - 1), blocks(to_size((n - 1) * step + k / size)) {
    std::memset(static_cast<void*>(blocks.data()), 255, blocks.size() * sizeof(Block));
    element.resize(to_size(n * k));
    offset.resize(element.size());
    for (long j = 0; j < n; ++j)
      for (long i = 0; i < k / size; ++i) {
        Block& b = blocks[to_size(j * step + i)] = random_block<Block>();
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
// Whole numbers are summed exactly; a group is scaled, offset and added with four roundings, an element and a digit's value have two each, and at
// most `terms` partial sums are rounded.
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

template <class Block> void check_few_rows() {
  for (int round = 0; round < 24; ++round) {
    const long k = some_depth<Block>(), n = ragged(33), stride = n + ragged(4) - 1;
    const int count = round < 13 ? round + 1 : static_cast<int>(ragged(13));
    const Weights<Block> w(n, k);
    const auto x = random_rows(count, k);
    std::vector<float> taken(x.size());  // what the digits stand for
    std::vector<Aligned<std::byte>> memory;
    std::vector<const std::byte*> rows;
    for (long r = 0; r < count; ++r) {
      memory.emplace_back(QuantizedRow::bytes(k));
      QuantizedRow::quantize(x.data() + r * k, k, memory.back().p);
      QuantizedRow::dequantize(memory.back().p, k, taken.data() + r * k);
      rows.push_back(memory.back().p);
    }
    std::vector<float> out(to_size(count * stride), 5.f);
    cpu::block_products(rows.data(), count, w.blocks.data(), w.step, n, k, out.data(), stride);
    double worst = 0;
    bool grouping_matters = false, stray = false;
    for (long r = 0; r < count; ++r)
      for (long j = 0; j < stride; ++j) {
        const float got = out[to_size(r * stride + j)];
        if (j >= n) {
          stray = stray || got != 5.f;
          continue;
        }
        const auto [value, magnitude] = w.product(taken.data() + r * k, j);
        worst = std::max(worst, std::fabs(got - value) / bound(k / 16, magnitude));
        float alone;  // nothing may be read behind this column
        const std::vector<Block> column(w.blocks.begin() + j * w.step, w.blocks.begin() + j * w.step + k / Weights<Block>::size);
        cpu::block_products(rows.data() + r, 1, column.data(), w.step, 1, k, &alone, 1);
        grouping_matters = grouping_matters || alone != got;
      }
    CHECK(worst <= 1);
    CHECK_FALSE(grouping_matters);
    CHECK_FALSE(stray);
  }
}

template <class Block> void check_tiles() {
  using Kernel = MicroKernel<cpu::digits>;
  constexpr long rows = Kernel::rows, cols = Kernel::cols;
  for (int round = 0; round < 8; ++round) {
    const long k = some_depth<Block>(), ldc = cols + 4 * ragged(3) - 4;
    const int nrows = static_cast<int>(ragged(rows)), ncols = round == 0 ? static_cast<int>(cols) : static_cast<int>(ragged(cols));
    const Weights<Block> w(ncols, k);
    const auto x = random_rows(nrows, k), start = random_rows(rows, ldc);
    std::vector<float> taken(k);
    Aligned<std::byte> left(Kernel::left_bytes(k)), right(Kernel::right_bytes(k)), row(QuantizedRow::bytes(k));
    std::memset(left.p, 0, to_size(Kernel::left_bytes(k)));
    for (int r = 0; r < nrows; ++r) Kernel::pack_left_row(x.data() + r * k, k, r, left.p);
    Kernel::pack_right(w.blocks.data(), w.step, k, ncols, right.p);
    for (bool accumulate : {false, true}) {
      auto c = start, full = start;
      Kernel::tile(nrows, left.p, right.p, k, c.data(), ldc, accumulate);
      Kernel::tile(static_cast<int>(rows), left.p, right.p, k, full.data(), ldc, accumulate);
      double worst = 0;
      bool grouping_matters = false, stray = false;
      for (long r = 0; r < nrows; ++r) {
        QuantizedRow::quantize(x.data() + r * k, k, row.p);
        QuantizedRow::dequantize(row.p, k, taken.data());
        for (long j = 0; j < ldc; ++j) {
          const auto at = to_size(r * ldc + j);
          const double before = accumulate ? start[at] : 0;
          if (j >= cols)
            stray = stray || c[at] != start[at];
          else if (j >= ncols)
            stray = stray || c[at] != static_cast<float>(before);
          else {
            const auto [value, magnitude] = w.product(taken.data(), j);
            worst = std::max(worst, std::fabs(c[at] - value - before) / bound(k / 16, magnitude + std::fabs(before)));
            grouping_matters = grouping_matters || c[at] != full[at];
          }
        }
      }
      CHECK(worst <= 1);
      CHECK_FALSE(grouping_matters);
      CHECK_FALSE(stray);
    }
  }
}

// whole elements: panels, rows of floats, packets
template <class Block, class Element> void check_panel(const Weights<Block>& w, long ncols) {
  const long size = MicroKernel<Element>::right_size(w.k);
  Aligned<Element> panel(size), expected(size);
  cpu::pack_right_blocks(w.blocks.data(), w.step, w.k, static_cast<int>(ncols), panel.p);
  cpu::pack_right_rows<Element>(w.element.data(), w.k, w.k, static_cast<int>(ncols), expected.p);
  CHECK(std::memcmp(panel.p, expected.p, to_size(size) * sizeof(Element)) == 0);
}
template <class Block, class L> void check_exact_rows(const Weights<Block>& w) {
  const int count = static_cast<int>(ragged(13));
  std::vector<std::vector<L>> x(to_size(count), std::vector<L>(to_size(w.k)));
  std::vector<const L*> rows;
  for (auto& row : x) {
    for (L& v : row) v = from_float<L>(draw());
    rows.push_back(row.data());
  }
  std::vector<float> out(to_size(count * w.n));
  cpu::block_products(rows.data(), count, w.blocks.data(), w.step, w.n, w.k, out.data(), w.n);
  double worst = 0;
  bool grouping_matters = false;
  for (long r = 0; r < count; ++r) {
    std::vector<float> wide(to_size(w.k)), alone(to_size(w.n));
    for (long i = 0; i < w.k; ++i) wide[to_size(i)] = to_float(x[to_size(r)][to_size(i)]);
    cpu::block_products(rows.data() + r, 1, w.blocks.data(), w.step, w.n, w.k, alone.data(), w.n);
    for (long j = 0; j < w.n; ++j) {
      const auto [value, magnitude] = w.product(wide.data(), j);
      worst = std::max(worst, std::fabs(out[to_size(r * w.n + j)] - value) / bound(w.k, magnitude));
      grouping_matters = grouping_matters || alone[to_size(j)] != out[to_size(r * w.n + j)];
    }
  }
  CHECK(worst <= 1);
  CHECK_FALSE(grouping_matters);
}
template <class Block> void check_elements() {
  for (int round = 0; round < 6; ++round) {
    const Weights<Block> w(ragged(33), some_depth<Block>());
    check_panel<Block, float>(w, std::min<long>(w.n, MicroKernel<float>::cols));
    check_panel<Block, cpu::PackedAs<bf16>>(w, std::min<long>(w.n, MicroKernel<cpu::PackedAs<bf16>>::cols));
    check_exact_rows<Block, float>(w);
    check_exact_rows<Block, bf16>(w);
    bool exact = true;
    for (int i = 0; i < 200; ++i) {
      const long n = std::min(ragged(cpu::Packet::lanes), w.k), first = ragged(w.k - n + 1) - 1;
      float got[cpu::Packet::lanes];
      store(got, cpu::load_block(w.blocks.data(), first, n));
      for (long e = 0; e < cpu::Packet::lanes; ++e) exact = exact && got[e] == (e < n ? w.element[to_size(first + e)] : 0.f);
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
    Aligned<std::byte> row(QuantizedRow::bytes(k));
    QuantizedRow::quantize(x.data(), k, row.p);
    std::vector<float> back(to_size(k));
    QuantizedRow::dequantize(row.p, k, back.data());
    bool as_documented = true, close = true;
    for (long g = 0; g < k / 32; ++g) {
      float m = 0;
      for (long i = g * 32; i < g * 32 + 32; ++i) m = std::max(m, std::fabs(x[to_size(i)]));
      const bool vanishes = m < 0x1p-100f;
      const float scale = vanishes ? 0.f : m / 127.f, inverse = vanishes ? 0.f : 127.f / m;
      int sums[2] = {};
      as_documented = as_documented && QuantizedRow::scales(row.p, k)[QuantizedRow::lane(g)] == scale;
      for (long i = g * 32; i < g * 32 + 32; ++i) {
        const float digit = std::nearbyint(x[to_size(i)] * inverse);
        sums[i % 32 / 16] += static_cast<int>(digit);
        as_documented = as_documented && QuantizedRow::digits(row.p)[QuantizedRow::place(i)] == digit && back[to_size(i)] == scale * digit;
        close = close && std::fabs(back[to_size(i)] - x[to_size(i)]) <= (0.5 + 0x1p-15) * std::max(m / 127., 0x1p-99);
      }
      as_documented = as_documented &&
                      QuantizedRow::sums(row.p, k)[QuantizedRow::lane(g)] == scale * static_cast<float>(sums[0] + sums[1]) &&
                      QuantizedRow::half_sums(row.p, k)[2 * QuantizedRow::lane(g)] == sums[0] &&
                      QuantizedRow::half_sums(row.p, k)[2 * QuantizedRow::lane(g) + 1] == sums[1];
    }
    CHECK(as_documented);
    CHECK(close);
  }
}
