// The micro-kernel for tile registers over a model of them, so that it is tested on any CPU; and vector registers with as many rows.
#include <weft/cpu/micro_kernel.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace weft;

namespace {

// Tile registers after the definitions of TILELOADD, TILESTORED, TILEZERO and TDPBF16PS in Intel's manual.
struct ModelTiles {
  struct Scope {
    Scope() {
      std::memset(tile, 0, sizeof tile);
      held = true;
    }
    ~Scope() { held = false; }
  };
  static inline unsigned char tile[8][16][64];
  static inline bool held = false;
  static inline long dots = 0;

  template <int t> static void zero() {
    REQUIRE(held);
    std::memset(tile[t], 0, sizeof tile[t]);
  }
  template <int t> static void load(const void* p, long stride) {
    REQUIRE(held);
    for (int i = 0; i < 16; ++i) std::memcpy(tile[t][i], static_cast<const unsigned char*>(p) + i * stride, 64);
  }
  template <int t> static void store(void* p, long stride) {
    REQUIRE(held);
    for (int i = 0; i < 16; ++i) std::memcpy(static_cast<unsigned char*>(p) + i * stride, tile[t][i], 64);
  }
  // the manual's DAZ=FTZ=1
  static float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.f, x) : x; }
  template <int c, int a, int b> static void dot() {
    REQUIRE(held);
    ++dots;
    for (int m = 0; m < 16; ++m)
      for (int n = 0; n < 16; ++n) {
        float sum[2] = {0, 0}, result;
        for (int k = 0; k < 16; ++k)
          for (int i = 0; i < 2; ++i) {
            bf16 x, y;
            std::memcpy(&x, tile[a][m] + (2 * k + i) * 2, 2);
            std::memcpy(&y, tile[b][k] + (2 * n + i) * 2, 2);
            sum[i] = flushed(std::fma(flushed(to_float(x)), flushed(to_float(y)), sum[i]));
          }
        std::memcpy(&result, tile[c][m] + 4 * n, 4);
        result = flushed(flushed(result) + flushed(sum[0] + sum[1]));
        std::memcpy(tile[c][m] + 4 * n, &result, 4);
      }
  }
};

using Kernel = cpu::AmxMicroKernel<ModelTiles>;
constexpr long rows = Kernel::rows, cols = Kernel::cols;

std::mt19937 generator(12);
float draw() { return std::uniform_real_distribution<float>(-1, 1)(generator); }
template <class T> std::vector<T> random_values(long n) {
  std::vector<T> v(static_cast<std::size_t>(n));
  for (T& x : v) x = from_float<T>(draw());
  return v;
}

// what one dot makes of c, a row and a column of up to 32 values
float dot_of(float c, std::vector<float> a, std::vector<float> b) {
  const ModelTiles::Scope scope;
  bf16 left[16][32]{}, right[16][16][2]{};
  float result[16][16]{};
  for (std::size_t i = 0; i < a.size(); ++i) {
    left[5][i] = from_float<bf16>(a[i]);
    right[i / 2][9][i % 2] = from_float<bf16>(b[i]);
  }
  result[5][9] = c;
  ModelTiles::load<0>(result, 64);
  ModelTiles::load<1>(left, 64);
  ModelTiles::load<2>(right, 64);
  ModelTiles::dot<0, 1, 2>();
  ModelTiles::store<0>(result, 64);
  return result[5][9];
}

// A problem, its panels filled by the formulas of their layout, and its results by the order that micro_amx.hpp describes.
struct Problem {
  long k;
  std::vector<bf16> left, right;  // [rows][k], [cols][k]
  std::vector<bf16> left_panel, right_panel;
  explicit Problem(long depth)
      : k(depth),
        left(random_values<bf16>(rows * k)),
        right(random_values<bf16>(cols * k)),
        left_panel(static_cast<std::size_t>(Kernel::left_size(k)), from_float<bf16>(0.f)),
        right_panel(static_cast<std::size_t>(Kernel::right_size(k)), from_float<bf16>(0.f)) {
    for (long i = 0; i < k; ++i) {
      for (long r = 0; r < rows; ++r) left_panel[at_left(r, i)] = left[static_cast<std::size_t>(r * k + i)];
      for (long j = 0; j < cols; ++j) right_panel[at_right(j, i)] = right[static_cast<std::size_t>(j * k + i)];
    }
  }
  static std::size_t at_left(long r, long i) { return static_cast<std::size_t>((i / 32 * rows + r) * 32 + i % 32); }
  static std::size_t at_right(long j, long i) { return static_cast<std::size_t>((i / 2 * cols + j) * 2 + i % 2); }
  template <class F> void products(long r, long j, F f) const {
    for (long i = 0; i < k; ++i)
      f(i, to_float(left[static_cast<std::size_t>(r * k + i)]), to_float(right[static_cast<std::size_t>(j * k + i)]));
  }
  float in_order(long r, long j, float start) const {
    float sum = start, part[2] = {0, 0};
    products(r, j, [&](long i, float a, float b) {
      part[i % 2] = std::fma(a, b, part[i % 2]);
      if (i % 32 == 31 || i == k - 1) {
        sum += part[0] + part[1];
        part[0] = part[1] = 0;
      }
    });
    return sum;
  }
  // how far x is from the exact sum, as a fraction of what rounding may do to a sum in f32
  double error(long r, long j, float start, float x) const {
    double sum = start, magnitude = std::fabs(start);
    products(r, j, [&](long, double a, double b) {
      sum += a * b;
      magnitude += std::fabs(a * b);
    });
    return std::fabs(x - sum) / (static_cast<double>(k + 20) * 0x1p-24 * magnitude);
  }
};

}  // namespace

