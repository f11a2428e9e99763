// Formulas are evaluated on tensors in the device's memory; graphs repeat them; errors say what went wrong; host and device agree about the
// layout of kernel arguments.
#include <doctest/doctest.h>

#include <cmath>

#include "device.hpp"

using namespace weft::devices;

TEST_CASE("evaluate") {
  std::vector<float> x(3 * 896);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 97) - 40.f;
  const auto y = normalise(x, 3);
  for (std::size_t r = 0; r < 3; ++r) {
    double squares = 0;
    for (std::size_t i = 0; i < 896; ++i) squares += static_cast<double>(x[r * 896 + i]) * static_cast<double>(x[r * 896 + i]);
    const double factor = 1 / std::sqrt(squares / 896 + 1e-6);
    for (std::size_t i = 0; i < 896; ++i)
      REQUIRE(std::abs(static_cast<double>(y[r * 896 + i]) - static_cast<double>(x[r * 896 + i]) * factor) < 1e-6);
  }
  CHECK(normalise_as_graph(x, 3, 1) == y);
  CHECK(normalise_as_graph(x, 3, 2) == normalise(y, 3));
}
TEST_CASE("errors and layouts") {
  CHECK(message_of_mismatch() == "operand in0: axis row is 2, expected 3");
  CHECK(message_of_host_memory() == "operand in0: expected memory of a device, found the host's");
  const std::string message = message_of_kernel();
  CAPTURE(message);
  CHECK(message.starts_with("starting a kernel: "));
  CHECK(message.find("kernel 1 of") != message.npos);
  CHECK(message.find("out[row] = in0 * 3") != message.npos);
  const auto layout = layout_on_host();
  CHECK(layout.size() > 40);
  CHECK(layout_on_device() == layout);
}
