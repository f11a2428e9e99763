// plan_errors: what the planner cannot plan becomes one compile-time error that names the axis or the tensor.
#pragma once
#include <weft/plan/plan.hpp>

namespace weft {

// ---- the messages: undefined templates whose names and arguments are what the compiler prints
template <class Path> struct one_path_has_two_shapes;
template <class SplitAxis> struct one_axis_is_split_in_two_ways;
template <class InnerAxis> struct a_selected_index_cannot_be_divided_by_an_extent_known_only_at_run_time;
template <class Path> struct statements_wait_for_each_other;
template <class BlockAxis> struct a_cast_to_q8_0_along_an_axis_only_feeds_a_dot_over_that_axis_and_no_other_block_format_can_be_multiplied;
template <class Program> struct the_program_has_too_many_nodes;
template <class Problem> struct the_program_cannot_be_planned;

// an axis or a path of a plan, as a type again
template <class P, int a> struct axis_of_plan {
  static constexpr AxisRecord record = Compiled<P>::plan.axis[a].record;
  static constexpr Name name{record.name};
  using type = AxisOf<chars<name>, record.extent, record.tile>;
};
template <class P, int leaf> struct path_of_plan {
  static constexpr Name name = leaf < 0 ? Name("a temporary") : Compiled<P>::table.leaf[leaf < 0 ? 0 : leaf].path;
  using type = chars<name>;
};

// Every use of a plan (explain, an executor) begins with this: it compiles if the program has a plan.
template <class P> constexpr void check_plan() {
  constexpr PlanError e = Compiled<P>::plan.error;
  if constexpr (e.problem == PlanProblem::one_path_with_two_shapes)
    (void)sizeof(the_program_cannot_be_planned<one_path_has_two_shapes<typename path_of_plan<P, e.leaf>::type>>);
  else if constexpr (e.problem == PlanProblem::one_axis_split_in_two_ways)
    (void)sizeof(the_program_cannot_be_planned<one_axis_is_split_in_two_ways<typename axis_of_plan<P, e.axis>::type>>);
  else if constexpr (e.problem == PlanProblem::view_of_a_merged_index_is_not_affine)
    (void)sizeof(the_program_cannot_be_planned<
                 a_selected_index_cannot_be_divided_by_an_extent_known_only_at_run_time<typename axis_of_plan<P, e.axis>::type>>);
  else if constexpr (e.problem == PlanProblem::statements_wait_for_each_other)
    (void)sizeof(the_program_cannot_be_planned<statements_wait_for_each_other<typename path_of_plan<P, e.leaf>::type>>);
  else if constexpr (e.problem == PlanProblem::a_value_in_blocks_is_no_multiplicand)
    (void)sizeof(the_program_cannot_be_planned<
                 a_cast_to_q8_0_along_an_axis_only_feeds_a_dot_over_that_axis_and_no_other_block_format_can_be_multiplied<
                     typename axis_of_plan<P, e.axis>::type>>);
  else if constexpr (e.problem == PlanProblem::expression_is_too_large)
    (void)sizeof(the_program_cannot_be_planned<the_program_has_too_many_nodes<P>>);
}

}  // namespace weft
