// The smallest consumer: one formula over named axes, its plan, and its value.
#include <weft/weft.hpp>

#include <cstdio>

using namespace weft;

using Token = Axis<"token">;         // known when the program runs
using Hidden = Axis<"hidden", 896>;  // part of the type
using Inter = Axis<"intermediate", 4864>;

// A formula is a function of symbolic arguments. Operands meet by the names of their axes.
constexpr auto rms_norm = [](auto x, auto gain) { return x * rsqrt(mean<Hidden>(square(x)) + 1e-6_c) * gain; };
constexpr auto mlp_up = [](auto x, auto gain, auto w_gate, auto w_up) {
  auto h = rms_norm(x, gain);
  return silu(dot<Hidden>(h, w_gate)) * dot<Hidden>(h, w_up);
};

int main() {
  const long tokens = 5;
  Buffer<float, Token, Hidden> x(tokens, 896);
  Buffer<float, Hidden> gain(896);
  Buffer<bf16, Inter, Hidden> w_gate(4864, 896), w_up(4864, 896);
  Buffer<float, Token, Inter> y(tokens, 4864);
  for (long i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i % 13) - 6;
  for (long i = 0; i < gain.size(); ++i) gain.data()[i] = 1;
  for (long i = 0; i < w_gate.size(); ++i) w_gate.data()[i] = w_up.data()[i] = to_bf16(static_cast<float>(i % 7 - 3) / 64);

  // The norm, both products and the gate are one kernel, and that is a fact at compile time.
  auto up = plan(mlp_up, y.view(), x.view(), gain.view(), w_gate.view(), w_up.view());
  static_assert(up.kernel_count == 1);
  std::puts(explain(up).c_str());

  evaluate(on_cpu, mlp_up, y.view(), x.view(), gain.view(), w_gate.view(), w_up.view());
  std::printf("y[2, 100] = %g\n", static_cast<double>(y.view()(2, 100)));
}