TEST_CASE("the model of the dot instruction") {
  CHECK(dot_of(1, {2, 3, 5}, {7, 11, 13}) == 1 + 14 + 33 + 65);
  CHECK(dot_of(0x1p24f, {1, 1}, {1, 1}) == 0x1p24f + 2);          // pairs are added first ...
  CHECK(dot_of(0x1p24f, {1, 0, 1}, {1, 0, 1}) == 0x1p24f + 2);    // ... after the sums of even ...
  CHECK(dot_of(0, {4096, 1, 1}, {4096, 0, 1}) == 0x1p24f);        // ... and odd ones
  CHECK(dot_of(0, {4096, 0, 0, 1}, {4096, 0, 0, 1}) == 0x1p24f);  // a tie goes to the even neighbour,
  CHECK(dot_of(2, {4096, 0, 0, 1}, {4096, 0, 0, 1}) == 0x1p24f + 2);
  CHECK(dot_of(0, {-0x1p127f, 0, 0x1p64f}, {1, 0, 0x1p64f}) == 0x1p127f);  // products are not rounded by themselves
  CHECK(std::isinf(dot_of(0, {0x1p64f}, {0x1p64f})));
  CHECK(std::isnan(dot_of(0, {std::numeric_limits<float>::infinity()}, {0})));
  CHECK(dot_of(0, {0x1p-130f}, {0x1p100f}) == 0);  // subnormal operands, sums, results
  CHECK(dot_of(0, {0x1p-100f}, {0x1p-30f}) == 0);
  CHECK(dot_of(0x1p-127f, {0}, {0}) == 0);
  CHECK(dot_of(-0x1p-126f, {0x1p-63f}, {0x1.8p-63f}) == 0);
}

TEST_CASE("tiles of any number of rows and any depth") {
  for (long k : {1, 2, 31, 32, 33, 64, 77, 150}) {
    const Problem p(k);
    const auto start = random_values<float>(rows * cols);
    for (int n = 1; n <= rows; ++n) {
      const long ldc = cols + 3 * (n % 3);
      const bool accumulate = n % 2;
      std::vector<float> c(static_cast<std::size_t>(rows * ldc), 5.f);
      for (long r = 0; r < rows; ++r) std::copy_n(start.begin() + r * cols, cols, c.begin() + r * ldc);
      const ModelTiles::Scope scope;
      if (n == rows)
        Kernel::tile(p.left_panel.data(), p.right_panel.data(), k, c.data(), ldc, accumulate);
      else
        Kernel::tile(n, p.left_panel.data(), p.right_panel.data(), k, c.data(), ldc, accumulate, {start.data(), n * 100l});
      bool same = true, stray = false;
      double worst = 0;
      for (long r = 0; r < rows; ++r)
        for (long j = 0; j < ldc; ++j) {
          const float x = c[static_cast<std::size_t>(r * ldc + j)];
          if (j >= cols) {
            stray = stray || x != 5.f;
          } else if (const float before = start[static_cast<std::size_t>(r * cols + j)]; r < n) {
            same = same && x == p.in_order(r, j, accumulate ? before : 0.f);
            worst = std::max(worst, p.error(r, j, accumulate ? before : 0.f, x));
          } else if (r >= (n + Kernel::row_step - 1) / Kernel::row_step * Kernel::row_step) {
            stray = stray || x != before;
          }
        }
      CHECK(same);
      CHECK_FALSE(stray);
      CHECK(worst <= 1);
    }
  }
}

TEST_CASE("the depth may come in parts") {
  const ModelTiles::Scope scope;
  const Problem p(140);
  std::vector<float> whole(rows * cols), parts(rows * cols);
  Kernel::tile(p.left_panel.data(), p.right_panel.data(), p.k, whole.data(), cols, false);
  for (long at = 0; at < p.k; at += 64)
    Kernel::tile(p.left_panel.data() + Kernel::left_size(at), p.right_panel.data() + Kernel::right_size(at), std::min(64l, p.k - at),
                 parts.data(), cols, at > 0);
  CHECK(whole == parts);
  CHECK(Kernel::k_block % Kernel::left_depth == 0);
}

