// node: the closed set of expressions. Every node is an empty type: it holds no data, and nothing is computed where it is written.
#pragma once
#include <weft/core/axis.hpp>
#include <weft/core/blocks.hpp>

#include <cstdint>
#include <type_traits>

namespace weft {

// What a value is. Numbers of every floating format mix freely, because each is exact in f32, where all arithmetic is done; whole numbers
// (token ids, positions) and truth values meet numbers only through a cast or a comparison. A literal fits either.
enum class Kind : std::uint8_t { real, integer, truth, literal };

constexpr Kind kind_of(DType t) { return t == DType::i32 ? Kind::integer : Kind::real; }

struct ExprBase {};
template <class E> concept Expr = std::is_base_of_v<ExprBase, E>;

enum class Role : std::uint8_t { input, output, state, parameter };

// formats that the storage policy of the module decides: of the values between layers, of what is multiplied by a matrix, of parameters that are
// vectors or as small as if they were
struct Activation {};
struct Multiplicand {};
struct VectorFormat {};

// A leaf: a tensor that is bound when the program runs. Dim is an axis, or Axes<...> that the checkpoint stores as one dimension. T is float,
// bf16, f16, std::int32_t, one of these, or void: as the storage policy says.
template <Role role, class Path, class T, class... Dim> struct Leaf : ExprBase {
  static constexpr AxisSet axes = axis_set<Dim...>();
  static constexpr Kind kind = std::is_same_v<T, std::int32_t> ? Kind::integer : Kind::real;
};
template <std::uint64_t bits> struct Const : ExprBase {  // the bits of a double: clang 14 has no floating-point template parameters
  static constexpr AxisSet axes{};
  static constexpr Kind kind = Kind::literal;
};
template <class Ax> struct Position : ExprBase {  // 0, 1, 2 ... along an axis
  static constexpr AxisSet axes = axis_set<Ax>();
  static constexpr Kind kind = Kind::integer;
};
template <class Ax> struct Extent : ExprBase {  // how long an axis is
  static constexpr AxisSet axes{};
  static constexpr Kind kind = Kind::real;
};
template <class Op, class... E> struct Map : ExprBase {
  static constexpr AxisSet axes = (E::axes | ... | AxisSet{});
  static constexpr Kind kind = Op::template result<E::kind...>;
};
enum class Monoid : std::uint8_t { sum, max };
template <Monoid monoid, class Ax, class E> struct Reduce : ExprBase {  // Ax: an axis, or Axes<...>
  static constexpr AxisSet axes = E::axes - axis_set<Ax>();
  static constexpr Kind kind = E::kind;
};
template <class Ax, class A, class B> struct Contract : ExprBase {  // the sum of a * b over Ax
  static constexpr AxisSet axes = (A::axes | B::axes) - axis_set<Ax>();
  static constexpr Kind kind = Kind::real;
};
template <class T, class E> struct Cast : ExprBase {  // rounds to T, or to the storage policy's activation format
  static constexpr AxisSet axes = E::axes;
  static constexpr Kind kind = std::is_same_v<T, std::int32_t> ? Kind::integer : Kind::real;
};
// Rounds to T, or to the storage policy's format of multiplicands; where that is a format in blocks, they lie along Ax (an axis, or Axes<...> in
// the order in which the weight that it meets stores them). Such a value can only be the operand of a contraction over just these axes.
template <class T, class Ax, class E> struct CastAlong : ExprBase {
  static constexpr AxisSet axes = E::axes;
  static constexpr Kind kind = Kind::real;
};
// ---- views
template <class Ax, int index, class E> struct Select : ExprBase {
  static constexpr AxisSet axes = E::axes - axis_set<Ax>();
  static constexpr Kind kind = E::kind;
};
template <class Ax, class... E> struct Stack : ExprBase {  // element i along the new axis is the i-th operand
  static constexpr AxisSet axes = (E::axes | ... | axis_set<Ax>());
  static constexpr Kind kind = Kind::real;
};
template <class Whole, class Outer, class Inner, class E> struct Split : ExprBase {
  static constexpr AxisSet axes = (E::axes - axis_set<Whole>()) | axis_set<Outer, Inner>();
  static constexpr Kind kind = E::kind;
};
template <class Outer, class Inner, class Whole, class E> struct Merge : ExprBase {
  static constexpr AxisSet axes = (E::axes - axis_set<Outer, Inner>()) | axis_set<Whole>();
  static constexpr Kind kind = E::kind;
};
template <class From, class To, class E> struct Rename : ExprBase {
  static constexpr AxisSet axes = (E::axes - axis_set<From>()) | axis_set<To>();
  static constexpr Kind kind = E::kind;
};
template <class Ax, class E, class Index> struct Gather : ExprBase {  // the rows of E along Ax that Index names
  static constexpr AxisSet axes = (E::axes - axis_set<Ax>()) | Index::axes;
  static constexpr Kind kind = E::kind;
};
// The positions along Ax of the largest elements of E, as many as Which is long: the largest first, of equal ones the first along Ax; all -1 where
// one of the elements is NaN.
template <class Ax, class Which, class E> struct TopK : ExprBase {
  static constexpr AxisSet axes = (E::axes - axis_set<Ax>()) | axis_set<Which>();
  static constexpr Kind kind = Kind::integer;
};
// the value of a state after the rows Index along Ax were overwritten by E: a write, seen as a value
template <class Ax, class Target, class Index, class E> struct Update : ExprBase {
  static constexpr AxisSet axes = Target::axes;
  static constexpr Kind kind = Target::kind;
};
// what a module's body sees of its caller: a value with axes, nothing of how it was made, so that types stay small
template <int number, Kind k, class... Ax> struct Operand : ExprBase {
  static constexpr AxisSet axes = axis_set<Ax...>();
  static constexpr Kind kind = k;
};

// the n-th axis of an expression as a type
template <class E, int n> struct axis_of {
  static constexpr AxisRecord record = E::axes.axis[n];
  static constexpr Name name{record.name};
  static constexpr long extent = record.extent;
  static constexpr bool tile = record.tile;
  using type = AxisOf<chars<name>, extent, tile>;
};
template <class E, int n> using axis_type = typename axis_of<E, n>::type;

template <int number, class E> struct operand_of {
  template <int... I> static Operand<number, E::kind, axis_type<E, I>...> make(std::integer_sequence<int, I...>);
  using type = decltype(make(std::make_integer_sequence<int, E::axes.count>{}));
};
template <class M, class Sequence, class... X> struct body_of;
template <class M, int... I, class... X> struct body_of<M, std::integer_sequence<int, I...>, X...> {
  using type = decltype(std::declval<const M&>().formula(typename operand_of<I, X>::type{}...));
};
template <class M, class... X> struct Call : ExprBase {  // the use of a module
  using body = typename body_of<M, std::make_integer_sequence<int, sizeof...(X)>, X...>::type;
  static constexpr AxisSet axes = body::axes;
  static constexpr Kind kind = body::kind;
};

// ---- programs
template <class Target, class E> struct Assign {};
template <class Target, class E> struct AddTo {};             // Target: an At; what meets in one place is added up
template <class Target, class Ax, class Index> struct At {};  // a place to store to: the rows Index along Ax
template <class... A> struct Program { using self = Program; };

}  // namespace weft
