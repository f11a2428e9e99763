// cost: bytes and FLOPs of the kernels of a plan, as polynomials in the extents of axes. They count what any executor has to move and compute:
// each tensor is read once by a kernel, however often its tiles meet it; gathers read the rows they pick. A stream is counted over all keys; a
// causal mask leaves about half of them. Rounding, positions and what depends on no axis cost nothing. A tensor in blocks is counted by its
// blocks; of one whose format is known only when it is bound (any_block), the elements are counted.
#pragma once
#include <weft/core/error.hpp>
#include <weft/plan/plan.hpp>

#include <numeric>

namespace weft {

// coefficient * product of the extents of some axes, an axis as often as it occurs
struct Monomial {
  static constexpr int capacity = 10;
  long coefficient = 1;
  short axis[capacity]{};  // numbers of axes in the plan, ascending; the extents of Tiles are in the coefficient
  short axes = 0;
  // Where rows pick parts of a tensor, another factor: the number of rows, or of parts where these are fewer. Rows are `rows` times the extents of
  // row_axis; parts: an axis, or -1 without such a factor.
  short parts = -1, row_axes = 0;
  short row_axis[4]{};
  long rows = 1;

  constexpr void multiply(short a) {
    if (axes == capacity) throw Error("a cost has more than ten axes in one product");
    int i = axes++;
    for (; i > 0 && axis[i - 1] > a; --i) axis[i] = axis[i - 1];
    axis[i] = a;
  }
  constexpr bool same_axes(const Monomial& other) const {
    if (axes != other.axes) return false;
    for (int i = 0; i < axes; ++i)
      if (axis[i] != other.axis[i]) return false;
    if (parts != other.parts || row_axes != other.row_axes || rows != other.rows) return false;
    for (int i = 0; i < row_axes; ++i)
      if (row_axis[i] != other.row_axis[i]) return false;
    return true;
  }
};

struct Polynomial {
  static constexpr int capacity = 32;
  Monomial term[capacity]{};
  int summands = 0;
  long divisor = 1;  // of all coefficients: an element of a block is a fraction of its bytes

