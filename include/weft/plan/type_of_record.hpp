// type_of_record: from a record back to the type it was read from, by walking down from the root along (parent, child). Kernels ask only for
// the functor of a Map.
#pragma once
#include <weft/plan/reflect.hpp>

namespace weft {

template <int n, class First, class... Rest> struct nth_type : nth_type<n - 1, Rest...> {};
template <class First, class... Rest> struct nth_type<0, First, Rest...> { using type = First; };

template <int n, class E> struct child_of;
template <int n, class Op, class... E> struct child_of<n, Map<Op, E...>> : nth_type<n, E...> {};
template <int n, Monoid m, class Ax, class E> struct child_of<n, Reduce<m, Ax, E>> { using type = E; };
template <int n, class Ax, class A, class B> struct child_of<n, Contract<Ax, A, B>> : nth_type<n, A, B> {};
template <int n, class T, class E> struct child_of<n, Cast<T, E>> { using type = E; };
template <int n, class T, class Ax, class E> struct child_of<n, CastAlong<T, Ax, E>> { using type = E; };
template <int n, class Ax, int index, class E> struct child_of<n, Select<Ax, index, E>> { using type = E; };
template <int n, class Ax, class... E> struct child_of<n, Stack<Ax, E...>> : nth_type<n, E...> {};
template <int n, class W, class O, class I, class E> struct child_of<n, Split<W, O, I, E>> { using type = E; };
template <int n, class O, class I, class W, class E> struct child_of<n, Merge<O, I, W, E>> { using type = E; };
template <int n, class From, class To, class E> struct child_of<n, Rename<From, To, E>> { using type = E; };
template <int n, class Ax, class E, class Index> struct child_of<n, Gather<Ax, E, Index>> : nth_type<n, E, Index> {};
template <int n, class Ax, class Which, class E> struct child_of<n, TopK<Ax, Which, E>> { using type = E; };
template <int n, class Ax, class Target, class Index, class E> struct child_of<n, Update<Ax, Target, Index, E>>
    : nth_type<n, E, Index, Target> {};
template <int n, class M, class... X> struct child_of<n, Call<M, X...>> : nth_type<n, typename Call<M, X...>::body, X...> {};

template <int n, class P> struct root_of;
template <int n, class First, class... Rest> struct root_of<n, Program<First, Rest...>> : root_of<n - 1, Program<Rest...>> {};
template <class Target, class E, class... Rest> struct root_of<0, Program<Assign<Target, E>, Rest...>> {
  using target = Target;
  using value = E;
  using index = void;
};
template <class Target, class Ax, class Index, class E, class... Rest>
struct root_of<0, Program<Assign<At<Target, Ax, Index>, E>, Rest...>> {
  using target = Target;
  using value = E;
  using index = Index;
};

template <class Target, class E, class... Rest> struct root_of<0, Program<AddTo<Target, E>, Rest...>>
    : root_of<0, Program<Assign<Target, E>>> {};

// Where the type of each record is found. A table of its own, because compilers copy a constant as a whole to read a part of it; and no
// template argument, because nvcc cannot pass one by reference.
template <class P> struct Compiled;  // of plan.hpp
template <int count> struct Ancestry { short parent[count]{}, child[count]{}; };
template <class P> inline constexpr auto ancestry = [] {
  Ancestry<Compiled<P>::table.count + 1> a;
  for (int n = 0; n < Compiled<P>::table.count; ++n) {
    a.parent[n] = Compiled<P>::table.record[n].parent;
    a.child[n] = Compiled<P>::table.record[n].child;
  }
  return a;
}();
template <class P, int n> struct type_of_record {
  static constexpr int parent = ancestry<P>.parent[n], child = ancestry<P>.child[n];
  static auto find() {
    if constexpr (parent >= 0) {
      return typename child_of<child, typename type_of_record<P, parent>::type>::type{};
    } else {
      using Root = root_of<(-parent - 1) / 4, typename P::self>;
      if constexpr ((-parent - 1) % 4 == 0)
        return typename Root::target{};
      else if constexpr ((-parent - 1) % 4 == 1)
        return typename Root::value{};
      else
        return typename Root::index{};
    }
  }
  using type = decltype(find());
};
template <class E> struct functor_of;
template <class Op, class... E> struct functor_of<Map<Op, E...>> { using type = Op; };

}  // namespace weft
