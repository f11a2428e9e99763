// plan_interpreter: runs the kernels of a plan, in double precision, straight from the plan's nodes: what every executor has to compute. Against
// tests/support/interpreter.hpp it shows that normal form, cuts and partition keep values.
#pragma once
#include "interpreter.hpp"

namespace weft {

template <class P> struct PlanInterpreter {
  static constexpr auto& plan = Compiled<P>::plan;
  static constexpr auto& table = Compiled<P>::table;
  std::vector<std::vector<double>> leaf;  // as in Interpreter; temporaries come after the leaves

  explicit PlanInterpreter(const Binding<P>& binding) {
    Interpreter<P> records(binding);
    leaf = records.leaf;
    for (int a = 0; a < plan.axes; ++a) extent_[a] = records.extent(plan.axis[a].origin);
    for (int t = 0; t < plan.temporaries; ++t) {
      std::size_t n = 1;
      for (int d = 0; d < plan.temporary[t].rank; ++d) n *= static_cast<std::size_t>(extent_[plan.temporary[t].axis[d]]);
      leaf.emplace_back(n, std::numeric_limits<double>::quiet_NaN());
    }
  }
  // a kernel sees memory as it was before the kernel
  void run() {
    for (int k = 0; k < plan.kernels; ++k) {
      std::vector<std::vector<double>> after = leaf;
      value_.clear();
      for (int g = 0; g < plan.kernel[k].segments; ++g)
        for (int s = 0; s < plan.kernel[k].segment[g].stores; ++s) store(plan.store[plan.kernel[k].segment[g].store[s]], after);
      leaf = std::move(after);
    }
    leaf.resize(static_cast<std::size_t>(table.leaves));
  }

 private:
  long extent_[max_axes]{};
  std::map<int, std::vector<double>> value_;  // of each node, over its axes in ascending order

  static std::vector<int> axes_in(Mask m) {
    std::vector<int> axes;
    for (int a = 0; a < plan.axes; ++a)
      if (m & bit(a)) axes.push_back(a);
    return axes;
  }
  long value_of(const IndexForm& f, const long* index) const {
    long sum = f.constant;
    for (int t = 0; t < f.summands; ++t) {
      long product = f.term[t].factor.number * (f.term[t].axis == Term::no_axis ? 1 : index[f.term[t].axis]);
      for (const short a : f.term[t].factor.times)
        if (a >= 0) product *= extent_[a];
      sum += product;
    }
    return sum;
  }
  long extent_of_dimension(int l, int d) const {
    return extent_[l < plan.leaves ? table.leaf[l].axis[d] : plan.temporary[l - plan.leaves].axis[d]];
  }
  // the offset of an element; dimension `indexed` is at `row`
  template <class Place> std::size_t offset(const Place& p, int l, const long* index, long row) const {
    long n = 0;
    for (int d = 0; d < p.rank; ++d) {
      const long i = d == p.dimension ? row : value_of(p.at[d], index), extent = extent_of_dimension(l, d);
      if (i < 0 || i >= extent) throw Error("a plan leaves dimension " + std::to_string(d) + " of tensor " + std::to_string(l));
      n = n * extent + i;
    }
    return static_cast<std::size_t>(n);
  }
  void store(const Store& s, std::vector<std::vector<double>>& memory) {
    Mask axes = 0;
    for (int d = 0; d < s.rank; ++d) axes |= s.at[d].axes();
    if (s.index >= 0) axes |= plan.node[s.index].axes;
    long index[max_axes]{};
    for_each_index(axes_in(axes), extent_, index, [&] {
      const long row = s.index >= 0 ? static_cast<long>(at(s.index, index)) : 0;
      double& place = memory[static_cast<std::size_t>(s.leaf)][offset(s, s.leaf, index, row)];
      place = rounded_to(s.dtype, s.kind == OutputKind::accumulate ? place + at(s.node, index) : at(s.node, index));
    });
  }

  double at(int n, const long* index) {
    const std::vector<int> axes = axes_in(plan.node[n].axes);
    auto known = value_.find(n);
    if (known == value_.end()) {
      std::vector<double> data;
      long inner[max_axes]{};
      for_each_index(axes, extent_, inner, [&] { data.push_back(compute(plan.node[n], inner)); });
      known = value_.emplace(n, std::move(data)).first;
    }
    long position = 0;
    for (const int a : axes) position = position * extent_[a] + index[a];
    return known->second[static_cast<std::size_t>(position)];
  }
  double compute(const Node& x, const long* outer) {
    long index[max_axes];
    std::copy(outer, outer + max_axes, index);
    switch (x.kind) {
      case NodeKind::leaf: return leaf[static_cast<std::size_t>(x.leaf)][offset(x, x.leaf, index, 0)];
      case NodeKind::gather:
        return leaf[static_cast<std::size_t>(x.leaf)][offset(x, x.leaf, index, static_cast<long>(at(x.operand[0], index)))];
      case NodeKind::constant: return std::bit_cast<double>(x.bits);
      case NodeKind::position: return static_cast<double>(value_of(x.at[0], index));
      case NodeKind::extent: return static_cast<double>(extent_[x.at[0].term[0].axis]);
      case NodeKind::cast:
        if (is_block(x.dtype)) {
          std::vector<int> along;
          for (int d = 0; d < x.rank; ++d)
            for (int t = 0; t < x.at[d].summands; ++t) along.push_back(x.at[d].term[t].axis);
          return quantised(along, extent_, index, [&] { return at(x.operand[0], index); });
        }
        return rounded_to(x.dtype, at(x.operand[0], index));
      case NodeKind::top_k: {
        std::vector<double> values;
        for_each_index(axes_in(x.bound), extent_, index, [&] {
          const auto place = static_cast<std::size_t>(value_of(x.at[0], index));
          if (values.size() <= place) values.resize(place + 1);
          values[place] = at(x.operand[0], index);
        });
        return selected(values, value_of(x.at[1], index));
      }
      case NodeKind::stack: return at(x.operand[value_of(x.at[0], index)], index);
      case NodeKind::map: {
        double v[max_operands]{};
        for (int k = 0; k < x.operands; ++k) v[k] = at(x.operand[k], index);
        return Functors<P>::find(x.functor)(v[0], v[1], v[2]);
      }
      case NodeKind::contract: {
        double total = 0.;
        for_each_index(axes_in(x.bound), extent_, index, [&] { total += at(x.operand[0], index) * at(x.operand[1], index); });
        return total;
      }
      default: {  // a reduction, of several operands where a stacked axis was unrolled
        double total = x.monoid == Monoid::sum ? 0. : -std::numeric_limits<double>::infinity();
        for_each_index(axes_in(x.bound), extent_, index, [&] {
          for (int k = 0; k < x.operands; ++k) {
            const double v = at(x.operand[k], index);
            total = x.monoid == Monoid::sum ? total + v : math::max(total, v);
          }
        });
        return total;
      }
    }
  }
};

}  // namespace weft
