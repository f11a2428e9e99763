// record: what is written down of an expression's type, so that the planner can be ordinary loops over arrays. Types in, values inside.
#pragma once
#include <weft/core/blocks.hpp>
#include <weft/expr/expr.hpp>

namespace weft {

template <class T> inline constexpr char tag = 0;  // its address is the identity of a type in constant evaluation

enum class NodeKind : std::uint8_t {
  leaf,
  constant,
  position,
  extent,
  map,
  reduce,
  contract,
  cast,
  gather,
  stack,
  top_k,
  // the following vanish in the normal form
  select,
  split,
  merge,
  rename,
  update,
  call
};

inline constexpr int max_rank = 6;
inline constexpr int max_operands = 4;
inline constexpr int max_axes = 32;

struct Record {
  NodeKind kind{};
  DType dtype{};
  Monoid monoid{};
  Algebra algebra{};
  short operand[max_operands]{-1, -1, -1, -1};
  short operands = 0;
  short parent = 0, child = 0;  // where its type is found: child number `child` of record `parent`; negative: a root of the program
  short call = -1;              // the use of a module in whose body it stands
  short functor = -1;           // the first record with the same functor
  short number = 0;             // a leaf's number, a select's index, an update's statement
  short axis[max_rank]{-1, -1, -1, -1, -1, -1};
  short axes = 0;
  std::uint64_t bits = 0;
};

// a leaf as its owner declared it: one entry per dimension of the checkpoint
struct LeafRecord {
  Role role{};
  Name path{};
  DType dtype{};
  short rank = 0;
  long extent[max_rank]{};
  short axes_in[max_rank]{};  // how many axes are stored as this dimension
  short axis[max_rank]{};     // all of them, in order
  short axes = 0;
};

// How the values of a module are stored, and in which format they are multiplied by matrices: as they are (f32 holds every value exactly), or in
// blocks of whole numbers.
struct Formats {
  DType matrix{}, vector{}, cache{}, activation{}, multiplicand{};
};
namespace detail {
template <class Matrix, class Plain, class Quantised> using ByFormat = std::conditional_t<is_block(dtype_of<Matrix>), Quantised, Plain>;
}
// Stored<bf16>: all in bf16. Stored<q8_0>: the usual company of quantised matrices, bf16 and 8-bit multiplicands.
template <class Matrix = bf16, class Vector = detail::ByFormat<Matrix, Matrix, float>, class Cache = detail::ByFormat<Matrix, Matrix, bf16>,
          class Act = detail::ByFormat<Matrix, Matrix, bf16>, class Multiplicand = detail::ByFormat<Matrix, float, q8_0>>
struct Stored {
  static constexpr Formats formats = {dtype_of<Matrix>, dtype_of<Vector>, dtype_of<Cache>, dtype_of<Act>, dtype_of<Multiplicand>};
};
inline constexpr Formats plain_formats = {DType::f32, DType::f32, DType::f32, DType::f32, DType::f32};

// one use of a module: where it is in the model, how its values are stored, what it was given
struct CallRecord {
  Name path{};
  const char* module = "";
  short outer = -1;
  Formats formats = plain_formats;
  short operand[max_operands]{-1, -1, -1, -1};
};

// a store: leaf target[..., index, ...] = value
struct Statement {
  short target = -1, value = -1;
  short index_axis = -1, index = -1;
  bool adds = false;  // to what is there
};

template <int capacity_> struct RecordTable {
  static constexpr int capacity = capacity_;
  Record record[capacity];
  const void* identity[capacity]{};
  const void* functor_identity[capacity]{};
  short frame[capacity]{};
  int count = 0;
  AxisRecord axis[max_axes]{};
  int axes = 0;
  LeafRecord leaf[32]{};
  int leaves = 0;
  CallRecord call[64]{};
  int calls = 1;  // call 0 is the program itself
  short inside = 0;
  Statement statement[16]{};
  int statements = 0;
  int roots = 0;

  constexpr short axis_number(const AxisRecord& wanted) {
    for (int i = 0; i < axes; ++i)
      if (axis[i] == wanted) return static_cast<short>(i);
    axis[axes] = wanted;
    return static_cast<short>(axes++);
  }
  constexpr int find(const void* id) const {
    for (int i = 0; i < count; ++i)
      if (identity[i] == id && frame[i] == inside) return i;
    return -1;
  }
};

}  // namespace weft
