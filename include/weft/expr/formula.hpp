// formula: the operators and functions with which formulas are written. Operands broadcast by axis name; an operand that does not fit gives a
// Broken expression, which is reported where the program is built.
#pragma once
#include <weft/expr/broken.hpp>
#include <weft/expr/functor.hpp>
#include <weft/expr/literal.hpp>

namespace weft {

// ---- pointwise
template <class Op, Expr A> constexpr auto map(A a) { return sound<Map<Op, A>>(a); }
template <class Op, Expr A, Expr B> constexpr auto map(A a, B b) {
  return sound<Map<Op, A, B>>(a, b, axes_agree<A, B>(), kinds_agree<A, B>());
}
template <Expr A, Expr B> constexpr auto operator+(A a, B b) { return map<functor::Add>(a, b); }
template <Expr A, Expr B> constexpr auto operator-(A a, B b) { return map<functor::Subtract>(a, b); }
template <Expr A, Expr B> constexpr auto operator*(A a, B b) { return map<functor::Multiply>(a, b); }
template <Expr A, Expr B> constexpr auto operator/(A a, B b) { return map<functor::Divide>(a, b); }
template <Expr A, Expr B> constexpr auto operator<(A a, B b) { return map<functor::Less>(a, b); }
template <Expr A, Expr B> constexpr auto operator<=(A a, B b) { return map<functor::LessEqual>(a, b); }
template <Expr A, Expr B> constexpr auto operator>(A a, B b) { return map<functor::Greater>(a, b); }
template <Expr A, Expr B> constexpr auto operator>=(A a, B b) { return map<functor::GreaterEqual>(a, b); }
template <Expr A, Expr B> constexpr auto operator==(A a, B b) { return map<functor::Equal>(a, b); }
template <Expr A, Expr B> constexpr auto operator&&(A a, B b) { return map<functor::And>(a, b); }
template <Expr A, Expr B> constexpr auto operator||(A a, B b) { return map<functor::Or>(a, b); }
template <Expr A> constexpr auto operator-(A a) { return map<functor::Negate>(a); }
template <Expr A, Expr B> constexpr auto maximum(A a, B b) { return map<functor::Maximum>(a, b); }
template <Expr A, Expr B> constexpr auto minimum(A a, B b) { return map<functor::Minimum>(a, b); }
template <Expr A> constexpr auto exp(A a) { return map<functor::Exp>(a); }
template <Expr A> constexpr auto log(A a) { return map<functor::Log>(a); }
template <Expr A> constexpr auto sin(A a) { return map<functor::Sin>(a); }
template <Expr A> constexpr auto cos(A a) { return map<functor::Cos>(a); }
template <Expr A> constexpr auto tanh(A a) { return map<functor::Tanh>(a); }
template <Expr A> constexpr auto sqrt(A a) { return map<functor::Sqrt>(a); }
template <Expr A> constexpr auto rsqrt(A a) { return map<functor::Rsqrt>(a); }
template <Expr A> constexpr auto square(A a) { return map<functor::Square>(a); }
template <Expr A> constexpr auto abs(A a) { return map<functor::Abs>(a); }
template <Expr A> constexpr auto sigmoid(A a) { return map<functor::Sigmoid>(a); }
template <Expr A> constexpr auto silu(A a) { return map<functor::Silu>(a); }

template <Expr C, Expr A, Expr B> constexpr auto where(C c, A a, B b) {  // a where c is true, else b
  if constexpr (!is_broken<C> && C::kind != Kind::truth)
    return Broken<a_condition_must_be_a_comparison<typename kind_name<C::kind>::type>>{};
  else
    return sound<Map<functor::Where, C, A, B>>(c, a, b, axes_agree<C, A>(), axes_agree<C, B>(), axes_agree<A, B>(), kinds_agree<A, B>());
}

// rounding is visible: cast<bf16>(e) rounds to nearest even. rounded(e) rounds to the format that the storage policy keeps activations in.
template <class T, Expr E> constexpr auto cast(E e) { return sound<Cast<T, E>>(e); }
template <Expr E> constexpr auto rounded(E e) { return sound<Cast<Activation, E>>(e); }
// cast<q8_0, In>(e) quantises blocks of neighbours along In (core/blocks.hpp), for a dot<In> with a quantised weight: whole numbers are multiplied.
// multiplicand<In>(e) does so where the storage policy says that matrices are multiplied in such a format.
template <class T, class Ax, Expr E> constexpr auto cast(E e) { return sound<CastAlong<T, Ax, E>>(e, has<E, Ax>()); }
template <class Ax, Expr E> constexpr auto multiplicand(E e) { return sound<CastAlong<Multiplicand, Ax, E>>(e, has<E, Ax>()); }

// ---- positions and extents
template <class Ax> inline constexpr Position<Ax> position{};
template <class Ax> inline constexpr Extent<Ax> extent{};

// ---- reductions and contractions; Ax is an axis or Axes<...>
template <class Ax, Expr E> constexpr auto sum(E e) {
  return sound<Reduce<Monoid::sum, Ax, E>>(e, has<E, Ax, reduction_over_an_axis_that_the_operand_lacks>());
}
template <class Ax, Expr E> constexpr auto max(E e) {
  return sound<Reduce<Monoid::max, Ax, E>>(e, has<E, Ax, reduction_over_an_axis_that_the_operand_lacks>());
}
template <class Ax, Expr E> constexpr auto mean(E e) {
  if constexpr (Ax::extent == runtime)
    return sum<Ax>(e) / extent<Ax>;
  else
    return sum<Ax>(e) / number<Ax::extent>;
}
template <class Ax, Expr A, Expr B> constexpr auto dot(A a, B b) {
  return sound<Contract<Ax, A, B>>(a, b, has<A, Ax>(), has<B, Ax>(), axes_agree<A, B>(), kinds_agree<A, B>());
}
template <class Ax, Expr E> constexpr auto softmax(E s) {
  auto p = exp(s - max<Ax>(s));
  return p / sum<Ax>(p);
}
template <class Ax, Expr E> constexpr auto logsumexp(E s) {
  auto m = max<Ax>(s);
  return m + log(sum<Ax>(exp(s - m)));
}

// ---- views
template <class Ax, int index, Expr E> constexpr auto select(E e) { return sound<Select<Ax, index, E>>(e, has<E, Ax>()); }
template <class Ax, Expr A, Expr B> constexpr auto stack(A a, B b) {
  static_assert(Ax::extent == 2, "stack of two: the new axis has extent 2");
  return sound<Stack<Ax, A, B>>(a, b, axes_agree<A, B>());
}
template <class Whole, class Outer, class Inner, Expr E> constexpr auto split(E e) {
  static_assert(
      Whole::extent == runtime || Outer::extent == runtime || Inner::extent == runtime || Whole::extent == Outer::extent * Inner::extent,
      "split: the extents of the outer and the inner axis must multiply to that of the whole");
  return sound<Split<Whole, Outer, Inner, E>>(e, has<E, Whole>());
}
template <class Outer, class Inner, class Whole, Expr E> constexpr auto merge(E e) {
  static_assert(
      Whole::extent == runtime || Outer::extent == runtime || Inner::extent == runtime || Whole::extent == Outer::extent * Inner::extent,
      "merge: the extents of the outer and the inner axis must multiply to that of the whole");
  return sound<Merge<Outer, Inner, Whole, E>>(e, has<E, Outer>(), has<E, Inner>());
}
template <class From, class To, Expr E> constexpr auto rename(E e) {
  static_assert(From::extent == To::extent, "rename: both axes must have the same extent");
  return sound<Rename<From, To, E>>(e, has<E, From>());
}

// ---- rows picked by an index
template <class E> inline constexpr bool is_leaf = false;
template <Role r, class P, class T, class... D> inline constexpr bool is_leaf<Leaf<r, P, T, D...>> = true;
template <class Index> constexpr auto is_index() {
  if constexpr (is_broken<Index> || Index::kind == Kind::integer || Index::kind == Kind::literal)
    return Sound{};
  else
    return Broken<an_index_must_be_a_whole_number<typename kind_name<Index::kind>::type>>{};
}
// Of a value that is computed: the elements at index i, whole numbers; 0 where i is none of Ax. A sum over Ax: the work grows with its extent.
template <class Ax, Expr E, Expr Index> constexpr auto pick(E e, Index i) {
  using Checked = decltype(sound<Sound>(e, i, has<E, Ax>(), is_index<Index>(), axes_agree<E, Index>()));
  if constexpr (is_broken<Checked>)
    return Checked{};
  else
    return sum<Ax>(where(position<Ax> == i, e, constant<0>));
}
// The rows of a tensor along Ax that i names (an embedding, the experts of a router, a page table), or as pick the elements of a computed
// value along a Tile. A tensor's rows are read where they lie, nothing is copied. Where it is the right operand of a dot and the rows of the
// left one decide i, rows with the same index are multiplied together (the skeleton route), which throws Error where an index is none of Ax;
// elsewhere a tensor is read unchecked.
template <class Ax, Expr E, Expr Index> constexpr auto gather(E e, Index i) {
  if constexpr (!is_broken<E> && !is_leaf<E>) {
    if constexpr (Ax::tile)
      return pick<Ax>(e, i);
    else
      return Broken<a_computed_value_is_gathered_from_along_a_Tile_only<Ax, E>>{};
  } else {
    return sound<Gather<Ax, E, Index>>(e, i, has<E, Ax>(), is_index<Index>(), axes_agree<E, Index>());
  }
}

// The largest elements along Ax, as many as Which is long (an axis that e lacks), and where along Ax they are.
//   order  the largest first
//   ties   of equal elements the first along Ax, whatever computes; -0 equals 0. (Elsewhere this is open: of 60 equal elements torch.topk takes
//          39, 40, 41 and 38 on the CPU.)
//   NaN    where an element is NaN, all indices of its row are -1 and all values 0; a product routed by such an index throws Error
//   work   one comparison for most elements, at most as many as Which is long
// Which longer than Ax does not compile, or is an Error of the executor where extents are known at run time only.
template <class Values, class Indices> struct Largest {
  Values values;
  Indices indices;
};
template <class Ax, class Which, class E> constexpr auto can_select() {
  if constexpr (Ax::extent != runtime && Which::extent != runtime && Which::extent > Ax::extent)
    return Broken<more_are_selected_than_there_are<Which, Ax>>{};
  else if constexpr (E::axes.find_name(axis_record<Which>) >= 0)
    return Broken<the_axis_of_what_is_selected_must_be_new<Which, E>>{};
  else
    return Sound{};
}
template <class Ax, class Which, Expr E> constexpr auto top_k(E e) {
  const auto indices = sound<TopK<Ax, Which, E>>(e, has<E, Ax>(), can_select<Ax, Which, E>());
  const auto values = pick<Ax>(e, indices);
  return Largest<std::remove_const_t<decltype(values)>, std::remove_const_t<decltype(indices)>>{values, indices};
}

// ---- what can be stored where: Target is a tensor, or its rows Index along Ax
template <class Target> struct place_of {
  using tensor = Target;
  static constexpr AxisSet axes = Target::axes;
  static constexpr auto check() { return Sound{}; }
};
template <class Target, class Ax, class Index> struct place_of<At<Target, Ax, Index>> {
  using tensor = Target;
  static constexpr AxisSet axes = (Target::axes - axis_set<Ax>()) | Index::axes;
  static constexpr auto check() { return sound<Sound>(Index{}, has<Target, Ax>(), is_index<Index>()); }
};
template <class Target, class E> constexpr auto fits_target() {
  using Place = place_of<Target>;
  using Tensor = typename Place::tensor;
  if constexpr (is_broken<E>) {
    return Sound{};
  } else if constexpr (!is_leaf<Tensor>) {
    return Broken<only_a_tensor_can_be_stored_to<Tensor>>{};
  } else {
    using Checked = decltype(sound<Sound>(Place::check(), axes_agree<Tensor, E>(), kinds_agree<Tensor, E>()));
    constexpr AxisSet missing = E::axes - Place::axes;
    if constexpr (is_broken<Checked>)
      return Checked{};
    else if constexpr (missing.count > 0)
      return Broken<target_lacks_an_axis_of_the_expression<axis_type<E, E::axes.find(missing.axis[0])>, Tensor>>{};
    else
      return Sound{};
  }
}
// the value of a state whose rows Index along Ax are overwritten by E
template <class Ax, Expr Target, Expr Index, Expr E> constexpr auto update(Target, Index, E e) {
  return sound<Update<Ax, Target, Index, E>>(e, fits_target<At<Target, Ax, Index>, E>());
}

// ---- programs: statements in order; a later one sees what an earlier one stored
template <class Ax, Expr Target, Expr Index> constexpr auto at(Target, Index) { return At<Target, Ax, Index>{}; }

template <class Target, Expr E> constexpr auto assign(Target, E e) {
  using Checked = decltype(sound<E>(e, fits_target<Target, E>()));
  if constexpr (is_broken<Checked>) {
    report(Checked{});
    return Assign<Target, Const<0>>{};  // one error is enough
  } else {
    return Assign<Target, E>{};
  }
}
template <Expr Target, Expr E> constexpr auto add_to(Target t, E e) { return assign(t, t + e); }
// e is added to the rows of a tensor that an index names. Those that meet in one place are all added to it, in the ascending order of the
// rows of e, so the bits are the same each time; each sum is rounded to the tensor's format. Rows that no index names stay as they are. The
// executor throws Error where an index is no row of the tensor. Work: one addition for each element of e.
template <class Target, class Ax, class Index, Expr E> constexpr auto add_to(At<Target, Ax, Index>, E e) {
  using Checked = decltype(sound<E>(e, fits_target<At<Target, Ax, Index>, E>()));
  if constexpr (is_broken<Checked>) {
    report(Checked{});
    return Assign<Target, Const<0>>{};
  } else {
    return AddTo<At<Target, Ax, Index>, E>{};
  }
}
template <class... A> constexpr auto program(A...) { return Program<A...>{}; }

}  // namespace weft
