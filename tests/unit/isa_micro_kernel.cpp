// Micro-kernels of the instruction set this file is compiled for, against sums in double precision, over ragged shapes.
#include <weft/cpu/micro_kernel.hpp>
#include <weft/cpu/roofline.hpp>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include <doctest/doctest.h>

using namespace weft;
using cpu::MicroKernel;

namespace {

std::mt19937 generator(11);
float draw() { return std::uniform_real_distribution<float>(-1, 1)(generator); }
long ragged(long most) { return std::uniform_int_distribution<long>(1, most)(generator); }

template <class T> std::vector<T> random_values(long n) {
  std::vector<T> v(static_cast<std::size_t>(n));
  for (T& x : v) x = from_float<T>(draw());
  return v;
}
// 64-byte aligned, filled with a value that any sum would show
template <class T> struct Block {
  std::vector<T> memory;
  T* p;
  explicit Block(long n) : memory(static_cast<std::size_t>(n) + 64, from_float<T>(1e6f)) {
    void* start = memory.data();
    std::size_t space = memory.size() * sizeof(T);
    p = static_cast<T*>(std::align(64, static_cast<std::size_t>(n) * sizeof(T), start, space));
  }
};
// what a packed operand holds of x
template <class Element> double packed(double x) { return to_float(from_float<Element>(static_cast<float>(x))); }
// error bound of a sum of k products in f32, in any order: each partial sum is rounded at most k + some times
double bound(long k, double magnitude) { return (k + 20.) * 0x1p-24 * magnitude + 1e-30; }

struct Dot {
  double value = 0, magnitude = 0;
  void add(double a, double b) {
    value += a * b;
    magnitude += std::fabs(a * b);
  }
};

template <class Element, class T> void check_tiles() {
  using Kernel = MicroKernel<Element>;
  constexpr long rows = Kernel::rows, cols = Kernel::cols;
  const cpu::TileScope tiles;
  for (int round = 0; round < 30; ++round) {
    const long k = round < 4 ? round + 1 : ragged(150), gap = ragged(9) - 1;
    const int nrows = static_cast<int>(ragged(rows)), ncols = static_cast<int>(ragged(cols));
    const auto left = random_values<float>(nrows * (k + gap)), start = random_values<float>(rows * cols);
    const auto weights = random_values<T>(ncols * (k + gap));
    Block<Element> a(Kernel::left_size(k)), a_by_row(Kernel::left_size(k)), b(Kernel::right_size(k)), b_by_col(Kernel::right_size(k));
    cpu::pack_left(left.data(), k + gap, k, nrows, a.p);
    for (int r = 0; r < nrows; ++r) cpu::pack_left_row(left.data() + r * (k + gap), k, r, a_by_row.p);
    cpu::pack_right_rows(weights.data(), k + gap, k, ncols, b.p);
    std::vector<T> turned(static_cast<std::size_t>((ncols + gap) * k));
    for (long j = 0; j < ncols; ++j)
      for (long i = 0; i < k; ++i)
        turned[static_cast<std::size_t>(i * (ncols + gap) + j)] = weights[static_cast<std::size_t>(j * (k + gap) + i)];
    cpu::pack_right_cols(turned.data(), ncols + gap, k, ncols, b_by_col.p);

    // the panels, element by element
    const auto left_at = [&](long r, long i) {
      return r < nrows && i < k ? packed<Element>(left[static_cast<std::size_t>(r * (k + gap) + i)]) : 0.;
    };
    const auto right_at = [&](long j, long i) {
      return j < ncols && i < k ? packed<Element>(to_float(weights[static_cast<std::size_t>(j * (k + gap) + i)])) : 0.;
    };
    bool exact = true;
    for (long i = 0; i < Kernel::steps(k) * Kernel::depth; ++i) {
      for (long r = 0; r < rows; ++r) {
        const long at = (i / Kernel::left_depth * rows + r) * Kernel::left_depth + i % Kernel::left_depth;
        exact = exact && to_float(a.p[at]) == left_at(r, i) && (r >= nrows || to_float(a_by_row.p[at]) == left_at(r, i));
      }
      for (long j = 0; j < cols; ++j) {
        const long at = (i / Kernel::depth * cols + j) * Kernel::depth + i % Kernel::depth;
        exact = exact && to_float(b.p[at]) == right_at(j, i) && to_float(b_by_col.p[at]) == right_at(j, i);
      }
    }
    CHECK(exact);

    const long ldc = cols + 4 * ragged(4) - 4;
    for (bool accumulate : {false, true}) {
      std::vector<float> c(static_cast<std::size_t>(rows * ldc), 5.f), full(c.size(), 5.f);
      for (long r = 0; r < rows; ++r)
        for (long j = 0; j < cols; ++j)
          c[static_cast<std::size_t>(r * ldc + j)] = full[static_cast<std::size_t>(r * ldc + j)] =
              start[static_cast<std::size_t>(r * cols + j)];
      Kernel::tile(nrows, a.p, b.p, k, c.data(), ldc, accumulate);
      Kernel::tile(a.p, b.p, k, full.data(), ldc, accumulate);
      double worst = 0;
      bool grouping_matters = false, stray = false;
      for (long r = 0; r < rows; ++r)
        for (long j = 0; j < ldc; ++j) {
          const auto at = static_cast<std::size_t>(r * ldc + j);
          if (j >= cols)
            stray = stray || c[at] != 5.f || full[at] != 5.f;
          else if (r >= (nrows + Kernel::row_step - 1) / Kernel::row_step * Kernel::row_step)
            stray = stray || c[at] != start[static_cast<std::size_t>(r * cols + j)];
          else if (r < nrows) {
            Dot want;
            if (accumulate) want.add(start[static_cast<std::size_t>(r * cols + j)], 1);
            for (long i = 0; i < k; ++i) want.add(left_at(r, i), right_at(j, i));
            worst = std::max(worst, std::fabs(c[at] - want.value) / bound(k, want.magnitude));
            grouping_matters = grouping_matters || c[at] != full[at];
          }
        }
      CHECK(worst <= 1);
      CHECK_FALSE(grouping_matters);
      CHECK_FALSE(stray);
    }
  }
}

template <class L, class W, int R, int C> void check_dots() {
  for (int round = 0; round < 25; ++round) {
    const long k = round < 3 ? round + 1 : ragged(200), gap = ragged(5) - 1;
    const auto left = random_values<L>(R * (k + gap));
    const auto weights = random_values<W>(C * (k + gap));
    const L* l[R];
    const W* w[C];
    for (long r = 0; r < R; ++r) l[r] = left.data() + r * (k + gap);
    for (long c = 0; c < C; ++c) w[c] = weights.data() + c * (k + gap);
    float out[C * R];
    cpu::dots<L, W, R, C>(l, w, k, out);
    double worst = 0;
    bool grouping_matters = false;
    for (int c = 0; c < C; ++c)
      for (int r = 0; r < R; ++r) {
        Dot want;
        for (long i = 0; i < k; ++i) want.add(to_float(l[r][i]), to_float(w[c][i]));
        worst = std::max(worst, std::fabs(out[c * R + r] - want.value) / bound(k, want.magnitude));
        const std::vector<L> moved(l[r], l[r] + k);  // alone and elsewhere: the same bits
        const L* one = moved.data();
        float alone;
        cpu::dots<L, W, 1, 1>(&one, w + c, k, &alone);
        grouping_matters = grouping_matters || alone != out[c * R + r];
      }
    CHECK(worst <= 1);
    CHECK_FALSE(grouping_matters);
  }
}

}  // namespace