  constexpr void add(Monomial m, long over = 1) {
    if (m.coefficient == 0) return;
    const long common = std::lcm(divisor, over);
    for (int i = 0; i < summands; ++i) term[i].coefficient *= common / divisor;
    m.coefficient *= common / over;
    divisor = common;
    for (int i = 0; i < summands; ++i)
      if (term[i].same_axes(m)) {
        term[i].coefficient += m.coefficient;
        return;
      }
    if (summands == capacity) throw Error("a cost has more than 32 summands");
    term[summands++] = m;
  }
  constexpr Polynomial& operator+=(const Polynomial& other) {
    for (int i = 0; i < other.summands; ++i) add(other.term[i], other.divisor);
    return *this;
  }
  // the value, given the extent of each axis of the plan by its number (as Binding::extent holds them)
  constexpr long evaluate(const long* extent) const {
    long sum = 0;
    for (int i = 0; i < summands; ++i) {
      long product = term[i].coefficient;
      for (int k = 0; k < term[i].axes; ++k) product *= extent[term[i].axis[k]];
      if (term[i].parts >= 0) {
        long rows = term[i].rows;
        for (int k = 0; k < term[i].row_axes; ++k) rows *= extent[term[i].row_axis[k]];
        product *= rows < extent[term[i].parts] ? rows : extent[term[i].parts];
      }
      sum += product;
    }
    return sum / divisor;
  }
};

struct Cost {
  Polynomial read, written, flops;  // bytes, bytes, operations
  Polynomial read_in_blocks;        // elements of tensors of any_block: their bytes depend on what is bound
  constexpr Cost& operator+=(const Cost& other) {
    read += other.read;
    read_in_blocks += other.read_in_blocks;
    written += other.written;
    flops += other.flops;
    return *this;
  }
};

// what a kernel of a plan costs
template <class Plan> struct CostModel {
  const Plan& plan;
  const LeafRecord* leaf;         // of the program's table
  const DType* format = nullptr;  // of all leaves and temporaries as they are bound; nullptr: as the program declares them

  constexpr DType format_of(const Node& x) const { return format ? format[x.leaf] : x.dtype; }

  constexpr void multiply(Monomial& m, Mask axes) const {
    for (short a = 0; a < plan.axes; ++a)
      if (axes & bit(a)) {
        if (plan.axis[a].record.tile)
          m.coefficient *= plan.axis[a].record.extent;
        else
          m.multiply(plan.axis[a].origin);  // an axis renamed apart has the extent of its origin
      }
  }
  constexpr Monomial product(Mask axes, long coefficient) const {
    Monomial m;
    m.coefficient = coefficient;
    multiply(m, axes);
    return m;
  }
  // the elements of a tensor that index formulas reach: those of each dimension are the combinations of its axes
  constexpr Monomial elements(const IndexForm* at, int rank, int except, long coefficient) const {
    Monomial m;
    m.coefficient = coefficient;
    for (int d = 0; d < rank; ++d)
      if (d != except) multiply(m, at[d].axes());
    return m;
  }

  // ---- the nodes of a kernel, each once
  struct Nodes {
    bool has[plan_capacity]{};
  };
  constexpr void collect(Nodes& found, short n) const {
    if (n < 0 || found.has[n]) return;
    found.has[n] = true;
    for (int k = 0; k < plan.node[n].operands; ++k) collect(found, plan.node[n].operand[k]);
  }
  constexpr Nodes nodes_of(int kernel) const {
    Nodes found;
    const Kernel& k = plan.kernel[kernel];
    for (int g = 0; g < k.segments; ++g)
      for (int s = 0; s < k.segment[g].stores; ++s) {
        collect(found, plan.store[k.segment[g].store[s]].node);
        collect(found, plan.store[k.segment[g].store[s]].index);
      }
    return found;
  }

  // ---- bytes that a kernel reads of one tensor. Different views of it are counted as different elements, but never more than the tensor has.
  constexpr Polynomial bytes_read(const Nodes& nodes, int leaf) const {
    Polynomial sum;
    for (int n = 0; n < plan.nodes; ++n) {
      const Node& x = plan.node[n];
      if (!nodes.has[n] || x.leaf != leaf || (x.kind != NodeKind::leaf && x.kind != NodeKind::gather) || repeated(nodes, n)) continue;
      const DType f = format_of(x);
      const bool open = f == DType::any_block;
      const long bytes = open ? 1 : block_bytes(f), of_elements = open ? 1 : block_elements(f);
      const Monomial m = x.kind != NodeKind::gather   ? elements(x.at, x.rank, -1, bytes)
                         : is_right_operand(nodes, n) ? parts(x, bytes)
                                                      : picked(x, bytes);
      if (reads_all(x)) {
        Polynomial whole;
        whole.add(m, of_elements);
        return whole;
      }
      sum.add(m, of_elements);
    }
    return sum;
  }
  constexpr Monomial picked(const Node& gather, long bytes) const {
    Monomial m = elements(gather.at, gather.rank, gather.dimension, bytes);
    multiply(m, plan.node[gather.operand[0]].axes);
    return m;
  }
  // rows of a contraction that pick the same part read it once
  constexpr bool is_right_operand(const Nodes& nodes, int gather) const {
    for (int c = 0; c < plan.nodes; ++c)
      if (nodes.has[c] && plan.node[c].kind == NodeKind::contract && plan.node[c].operand[1] == gather && is_routed(plan.node, c))
        return true;
    return false;
  }
  constexpr Monomial parts(const Node& gather, long bytes) const {
    Monomial m = elements(gather.at, gather.rank, gather.dimension, bytes);
    m.parts = leaf[gather.leaf].axis[gather.dimension];
    for (short a = 0; a < plan.axes; ++a)
      if (plan.node[gather.operand[0]].axes & bit(a)) {
        if (plan.axis[a].record.tile || m.row_axes == 4)
          m.rows *= plan.axis[a].record.tile ? plan.axis[a].record.extent : 1;
        else
          m.row_axis[m.row_axes++] = plan.axis[a].origin;
      }
    return m;
  }
  constexpr bool bytes_are_open(int l) const { return l < plan.leaves && (format ? format[l] : leaf[l].dtype) == DType::any_block; }
  // the same elements, read by an earlier node (of another version of the tensor)
  constexpr bool repeated(const Nodes& nodes, int n) const {
    for (int i = 0; i < n; ++i) {
      const Node &a = plan.node[i], &b = plan.node[n];
      if (!nodes.has[i] || a.kind != b.kind || a.leaf != b.leaf || a.rank != b.rank) continue;
      bool same = a.kind == NodeKind::leaf || a.operand[0] == b.operand[0];
      for (int d = 0; d < a.rank; ++d) same &= a.at[d] == b.at[d];
      if (same) return true;
    }
    return false;
  }
  // Does a view reach every element? In each dimension its axes must be the digits of a number: the factor of each is the product of the extents
  // of the smaller ones. A selected half of a dimension leaves gaps, or is shorter than the dimension.
  constexpr bool reads_all(const Node& x) const {
    if (x.kind != NodeKind::leaf) return false;
    for (int d = 0; d < x.rank; ++d)
      if (!reaches_all(x.at[d], declared_extent(x, d))) return false;
    return true;
  }
  constexpr bool reaches_all(const IndexForm& f, long declared) const {
    if (f.summands == 0 || f.constant != 0) return false;
    Factor below;
    for (int digits = 0; digits < f.summands; ++digits) {
      int next = -1;
      for (int t = 0; t < f.summands; ++t)
        if (f.term[t].axis != Term::no_axis && same_factor(f.term[t].factor, below)) next = f.term[t].axis;
      if (next < 0) return false;
      const long extent = plan.axis[next].record.extent;
      below = below * (extent == runtime ? Factor{1, {plan.axis[next].origin, -1}} : Factor{static_cast<int>(extent), {-1, -1}});
    }
    return declared == runtime || below.times[0] >= 0 || below.number == declared;
  }
  static constexpr bool same_factor(const Factor& a, const Factor& b) {  // in either order
    return a.number == b.number &&
           ((a.times[0] == b.times[0] && a.times[1] == b.times[1]) || (a.times[0] == b.times[1] && a.times[1] == b.times[0]));
  }
  constexpr long declared_extent(const Node& x, int d) const {
    const short a = x.leaf < plan.leaves ? leaf[x.leaf].axis[d] : plan.temporary[x.leaf - plan.leaves].axis[d];
    return plan.axis[a].record.extent;
  }

  constexpr Polynomial bytes_written(const Store& s) const {
    Monomial m = elements(s.at, s.rank, s.dimension, bytes_of(s.dtype));
    if (s.index >= 0) multiply(m, plan.node[s.index].axes);
    Polynomial p;
    p.add(m);
    return p;
  }

  constexpr Cost of(int kernel) const {
    Cost c;
    const Nodes nodes = nodes_of(kernel);
    for (int n = 0; n < plan.nodes; ++n) {
      if (!nodes.has[n]) continue;
      const Node& x = plan.node[n];
      if (x.kind == NodeKind::contract)
        c.flops.add(product(x.axes | x.bound, 2));
      else if (is_reduction(x))
        c.flops.add(product(rows_of_reduction(x) | x.bound, x.operands));
      else if (x.kind == NodeKind::map && x.axes)
        c.flops.add(product(x.axes, 1));
    }
    for (int l = 0; l < plan.leaves + plan.temporaries; ++l) (bytes_are_open(l) ? c.read_in_blocks : c.read) += bytes_read(nodes, l);
    const Kernel& k = plan.kernel[kernel];
    for (int g = 0; g < k.segments; ++g)
      for (int s = 0; s < k.segment[g].stores; ++s) {
        const Store& store = plan.store[k.segment[g].store[s]];
        c.written += bytes_written(store);
        if (store.kind == OutputKind::accumulate) c.read += bytes_written(store);
      }
    return c;
  }
};
template <class P> constexpr auto cost_model() {
  return CostModel<std::remove_const_t<decltype(Compiled<P>::plan)>>{Compiled<P>::plan, Compiled<P>::table.leaf};
}

// A contraction counts 2 for each multiply-add, a Map and a reduction 1 for each element it is evaluated at (the axes it depends on).
template <class P> constexpr Cost cost_of(int kernel) { return cost_model<P>().of(kernel); }
template <class P> constexpr Cost total_cost() {
  Cost c;
  for (int k = 0; k < Compiled<P>::plan.kernels; ++k) c += cost_of<P>(k);
  return c;
}

}  // namespace weft
