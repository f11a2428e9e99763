// trace: from a formula and tensors to a program. The formula is called with symbolic arguments, one for each tensor, in order; no closure type
// survives into the program. Arguments are called in0, in1, ... and out in explanations, or as named<"gain">(tensor) says.
#pragma once
#include <weft/core/tensor.hpp>
#include <weft/plan/binding.hpp>

namespace weft {

template <Name name, class T> struct NamedTensor { T tensor; };
template <Name name, class T> constexpr auto named(T tensor) { return NamedTensor<name, T>{tensor}; }

// ---- the symbolic argument of a tensor
template <int number> constexpr Name argument_name() {
  Name n{"in"};
  if (number >= 10) n.text[2] = static_cast<char>('0' + number / 10);
  n.text[number >= 10 ? 3 : 2] = static_cast<char>('0' + number % 10);
  return n;
}
template <Role role, Name fallback, class T> struct argument_of;
template <Role role, Name fallback, class T, class... Ax> struct argument_of<role, fallback, Tensor<T, Ax...>> {
  using type = Leaf<role, chars<fallback>, std::remove_const_t<T>, Ax...>;
};
template <Role role, Name fallback, Name name, class T> struct argument_of<role, fallback, NamedTensor<name, T>>
    : argument_of<role, name, T> {};

template <class F, class Out, class Sequence, class... In> struct traced_program;
template <class F, class Out, int... i, class... In> struct traced_program<F, Out, std::integer_sequence<int, i...>, In...> {
  using target = typename argument_of<Role::output, "out", Out>::type;
  using type = decltype(program(assign(target{}, std::declval<F>()(typename argument_of<Role::input, argument_name<i>(), In>::type{}...))));
};
// the program that stores formula(in...) to out
template <class F, class Out, class... In> struct Traced
    : traced_program<F, Out, std::make_integer_sequence<int, sizeof...(In)>, In...>::type {};

// ---- binding
template <class P, class T, class... Ax> void bind_tensor(Binding<P>& b, const char* name, const Tensor<T, Ax...>& t) {
  constexpr auto& table = Compiled<P>::table;
  const int leaf = leaf_number<P>(name);
  if (leaf < 0) return;  // an argument that the formula does not use
  const LeafRecord& l = table.leaf[leaf];
  for (int d = 0; d < l.axes; ++d) {
    set_extent(b, l.axis[d], t.extent[d], name);
    b.view[leaf].stride[d] = t.stride[d];
  }
  b.view[leaf].data = const_cast<std::remove_const_t<T>*>(t.data);
}
template <class P, Name name, class T> void bind_argument(Binding<P>& b, const char*, const NamedTensor<name, T>& t) {
  bind_tensor(b, name.text, t.tensor);
}
template <class P, class T, class... Ax> void bind_argument(Binding<P>& b, const char* name, const Tensor<T, Ax...>& t) {
  bind_tensor(b, name, t);
}

// binds tensors to a traced program; throws Error where extents disagree
template <class P, class Out, class... In> Binding<P> bound(const Out& out, const In&... in) {
  Binding<P> b;
  bind_argument(b, "out", out);
  [&]<int... i>(std::integer_sequence<int, i...>) { (bind_argument(b, argument_name<i>().text, in), ...); }
  (std::make_integer_sequence<int, sizeof...(In)>{});
  return b;
}

// the plan of a formula for tensors of these types: kernel_count as a compile-time constant; explain<typename decltype(plan(...))::program>()
template <class P> struct PlanOf {
  using program = P;
  static constexpr int kernel_count = Compiled<P>::plan.kernels;
};
template <class F, class Out, class... In> constexpr auto plan(F, const Out&, const In&...) { return PlanOf<Traced<F, Out, In...>>{}; }

}  // namespace weft
