// The program of the consumer projects: weft is found, a formula is planned at compile time and runs.
#include <weft/weft.hpp>

#include <cmath>
#include <cstdio>

using namespace weft;
using Row = Axis<"row">;
using Column = Axis<"column", 5>;

constexpr auto softmax_of_row = [](auto x) { return softmax<Column>(x); };

int main() {
  Buffer<float, Row, Column> x(2, 5), y(2, 5);
  for (long i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i % 5);
  static_assert(decltype(plan(softmax_of_row, y.view(), x.view()))::kernel_count == 1);
  evaluate(on_cpu, softmax_of_row, y.view(), x.view());
  float sum = 0;
  for (long i = 0; i < 5; ++i) sum += y.data()[i];
  std::printf("softmax %g %g, sum %g\n", static_cast<double>(y.data()[0]), static_cast<double>(y.data()[4]), static_cast<double>(sum));
  return std::abs(sum - 1) < 1e-6f && y.data()[4] > 0.6f ? 0 : 1;
}