TEST_CASE_TEMPLATE("left panels", T, float, bf16, f16) {
  for (long k : {1, 15, 16, 17, 32, 33, 70}) {
    const int nrows = static_cast<int>(1 + k % rows);
    const long stride = k + 3;
    const auto source = random_values<T>(nrows * stride);
    std::vector<bf16> whole(static_cast<std::size_t>(Kernel::left_size(k)), from_float<bf16>(9.f)), by_row = whole;
    Kernel::pack_left(source.data(), stride, k, nrows, whole.data());
    for (int r = 0; r < nrows; ++r) Kernel::pack_left_row(source.data() + r * stride, k, r, by_row.data());
    bool same = true, untouched = true;
    for (long r = 0; r < rows; ++r)
      for (long i = 0; i < (k + 31) / 32 * 32; ++i) {
        const bf16 want = from_float<bf16>(r < nrows && i < k ? to_float(source[static_cast<std::size_t>(r * stride + i)]) : 0.f);
        const std::size_t at = Problem::at_left(r, i);
        same = same && to_float(whole[at]) == to_float(want);
        if (r < nrows)
          same = same && to_float(by_row[at]) == to_float(want);
        else
          untouched = untouched && to_float(by_row[at]) == 9.f;
      }
    CHECK(same);
    CHECK(untouched);
  }
}

TEST_CASE("bf16 panels of columns are in the order of tiles") {
  if constexpr (cpu::has_bf16_dot) {
    for (long k : {1, 31, 64, 77}) {
      const Problem p(k);
      std::vector<bf16> panel(p.right_panel.size(), from_float<bf16>(0.f));
      cpu::pack_right_rows<bf16>(p.right.data(), k, k, static_cast<int>(cols), panel.data());
      CHECK(std::memcmp(panel.data(), p.right_panel.data(), panel.size() * sizeof(bf16)) == 0);
    }
  }
}

TEST_CASE("vector registers compute as many rows as tiles, with the same bits") {
  using Wide = cpu::RegisterMicroKernel<float, static_cast<int>(rows)>;
  using Narrow = cpu::RegisterMicroKernel<float, cpu::register_rows>;
  for (long k : {1, 40, 77}) {
    const auto left = random_values<float>(rows * k), right = random_values<float>(Wide::right_size(k));
    const auto start = random_values<float>(rows * Wide::cols);
    std::vector<float> wide(static_cast<std::size_t>(Wide::left_size(k))), narrow(static_cast<std::size_t>(Narrow::left_size(k)));
    for (long r = 0; r < rows; ++r)
      for (long i = 0; i < k; ++i) wide[static_cast<std::size_t>(i * rows + r)] = left[static_cast<std::size_t>(r * k + i)];
    auto want = start;
    for (long first = 0; first < rows; first += Narrow::rows) {
      const long n = std::min<long>(Narrow::rows, rows - first);
      for (long r = 0; r < n; ++r)
        for (long i = 0; i < k; ++i)
          narrow[static_cast<std::size_t>(i * Narrow::rows + r)] = left[static_cast<std::size_t>((first + r) * k + i)];
      std::vector<float> c(Narrow::rows * Wide::cols);
      std::copy_n(start.begin() + first * Wide::cols, n * Wide::cols, c.begin());
      Narrow::tile(narrow.data(), right.data(), k, c.data(), Wide::cols, true);
      std::copy_n(c.begin(), n * Wide::cols, want.begin() + first * Wide::cols);
    }
    for (int n = 1; n <= rows; ++n) {
      auto c = start;
      Wide::tile(n, wide.data(), right.data(), k, c.data(), Wide::cols, true);
      const long touched = (n + Wide::row_step - 1) / Wide::row_step * Wide::row_step * Wide::cols;
      CHECK(std::equal(c.begin(), c.begin() + n * Wide::cols, want.begin()));
      CHECK(std::equal(c.begin() + touched, c.end(), start.begin() + touched));
    }
  }
}

TEST_CASE("the peak counts every product") {
  ModelTiles::dots = 0;
  const double flops = cpu::detail::amx_flops<ModelTiles>(3, 5, [](auto f) {
    f(0);
    return 0.25;
  });
  CHECK(ModelTiles::dots == 4 * 5);
  CHECK(flops == 3 * static_cast<double>(ModelTiles::dots) * 2 * 16 * 16 * 32 / 0.25);
}

#if defined(__x86_64__) && defined(__linux__)
TEST_CASE("a system without tile registers is told how to do without") {
  try {
    cpu::HardwareTiles::permit();
    cpu::HardwareTiles::permit();
  } catch (const Error& e) {
    CHECK(std::string(e.what()).find("compile with -mno-amx-tile") != std::string::npos);
    CHECK_THROWS_AS(cpu::HardwareTiles::permit(), Error);
  }
}
#endif
