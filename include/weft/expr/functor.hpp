// functor: what a Map applies to its operands. A functor is stateless; `apply` takes and returns one value type V: a float, a double, a packet
// of lanes, or a float on a device. It calls functions such as exp unqualified after `using math::exp`, so that a packet brings its own. A
// truth value is 1 or 0. `algebra` is all that the planner knows of a functor. A user's functor needs the same four members.
#pragma once
#include <weft/core/math.hpp>
#include <weft/expr/node.hpp>

namespace weft {

enum class Comparison : std::uint8_t { none, less, less_equal, greater, greater_equal };

struct Algebra {
  bool linear_in_first = false, linear_in_second = false;  // f(c*a, b) = c*f(a, b)
  bool is_exp = false, is_subtract = false, is_where = false, is_and = false;
  Comparison comparison = Comparison::none;
};

// the kind of a result
struct Arithmetic {
  template <Kind... k> static constexpr Kind result = ((k == Kind::real) || ...)      ? Kind::real
                                                      : ((k == Kind::integer) || ...) ? Kind::integer
                                                      : ((k == Kind::truth) || ...)   ? Kind::truth
                                                                                      : Kind::literal;
};
struct Predicate {
  template <Kind...> static constexpr Kind result = Kind::truth;
};
struct OneOfTwo {
  template <Kind, Kind a, Kind b> static constexpr Kind result = Arithmetic::result<a, b>;
};

#define WEFT_UNARY(Functor, text, expression)                             \
  struct Functor : Arithmetic {                                           \
    static constexpr const char* name = text;                             \
    static constexpr Algebra algebra{};                                   \
    template <class V> WEFT_HD static V apply(V a) { return expression; } \
  };
#define WEFT_BINARY(Functor, Base, text, expression, ...)                      \
  struct Functor : Base {                                                      \
    static constexpr const char* name = text;                                  \
    static constexpr Algebra algebra{__VA_ARGS__};                             \
    template <class V> WEFT_HD static V apply(V a, V b) { return expression; } \
  };

namespace functor {  // the functions that functors call, for every kind of value
using math::abs;
using math::cos;
using math::equal;
using math::exp;
using math::less;
using math::less_equal;
using math::log;
using math::max;
using math::min;
using math::rsqrt;
using math::select;
using math::sin;
using math::sqrt;
using math::tanh;

WEFT_BINARY(Add, Arithmetic, "+", a + b)
WEFT_BINARY(Subtract, Arithmetic, "-", a - b, .is_subtract = true)
WEFT_BINARY(Multiply, Arithmetic, "*", a* b, .linear_in_first = true, .linear_in_second = true)
WEFT_BINARY(Divide, Arithmetic, "/", a / b, .linear_in_first = true)
WEFT_BINARY(Maximum, Arithmetic, "maximum", max(a, b))
WEFT_BINARY(Minimum, Arithmetic, "minimum", min(a, b))
WEFT_BINARY(Less, Predicate, "<", less(a, b), .comparison = Comparison::less)
WEFT_BINARY(LessEqual, Predicate, "<=", less_equal(a, b), .comparison = Comparison::less_equal)
WEFT_BINARY(Greater, Predicate, ">", less(b, a), .comparison = Comparison::greater)
WEFT_BINARY(GreaterEqual, Predicate, ">=", less_equal(b, a), .comparison = Comparison::greater_equal)
WEFT_BINARY(Equal, Predicate, "==", equal(a, b))
WEFT_BINARY(And, Predicate, "and", a* b, .is_and = true)
WEFT_BINARY(Or, Predicate, "or", max(a, b))
WEFT_UNARY(Negate, "-", V(0.f) - a)
struct Exp : Arithmetic {
  static constexpr const char* name = "exp";
  static constexpr Algebra algebra{.is_exp = true};
  template <class V> WEFT_HD static V apply(V a) { return exp(a); }
};
WEFT_UNARY(Log, "log", log(a))
WEFT_UNARY(Sin, "sin", sin(a))
WEFT_UNARY(Cos, "cos", cos(a))
WEFT_UNARY(Tanh, "tanh", tanh(a))
WEFT_UNARY(Sqrt, "sqrt", sqrt(a))
WEFT_UNARY(Rsqrt, "rsqrt", rsqrt(a))
WEFT_UNARY(Square, "square", a* a)
WEFT_UNARY(Abs, "abs", abs(a))
WEFT_UNARY(Sigmoid, "sigmoid", V(1.f) / (V(1.f) + exp(V(0.f) - a)))
WEFT_UNARY(Silu, "silu", a / (V(1.f) + exp(V(0.f) - a)))

struct Where : OneOfTwo {
  static constexpr const char* name = "where";
  static constexpr Algebra algebra{.is_where = true};
  template <class V> WEFT_HD static V apply(V condition, V a, V b) { return select(condition, a, b); }
};
}  // namespace functor

#undef WEFT_UNARY
#undef WEFT_BINARY

}  // namespace weft
