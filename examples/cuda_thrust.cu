// A formula on data in containers of Thrust: tensors are views, of any memory of the device.
#include <thrust/device_vector.h>
#include <thrust/host_vector.h>
#include <weft/cuda/evaluate.cuh>

#include <cmath>
#include <cstdio>

// not at global scope: there `cuda` is the namespace of Thrust's own library
namespace example {

using namespace weft;

using Row = Axis<"row">;
using Column = Axis<"column", 1000>;

constexpr auto cooled = [](auto x, auto temperature) { return softmax<Column>(x / temperature); };

bool run() {
  constexpr long rows = 3;
  thrust::host_vector<float> numbers(rows * 1000);
  for (long i = 0; i < rows * 1000; ++i) numbers[i] = static_cast<float>(i);
  const thrust::device_vector<float> x = numbers, temperature(1, 100.f);
  thrust::device_vector<float> y(rows * 1000);

  const auto pointer = [](auto& vector) { return thrust::raw_pointer_cast(vector.data()); };
  evaluate(on_cuda, cooled, Tensor<float, Row, Column>(pointer(y), rows, 1000), Tensor<const float, Row, Column>(pointer(x), rows, 1000),
           Tensor<const float>(pointer(temperature)));

  const thrust::host_vector<float> result = y;
  std::printf("y[2, 999] = %g\n", static_cast<double>(result[2999]));
  // of numbers that count up in steps of 1 the last has the probability 1 / (1 + exp(-0.01) + exp(-0.02) + ...)
  const double expected = (1 - std::exp(-0.01)) / (1 - std::exp(-10.));
  return std::abs(static_cast<double>(result[2999]) / expected - 1) < 1e-5;
}

}  // namespace example

int main() { return example::run() ? 0 : 1; }
