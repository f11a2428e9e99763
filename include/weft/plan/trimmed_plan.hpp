// trimmed_plan: a plan without room for more. Compilers copy a constant as a whole whenever a constant expression reads a part of it, which
// makes the roomy PlanValue dear where hundreds of templates read from it, as device code does.
#pragma once
#include <weft/plan/plan.hpp>

namespace weft {

template <int node_count, int store_count, int kernel_count_, int axis_count> struct TrimmedPlan {
  static constexpr int nodes = node_count, stores = store_count, kernels = kernel_count_, axes = axis_count;
  Node node[nodes ? nodes : 1];
  Store store[stores ? stores : 1];
  Kernel kernel[kernels ? kernels : 1];
  PlanAxis axis[axes ? axes : 1];
};

template <class P> inline constexpr auto trimmed_plan = [] {
  TrimmedPlan<Compiled<P>::plan.nodes, Compiled<P>::plan.stores, Compiled<P>::plan.kernels, Compiled<P>::plan.axes> t;
  const auto& plan = Compiled<P>::plan;
  for (int i = 0; i < plan.nodes; ++i) t.node[i] = plan.node[i];
  for (int i = 0; i < plan.stores; ++i) t.store[i] = plan.store[i];
  for (int i = 0; i < plan.kernels; ++i) t.kernel[i] = plan.kernel[i];
  for (int i = 0; i < plan.axes; ++i) t.axis[i] = plan.axis[i];
  return t;
}();

}  // namespace weft
