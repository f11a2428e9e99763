// the order of kernels: what is read before it is overwritten, what is overwritten in place and what is not; and what cannot be planned
#include <doctest/doctest.h>

#include "../support/plan_interpreter.hpp"
#include "../support/random_program.hpp"
#include <weft/nn/module.hpp>

using namespace weft;

namespace {

using Token = Axis<"token">;
using Hidden = Axis<"hidden", 8>;
using Other = Axis<"other", 8>;
constexpr Input<"x", float, Token, Hidden> x{};
constexpr Input<"w", float, Other, Hidden> w{};
constexpr Output<"y", float, Token, Hidden> y{};
constexpr Leaf<Role::state, chars<"s">, float, Token, Hidden> s{};
constexpr Leaf<Role::state, chars<"t">, float, Token, Hidden> t{};

constexpr auto norm(auto e) { return e * rsqrt(mean<Hidden>(square(e)) + 1e-6_c); }
constexpr auto projected(auto e) { return rename<Other, Hidden>(dot<Hidden>(e, w)); }

// the kernel that stores to a leaf; version: how many statements stored to it, that one included
template <class P> constexpr int kernel_that_stores(const char* path, int version = 1) {
  constexpr auto& plan = Compiled<P>::plan;
  for (int k = 0; k < plan.kernels; ++k)
    for (int g = 0; g < plan.kernel[k].segments; ++g)
      for (int i = 0; i < plan.kernel[k].segment[g].stores; ++i) {
        const Store& store = plan.store[plan.kernel[k].segment[g].store[i]];
        if (store.leaf == leaf_number<P>(path) && store.version == version) return k;
      }
  return -1;
}

// ---- order
struct ReadAfterWrite : decltype(program(assign(s, x * 2_c), assign(t, s + x))) {};
static_assert(kernel_that_stores<ReadAfterWrite>("s") < kernel_that_stores<ReadAfterWrite>("t"));

struct WriteAfterRead : decltype(program(assign(t, projected(s)), assign(s, x))) {};
static_assert(kernel_that_stores<WriteAfterRead>("t") < kernel_that_stores<WriteAfterRead>("s"));

struct WriteAfterWrite : decltype(program(assign(s, projected(x)), assign(s, x * 2_c))) {};
static_assert(kernel_that_stores<WriteAfterWrite>("s", 1) < kernel_that_stores<WriteAfterWrite>("s", 2));

// the same expression before and after the store to what it reads is two values, each with a temporary of its own
struct BeforeAndAfter : decltype(program(assign(y, norm(projected(s))), assign(s, x), assign(t, norm(projected(s))))) {};
static_assert(Compiled<BeforeAndAfter>::plan.temporaries == 2);

// ---- in place
struct Pointwise : decltype(program(add_to(s, silu(s)))) {};
static_assert(kernel_count<Pointwise> == 1 && Compiled<Pointwise>::plan.temporaries == 0);

struct Row : decltype(program(assign(s, norm(s)))) {};  // a row is read whole before it is written
static_assert(kernel_count<Row> == 1 && Compiled<Row>::plan.temporaries == 0);

struct Residual : decltype(program(add_to(s, projected(norm(x))))) {};  // each element of s is read where it is written
static_assert(kernel_count<Residual> == 1 && Compiled<Residual>::plan.temporaries == 0);

struct WholeRow : decltype(program(add_to(s, projected(norm(s))))) {};  // other columns still need the row: not in place
static_assert(kernel_count<WholeRow> == 2 && Compiled<WholeRow>::plan.temporaries == 1);

struct Shifted : decltype(program(assign(s, rename<Other, Hidden>(rename<Hidden, Other>(s)) + select<Hidden, 0>(s)))) {
};  // column 0 is read by all
static_assert(Compiled<Shifted>::plan.temporaries == 1);

// ---- a statistic of a stored tensor is no part of an epilogue
struct Epilogue : decltype(program(assign(y, norm(x) + projected(s)))) {};
static_assert(kernel_count<Epilogue> == 2 && Compiled<Epilogue>::plan.kernel[0].skeleton == Skeleton::row);

// ---- what has no plan says so
constexpr Input<"at", std::int32_t, Token> at_token{};
using Key = Axis<"key">;
constexpr Leaf<Role::state, chars<"keys">, float, Key, Hidden> keys{};
struct Waiting
    : decltype(program(assign(Output<"y", float, Key, Hidden>{}, update<Key>(keys, at_token, x) + update<Key>(keys, at_token, x * 2_c)))) {
};
static_assert(Compiled<Waiting>::plan.error.problem == PlanProblem::statements_wait_for_each_other);

using A = Axis<"a", 2>;
using B = Axis<"b", 4>;
struct TwoSplits : decltype(program(assign(Output<"y", float, Token, A, B>{}, split<Hidden, A, B>(x)),
                                    assign(Output<"z", float, Token, B, A>{}, split<Hidden, B, A>(x)))) {};
static_assert(Compiled<TwoSplits>::plan.error.problem == PlanProblem::one_axis_split_in_two_ways);
static_assert(same_text(Compiled<TwoSplits>::plan.axis[Compiled<TwoSplits>::plan.error.axis].record.name, "hidden"));

struct TwoShapes : decltype(program(assign(y, x* Input<"g", float, Hidden>{} + Input<"g", float, Token>{}))) {};
static_assert(Compiled<TwoShapes>::plan.error.problem == PlanProblem::one_path_with_two_shapes);
static_assert(Compiled<TwoShapes>::plan.error.leaf == leaf_number<TwoShapes>("g"));

template <class P> void keeps_values() {
  RandomProgram<P> random({{"token", 3}}, 1);
  const auto expected = interpret(random.binding);
  PlanInterpreter<P> planned(random.binding);
  planned.run();
  for (std::size_t l = 0; l < expected.size(); ++l)
    for (std::size_t i = 0; i < expected[l].size(); ++i) CHECK(planned.leaf[l][i] == doctest::Approx(expected[l][i]).epsilon(1e-9));
}

}  // namespace

TEST_CASE("order keeps values") {
  keeps_values<ReadAfterWrite>();
  keeps_values<WriteAfterRead>();
  keeps_values<WriteAfterWrite>();
  keeps_values<BeforeAndAfter>();
  keeps_values<Pointwise>();
  keeps_values<Row>();
  keeps_values<Residual>();
  keeps_values<WholeRow>();
  keeps_values<Shifted>();
  keeps_values<Epilogue>();
}