TEST_CASE("the bf16 dot instruction is used where the compiler's flags allow it") {
#if defined(__AVX512BF16__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
  CHECK(cpu::has_bf16_dot);
  CHECK(std::is_same_v<cpu::PackedAs<bf16>, bf16>);
#else
  CHECK_FALSE(cpu::has_bf16_dot);
  CHECK(std::is_same_v<cpu::PackedAs<bf16>, float>);
#endif
  CHECK(std::is_same_v<cpu::PackedAs<f16>, float>);
}

TEST_CASE_TEMPLATE("tiles of float panels", T, float, bf16, f16) { check_tiles<float, T>(); }
TEST_CASE_TEMPLATE("tiles of panels in the format's own packing", T, float, bf16, f16) { check_tiles<cpu::PackedAs<bf16>, T>(); }

TEST_CASE_TEMPLATE("dots of float rows", W, float, bf16, f16) {
  check_dots<float, W, 1, 4>();
  check_dots<float, W, 3, 5>();
}
TEST_CASE_TEMPLATE("dots of bf16 rows", W, float, bf16, f16) {
  check_dots<bf16, W, 1, 8>();
  check_dots<bf16, W, 7, 1>();
}
TEST_CASE("peaks are positive and in proportion") {
  cpu::Threads threads(2);
  const cpu::Peaks peaks = cpu::measure_peaks(threads, 0.02);
  CHECK(peaks.read_bytes_per_second > 1e6);
  CHECK(peaks.f32_flops > 1e6);
  CHECK((cpu::has_bf16_dot || peaks.bf16_flops == peaks.f32_flops));
  CHECK(std::isfinite(peaks.bf16_flops));
}
