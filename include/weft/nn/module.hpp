// module: a name, members, a formula. Members are parameters, state and other modules; none of them holds data. Where a module sits and how
// its values are stored is known only when a program is read, so a module never mentions either.
#pragma once
#include <weft/expr/expr.hpp>

namespace weft {

template <Name name> struct Module { static constexpr Name own_name = name; };  // base of what has a place in the checkpoint

// a parameter of a module, stored in the checkpoint at the module's path; State lives as long as the sequence (the cache)
template <Name name, class... Dim> using Param = Leaf<Role::parameter, chars<name>, void, Dim...>;
template <Name name, class... Dim> using State = Leaf<Role::state, chars<name>, void, Dim...>;
// what a program is given and what it makes, by names that belong to the program; T: float, bf16, f16, std::int32_t, or Activation
template <Name name, class T, class... Dim> using Input = Leaf<Role::input, chars<name>, T, Dim...>;
template <Name name, class T, class... Dim> using Output = Leaf<Role::output, chars<name>, T, Dim...>;

struct Nothing {};  // a member that is not there
template <Expr E> constexpr E operator+(E e, Nothing) { return e; }
template <bool there, class Member> using If = std::conditional_t<there, Member, Nothing>;

template <class Path> struct in_module { template <class Problem> struct the_model_is_wrong; };
template <char... A, class Problem, char... B> constexpr auto below(Chars<A...>, Broken<Problem, in_module<Chars<B...>>>) {
  return Broken<Problem, in_module<Chars<A..., '.', B...>>>{};
}
template <class M, class Problem, class Where>
constexpr auto placed(Broken<Problem, Where> b) {  // in which module a body is broken, outermost first
  if constexpr (!requires { M::own_name; })
    return b;
  else if constexpr (std::is_void_v<Where>)
    return Broken<Problem, in_module<chars<M::own_name>>>{};
  else
    return below(chars<M::own_name>{}, b);
}
// the use of module M: a node of its own, so that the types of models stay linear in size
template <class M, Expr... X> constexpr auto apply(X... x) {
  if constexpr ((is_broken<X> || ...))
    return sound<void>(x...);
  else if constexpr (is_broken<typename Call<M, X...>::body>)
    return placed<M>(typename Call<M, X...>::body{});
  else
    return Call<M, X...>{};
}
template <class M> struct Use {  // a member that is a module
  constexpr auto operator()(Expr auto... x) const { return apply<M>(x...); }
};

}  // namespace weft
