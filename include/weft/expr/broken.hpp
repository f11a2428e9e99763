// broken: what an ill-formed expression becomes. Like a NaN it travels up silently; whoever builds a program reports it once, with the module
// where it arose, so that a mistake costs a reader one message of a few lines.
#pragma once
#include <weft/expr/node.hpp>

namespace weft {

// ---- the messages: undefined templates whose names and arguments are what the compiler prints
template <class Left, class Right> struct axes_of_one_name_differ_in_extent;
template <class Wanted, class Operand> struct operand_lacks_the_axis;
template <class Wanted, class Operand> struct reduction_over_an_axis_that_the_operand_lacks;
template <class Left, class Right> struct operands_differ_in_dtype_without_a_cast;
template <class Missing, class Target> struct target_lacks_an_axis_of_the_expression;
template <class Value> struct a_condition_must_be_a_comparison;
template <class Ax, class Found> struct a_computed_value_is_gathered_from_along_a_Tile_only;
template <class Wanted, class Ax> struct more_are_selected_than_there_are;
template <class Which, class Operand> struct the_axis_of_what_is_selected_must_be_new;
template <class Found> struct only_a_tensor_can_be_stored_to;
template <class Found> struct an_index_must_be_a_whole_number;
struct RealNumber;   // f32, bf16 or f16
struct WholeNumber;  // i32
struct TruthValue;

template <Kind k> struct kind_name { using type = RealNumber; };
template <> struct kind_name<Kind::integer> { using type = WholeNumber; };
template <> struct kind_name<Kind::truth> { using type = TruthValue; };

template <class Problem, class Where = void> struct Broken : ExprBase {
  static constexpr AxisSet axes{};
  static constexpr Kind kind = Kind::literal;
};
struct Sound {};
template <class E> inline constexpr bool is_broken = false;
template <class Problem, class Where> inline constexpr bool is_broken<Broken<Problem, Where>> = true;

// ---- checks: each gives Sound or Broken
template <class A, class B> constexpr auto axes_agree() {
  struct Pair {
    int left = -1, right = -1;
  };
  constexpr Pair clash = [] {
    for (int i = 0; i < A::axes.count; ++i)
      for (int j = 0; j < B::axes.count; ++j)
        if (A::axes.axis[i].name == B::axes.axis[j].name && A::axes.axis[i].extent != B::axes.axis[j].extent) return Pair{i, j};
    return Pair{};
  }();
  if constexpr (clash.left >= 0)
    return Broken<axes_of_one_name_differ_in_extent<axis_type<A, clash.left>, axis_type<B, clash.right>>>{};
  else
    return Sound{};
}
template <class A, class B> constexpr auto kinds_agree() {
  if constexpr (A::kind == B::kind || A::kind == Kind::literal || B::kind == Kind::literal)
    return Sound{};
  else
    return Broken<operands_differ_in_dtype_without_a_cast<typename kind_name<A::kind>::type, typename kind_name<B::kind>::type>>{};
}
template <class E, class Ax, template <class, class> class Problem> constexpr auto has_axis() {
  constexpr int exact = E::axes.find(axis_record<Ax>), named = E::axes.find_name(axis_record<Ax>);
  if constexpr (exact >= 0)
    return Sound{};
  else if constexpr (named >= 0)
    return Broken<axes_of_one_name_differ_in_extent<Ax, axis_type<E, named>>>{};
  else
    return Broken<Problem<Ax, E>>{};
}

// Node, or the first broken one of the checks and operands
template <class Node, class... Check> constexpr auto sound(Check...);
template <class Node, class First, class... Rest> constexpr auto first_broken() {
  if constexpr (is_broken<First>)
    return First{};
  else if constexpr (sizeof...(Rest) == 0)
    return Node{};
  else
    return first_broken<Node, Rest...>();
}
template <class Node, class... Check> constexpr auto sound(Check...) { return first_broken<Node, Check...>(); }

template <class E, template <class, class> class Problem, class... Ax> constexpr auto has_axes(Axes<Ax...>) {
  return sound<Sound>(has_axis<E, Ax, Problem>()...);
}
template <class E, class Ax, template <class, class> class Problem = operand_lacks_the_axis> constexpr auto has() {
  if constexpr (requires { Ax::extent; })
    return has_axis<E, Ax, Problem>();
  else
    return has_axes<E, Problem>(Ax{});
}

// ---- the report
template <class Problem> struct the_formula_is_wrong;
template <class Problem> constexpr void report(Broken<Problem, void>) { (void)sizeof(the_formula_is_wrong<Problem>); }
template <class Problem, class Where> constexpr void report(Broken<Problem, Where>) {
  (void)sizeof(typename Where::template the_model_is_wrong<Problem>);
}

}  // namespace weft
