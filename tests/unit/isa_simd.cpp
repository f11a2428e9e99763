// Packets of the instruction set this file is compiled for: arithmetic, formats, tails, elementary functions.
#include <sys/mman.h>
#include <unistd.h>

#include <weft/core/math.hpp>
#include <weft/cpu/simd.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <doctest/doctest.h>

using namespace weft;
using cpu::Packet;

namespace {

constexpr int lanes = Packet::lanes;
constexpr float infinity = std::numeric_limits<float>::infinity(), not_a_number = std::numeric_limits<float>::quiet_NaN();

struct Lanes {
  float x[lanes];
};
Lanes lanes_of(Packet a) {
  Lanes l;
  store(l.x, a);
  return l;
}
std::uint32_t bits(float a) { return std::bit_cast<std::uint32_t>(a); }
bool same(float a, float b) { return bits(a) == bits(b) || (a != a && b != b); }

// T objects that end where the next page cannot be touched
template <class T> struct AtPageEnd {
  std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  char* base = static_cast<char*>(mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  AtPageEnd() {
    REQUIRE(base != MAP_FAILED);
    REQUIRE(mprotect(base + page, page, PROT_NONE) == 0);
  }
  ~AtPageEnd() { munmap(base, 2 * page); }
  T* last(long n) { return reinterpret_cast<T*>(base + page) - n; }
};

// distance in units of the last place of the correctly rounded result
double ulps(float found, double wanted) {
  const float rounded = static_cast<float>(wanted);
  if (std::isnan(wanted) || std::isnan(found)) return std::isnan(wanted) && std::isnan(found) ? 0 : infinity;
  if (std::isinf(rounded) || std::isinf(found)) return rounded == found ? 0 : infinity;
  const float size = std::fabs(rounded);
  const double unit = size >= std::numeric_limits<float>::max() ? 0x1p104 : double(std::nextafter(size, infinity)) - double(size);
  return std::fabs(found - wanted) / unit;
}
enum class Spread { even, by_magnitude };
template <class F, class G> double worst(F f, G exact, double low, double high, Spread spread = Spread::even) {
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> unit(0, 1);
  double found = 0;
  for (int i = 0; i < 200000; i += lanes) {
    Lanes x;
    for (float& a : x.x)
      a = static_cast<float>(spread == Spread::even ? low + (high - low) * unit(random) : low * std::pow(high / low, unit(random)));
    const Lanes y = lanes_of(f(cpu::load(x.x)));
    for (int j = 0; j < lanes; ++j) found = std::max(found, ulps(y.x[j], exact(static_cast<double>(x.x[j]))));
  }
  return found;
}
template <class F> float at(F f, float x) {  // the same in every lane
  const Lanes y = lanes_of(f(Packet(x)));
  for (int j = 1; j < lanes; ++j) CHECK(same(y.x[j], y.x[0]));
  return y.x[0];
}

// functors as formulas have them
struct Exp {
  template <class V> static V apply(V a) {
    using math::exp;
    return exp(a);
  }
};
struct Log {
  template <class V> static V apply(V a) {
    using math::log;
    return log(a);
  }
};
struct Sin {
  template <class V> static V apply(V a) {
    using math::sin;
    return sin(a);
  }
};
struct Cos {
  template <class V> static V apply(V a) {
    using math::cos;
    return cos(a);
  }
};
struct Tanh {
  template <class V> static V apply(V a) {
    using math::tanh;
    return tanh(a);
  }
};
struct Mixed {  // everything else that a functor may use
  template <class V> static V apply(V a) {
    using math::abs, math::equal, math::floor, math::fma, math::less, math::less_equal, math::max, math::min, math::rsqrt, math::select,
        math::sqrt;
    const V one(1.f), b = abs(a) + one;
    return select(less(a, one), sqrt(b), rsqrt(b)) + fma(floor(a), one, max(a, -b)) * min(less_equal(a, b), equal(a, a));
  }
};
template <class F> constexpr auto packet_of = [](Packet a) { return F::apply(a); };
template <class F> constexpr auto exact_of = [](double a) { return F::apply(a); };

}  // namespace

TEST_CASE("the width follows the compiler's flags") {
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
  CHECK(lanes == 16);
#elif defined(__AVX2__) && defined(__FMA__)
  CHECK(lanes == 8);
#else
  CHECK(lanes == 4);
#endif
  const Lanes i = lanes_of(cpu::iota());
  for (int j = 0; j < lanes; ++j) CHECK(i.x[j] == j);
}

TEST_CASE("arithmetic and comparisons, lane by lane") {
  const float values[] = {0.f,   -0.f,   1.f,        -1.f,       2.5f,        -2.5f,    3.f,       0x1p-149f,   -0x1p-130f,
                          1e30f, -1e30f, 0.9999999f, 8388607.5f, -16777217.f, infinity, -infinity, not_a_number};
  for (float a : values)
    for (float b : values) {
      const Packet x(a), y(b);
      CHECK(same(lanes_of(x + y).x[0], a + b));
      CHECK(same(lanes_of(x - y).x[0], a - b));
      CHECK(same(lanes_of(x * y).x[0], a * b));
      CHECK(same(lanes_of(x / y).x[0], a / b));
      CHECK(same(lanes_of(fma(x, y, Packet(0.5f))).x[lanes - 1], math::fma(a, b, 0.5f)));
      CHECK(lanes_of(less(x, y)).x[0] == math::less(a, b));
      CHECK(lanes_of(less_equal(x, y)).x[0] == math::less_equal(a, b));
      CHECK(lanes_of(equal(x, y)).x[0] == math::equal(a, b));
      CHECK(same(lanes_of(select(x, y, Packet(7.f))).x[0], math::select(a, b, 7.f)));
      CHECK(same(lanes_of(max(x, y)).x[0] + 0.f, math::max(a, b) + 0.f));  // either zero will do
      CHECK(same(lanes_of(min(x, y)).x[0] + 0.f, math::min(a, b) + 0.f));
    }
  for (float a : values) {
    CHECK(same(at([](Packet x) { return -x; }, a), -a));
    CHECK(same(at([](Packet x) { return abs(x); }, a), std::fabs(a)));
    CHECK(same(at([](Packet x) { return floor(x); }, a), std::floor(a)));
    CHECK(same(at([](Packet x) { return sqrt(x); }, a), std::sqrt(a)));
    CHECK(same(at([](Packet x) { return rsqrt(x); }, a), 1.f / std::sqrt(a)));
  }
}

TEST_CASE("elementary functions: errors in units of the last place") {
  constexpr bool fused = cpu::isa != cpu::Isa::portable;
  CHECK(worst(packet_of<Exp>, exact_of<Exp>, -104, 88.7) <= (fused ? 1.1 : 1.6));
  CHECK(worst(packet_of<Exp>, exact_of<Exp>, -1, 1) <= (fused ? 1.1 : 1.6));
  CHECK(worst(packet_of<Log>, exact_of<Log>, 1e-38, 3e38, Spread::by_magnitude) <= 1.1);
  CHECK(worst(packet_of<Log>, exact_of<Log>, 1e-44, 1e-38, Spread::by_magnitude) <= 1.1);
  CHECK(worst(packet_of<Log>, exact_of<Log>, 0.5, 2) <= 1.1);
  CHECK(worst(packet_of<Tanh>, exact_of<Tanh>, -10, 10) <= 1.8);
  CHECK(worst(packet_of<Tanh>, exact_of<Tanh>, 1e-30, 1, Spread::by_magnitude) <= 1.8);
  for (double range : {1., 100., 30000., 1e6, 1e8}) {
    CHECK(worst(packet_of<Sin>, exact_of<Sin>, -range, range) <= 2);
    CHECK(worst(packet_of<Cos>, exact_of<Cos>, -range, range) <= 2);
  }
  CHECK(worst(packet_of<Sin>, exact_of<Sin>, 1e-30, 1, Spread::by_magnitude) <= 2);
  CHECK(worst(packet_of<Mixed>, exact_of<Mixed>, 0, 100) <= 6);
}

TEST_CASE("elementary functions: special values") {
  CHECK(at(packet_of<Exp>, -infinity) == 0.f);
  CHECK(at(packet_of<Exp>, -1e30f) == 0.f);
  CHECK(at(packet_of<Exp>, infinity) == infinity);
  CHECK(at(packet_of<Exp>, 89.f) == infinity);
  CHECK(at(packet_of<Exp>, 0.f) == 1.f);
  CHECK(at(packet_of<Log>, 0.f) == -infinity);
  CHECK(at(packet_of<Log>, -0.f) == -infinity);
  CHECK(at(packet_of<Log>, infinity) == infinity);
  CHECK(at(packet_of<Log>, 1.f) == 0.f);
  CHECK(std::isnan(at(packet_of<Log>, -1.f)));
  CHECK(at(packet_of<Tanh>, infinity) == 1.f);
  CHECK(at(packet_of<Tanh>, -infinity) == -1.f);
  CHECK(same(at(packet_of<Tanh>, -0.f), -0.f));
  CHECK(at(packet_of<Cos>, 0.f) == 1.f);
  CHECK(at(packet_of<Sin>, 0.f) == 0.f);
  for (float x : {infinity, -infinity, not_a_number}) {
    CHECK(std::isnan(at(packet_of<Sin>, x)));
    CHECK(std::isnan(at(packet_of<Cos>, x)));
  }
  CHECK(std::isnan(at(packet_of<Exp>, not_a_number)));
  CHECK(std::isnan(at(packet_of<Log>, not_a_number)));
  CHECK(std::isnan(at(packet_of<Tanh>, not_a_number)));
  // one large lane does not disturb the others
  Lanes x{};
  for (int j = 0; j < lanes; ++j) x.x[j] = j == 1 ? 1e9f : 0.25f;
  const Lanes y = lanes_of(sin(cpu::load(x.x)));
  CHECK(ulps(y.x[0], std::sin(0.25)) <= 2);
  CHECK(ulps(y.x[1], std::sin(1e9)) <= 2);
}

TEST_CASE("reductions have a fixed order and see every lane") {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> unit(-1, 1);
  for (int round = 0; round < 50; ++round) {
    Lanes x;
    for (float& a : x.x) a = unit(random);
    Lanes t = x;
    for (int half = lanes / 2; half > 0; half /= 2)
      for (int j = 0; j < half; ++j) t.x[j] += t.x[j + half];
    CHECK(sum(cpu::load(x.x)) == t.x[0]);
    CHECK(max(cpu::load(x.x)) == *std::max_element(x.x, x.x + lanes));
  }
  for (int j = 0; j < lanes; ++j) {
    Lanes x{};
    x.x[j] = 3.f;
    CHECK(sum(cpu::load(x.x)) == 3.f);
    CHECK(max(cpu::load(x.x)) == 3.f);
    x.x[j] = not_a_number;
    CHECK(std::isnan(max(cpu::load(x.x))));
  }
}

TEST_CASE("keep, gather and scatter") {
  std::vector<float> source(200);
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<float>(i);
  for (long n = 0; n <= lanes + 2; ++n) {
    const Lanes kept = lanes_of(keep(cpu::iota() + Packet(1.f), n, Packet(-5.f))), zeroed = lanes_of(keep(Packet(2.f), n));
    const Lanes gathered = lanes_of(cpu::gather(source.data(), 11, n));
    std::vector<float> target(200, -1.f);
    cpu::scatter(target.data(), 11, cpu::iota(), n);
    for (int j = 0; j < lanes; ++j) {
      CHECK(kept.x[j] == (j < n ? j + 1 : -5));
      CHECK(zeroed.x[j] == (j < n ? 2 : 0));
      CHECK(gathered.x[j] == (j < n ? 11 * j : 0));
    }
    for (int i = 0; i < 200; ++i) CHECK(target[static_cast<std::size_t>(i)] == (i % 11 == 0 && i / 11 < n && i / 11 < lanes ? i / 11 : -1));
  }
}

TEST_CASE_TEMPLATE("loads and stores touch only the first n elements", T, float, bf16, f16, std::int32_t) {
  AtPageEnd<T> memory;
  for (long n = 0; n <= lanes; ++n) {
    T* p = memory.last(n);
    for (long i = 0; i < n; ++i) p[i] = from_float<T>(static_cast<float>(3 * i - 7));
    const Lanes loaded = lanes_of(cpu::load(p, n));
    for (int j = 0; j < lanes; ++j) CHECK(loaded.x[j] == (j < n ? 3 * j - 7 : 0));
    cpu::store(p, cpu::iota() - Packet(4.f), n);
    for (long i = 0; i < n; ++i) CHECK(to_float(p[i]) == i - 4);
    T* before = memory.last(lanes + 8);  // and nothing behind the first n when there is room
    for (long i = 0; i < lanes + 8; ++i) before[i] = from_float<T>(99.f);
    cpu::store(before + 1, cpu::iota(), n);
    for (long i = 0; i < lanes + 8; ++i) CHECK(to_float(before[i]) == (i >= 1 && i <= n ? i - 1 : 99));
  }
  T* p = memory.last(lanes);
  cpu::store(p, cpu::iota());
  CHECK(lanes_of(cpu::load(p)).x[lanes - 1] == lanes - 1);
  CHECK(lanes_of(cpu::load(p, lanes + 5)).x[lanes - 1] == lanes - 1);
}

TEST_CASE_TEMPLATE("16-bit formats: every value widens as core/dtype.hpp says", T, bf16, f16) {
  for (std::uint32_t first = 0; first < 65536; first += lanes) {
    T h[lanes];
    for (int j = 0; j < lanes; ++j) h[j].bits = static_cast<std::uint16_t>(first + static_cast<std::uint32_t>(j));
    const Lanes x = lanes_of(cpu::load(h));
    bool equal = true;
    for (int j = 0; j < lanes; ++j) equal = equal && same(x.x[j], to_float(h[j]));
    CHECK_MESSAGE(equal, "near ", first);
  }
}

TEST_CASE_TEMPLATE("16-bit formats: rounding as core/dtype.hpp says", T, bf16, f16) {
  std::mt19937 random(3);
  const auto wanted = [](float x) { return from_float<T>(x).bits; };
  const auto check = [&](const Lanes& x) {
    T h[lanes];
    cpu::store(h, cpu::load(x.x));
    const Lanes rounded = lanes_of(cpu::round_to<T>(cpu::load(x.x)));
    bool equal = true;
    for (int j = 0; j < lanes; ++j) {
      // the conversion instruction of AVX512-BF16 takes subnormal floats for zero
      if (cpu::isa >= cpu::Isa::avx512_bf16 && dtype_of<T> == DType::bf16 && std::fpclassify(x.x[j]) == FP_SUBNORMAL)
        equal = equal && to_float(h[j]) == 0.f;
      else if (x.x[j] != x.x[j])
        equal = equal && std::isnan(to_float(h[j]));
      else
        equal = equal && h[j].bits == wanted(x.x[j]);
      equal = equal && same(rounded.x[j], to_float(h[j]));
    }
    return equal;
  };
  bool all = true;
  for (int round = 0; round < 50000; ++round) {
    Lanes x;
    for (float& a : x.x) a = std::bit_cast<float>(static_cast<std::uint32_t>(random()));  // every magnitude, infinities and NaN
    all = all && check(x);
  }
  CHECK(all);
  for (std::uint32_t h = 0; h < 65536; ++h) {  // each value, its neighbours in f32 and the point half way to the next
    const float a = to_float(T{static_cast<std::uint16_t>(h)});
    if (a != a) continue;
    Lanes x{};
    const float next = to_float(T{static_cast<std::uint16_t>(h + 1)}), middle = a + (next - a) / 2;
    const float points[] = {a, std::nextafter(a, infinity), std::nextafter(a, -infinity), middle};
    for (int j = 0; j < 4; ++j) x.x[j] = points[j];
    all = all && check(x);
  }
  CHECK(all);
  CHECK(lanes_of(cpu::round_to<std::int32_t>(Packet(-2.7f))).x[0] == -2.f);
  CHECK(lanes_of(cpu::round_to<float>(Packet(-2.7f))).x[0] == -2.7f);
}
