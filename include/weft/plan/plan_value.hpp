// plan_value: what a plan is: nodes in normal form, stores, kernels. An ordinary value: printed by explain, asserted by tests, turned back into
// kernels by an executor.
#pragma once
#include <weft/plan/index_form.hpp>

namespace weft {

struct Node {
  NodeKind kind{};
  DType dtype{};
  Monoid monoid{};
  Algebra algebra{};
  short operand[max_operands]{-1, -1, -1, -1};
  short operands = 0;
  short functor = -1;  // a record with this functor
  short leaf = -1;     // a tensor: below `leaves` an argument of the program, from there on a temporary
  short version = 0;   // how many statements had stored to it before
  short rank =
      0;  // index formulas: of the dimensions of a leaf, of a position, of a stack's axis; an extent's axis; of a top_k, along what it
          // selects from and which it is
  short dimension = -1;                 // of a gather: the dimension that operand 0 indexes; of a top_k: the axis of what it selects
  short record = -1, environment = -1;  // where a cut is marked; not part of its identity
  short origin = -1;                    // the record it was read from, for those who name it; nor is this
  std::uint16_t versions = 0;           // the statements that had stored to the tensors it reads, one bit each
  bool has_contraction = false;
  Mask axes = 0, bound = 0;
  std::uint64_t bits = 0;
  IndexForm at[max_rank]{};
};
// a value that needs all elements along the axes that it binds
constexpr bool is_reduction(const Node& x) { return x.kind == NodeKind::reduce || x.kind == NodeKind::top_k; }
// its axes without those along which a top_k lays out what it selects
constexpr Mask rows_of_reduction(const Node& x) { return x.kind == NodeKind::top_k ? x.axes & ~x.at[1].axes() : x.axes; }

// Is contraction c routed: is its right operand read at an index that only rows decide? Then rows are grouped by that index, and each group has a
// right operand of its own.
template <class Nodes> constexpr bool is_routed(const Nodes& node, int c) {
  const Node &x = node[c], &right = node[x.operand[1]];
  if (x.kind != NodeKind::contract || right.kind != NodeKind::gather) return false;
  Mask own = 0;
  for (int d = 0; d < right.rank; ++d) own |= right.at[d].axes();
  const Mask index = node[right.operand[0]].axes, rows = node[x.operand[0]].axes & ~x.bound;
  return index != 0 && !(index & x.bound) && !(own & (index | rows));
}
// the rows of a contraction: of its left operand, and of the index that routes it
template <class Nodes> constexpr Mask rows_of_contraction(const Nodes& node, int c) {
  const Mask left = node[node[c].operand[0]].axes & ~node[c].bound;
  return is_routed(node, c) ? left | node[node[node[c].operand[1]].operand[0]].axes : left;
}

constexpr bool same_node(const Node& a, const Node& b) {
  if (a.kind != b.kind || a.functor != b.functor || a.leaf != b.leaf || a.version != b.version || a.operands != b.operands ||
      a.rank != b.rank || a.bits != b.bits || a.bound != b.bound || a.monoid != b.monoid || a.dtype != b.dtype ||
      a.dimension != b.dimension)
    return false;
  for (int i = 0; i < a.operands; ++i)
    if (a.operand[i] != b.operand[i]) return false;
  for (int d = 0; d < a.rank; ++d)
    if (!(a.at[d] == b.at[d])) return false;
  return true;
}

// What a store writes. Forward programs make the first two; the gradients of formulas also sum over the rows of a kernel.
enum class OutputKind : std::uint8_t { element, row_statistic, column_accumulator, accumulate };

struct Store {
  short leaf = -1, version = 0, rank = 0, node = -1;
  short dimension = -1, index = -1;  // the dimension indexed by an expression, and that expression
  DType dtype{};
  OutputKind kind{};
  bool temporary = false;
  IndexForm at[max_rank]{};
  const char* reason = "";  // why it is a store of its own
};

enum class Skeleton : std::uint8_t { map, row, contraction, stream, route };
constexpr const char* name_of(Skeleton s) {
  constexpr const char* names[] = {"map", "row", "contraction", "stream", "route"};
  return names[static_cast<int>(s)];
}

struct Left {  // a left operand: staged once per tile of rows, with the statistics of the row that it needs
  short node = -1;
  Mask bound = 0;
  short statistic[6]{};
  short statistics = 0;
};
struct Segment {  // a connected component of contractions and stores, with columns of its own
  Mask columns = 0;
  short contraction[6]{};
  short contractions = 0;
  short left_of[6]{};  // which left operand each contraction has
  short reduction[12]{};
  short reductions = 0;
  short combine = -1;  // of a routed contraction: the sum over some of its rows, in the order of their groups
  short store[8]{};
  short stores = 0;
};
struct LoopBound {  // position >= value + plus, or position < value + plus
  short node = -1, plus = 0;
};
struct Stream {
  short inner = -1, outer = -1;
  short score = -1, maximum = -1, weight = -1;  // weight = exp(score - maximum), or any map of the inner contraction where score is -1
  short sum[3]{};
  short sums = 0;
  LoopBound low[2], high[2];
  short lows = 0, highs = 0;
  short inside[4]{};  // comparisons that hold for every key between the bounds of all rows
  short insides = 0;
};
struct Kernel {
  Skeleton skeleton{};
  Mask rows = 0, batch = 0, bound = 0;
  Left left[4];
  short lefts = 0;
  Segment segment[6];
  short segments = 0;
  short statistic[16]{};  // of a row kernel
  short statistics = 0;
  Stream stream;
  short index = -1;   // of a routed contraction: the group of a row
  Mask combined = 0;  // the rows that its segments add up
};

struct PlanAxis {
  AxisRecord record;
  short origin = -1;  // a bound axis renamed apart has the extent of its origin
};
struct Temporary {
  DType dtype{};
  short axis[max_rank]{};
  short rank = 0;
};

enum class PlanProblem : std::uint8_t {
  none,
  one_path_with_two_shapes,
  one_axis_split_in_two_ways,
  view_of_a_merged_index_is_not_affine,
  statements_wait_for_each_other,
  a_value_in_blocks_is_no_multiplicand,
  expression_is_too_large
};
struct PlanError {
  PlanProblem problem = PlanProblem::none;
  short leaf = -1, axis = -1;
};

template <int capacity> struct PlanValue {
  Node node[capacity];
  int nodes = 0;
  Store store[24];
  int stores = 0;
  Kernel kernel[16];
  int kernels = 0;
  PlanAxis axis[max_axes];
  int axes = 0;
  Temporary temporary[16];
  int temporaries = 0;
  int leaves = 0;
  PlanError error;
};

}  // namespace weft
