// route: contractions whose right operand depends on the row, through an index: rows are grouped by that index, and each group is multiplied by its
// own right operand, with any prologue, several right operands and any epilogue, which may add up rows. Many rows: panels are packed
// (route_many.hpp). Few rows: the right operands of the groups are streamed once (route_few.hpp).
//
// Rows are added up in the ascending order of their groups, each sum by one thread: so results do not depend on the number of threads, and on
// what other rows are computed only in that there are few of them or many.
#pragma once
#include <weft/cpu/few_or_many.hpp>
#include <weft/cpu/route_few.hpp>
#include <weft/cpu/route_many.hpp>

namespace weft::cpu {

template <class P, int k> struct RouteKernel : FewOrMany<P, RouteFacts<P, k>, RouteOfFewRows<P, k>, RouteOfManyRows<P, k>> {};

}  // namespace weft::cpu
