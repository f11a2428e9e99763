// graphviz: a plan as a graph for `dot`: kernels are clusters of stores, tensors and temporaries are boxes, edges carry the bytes that move.
#pragma once
#include <weft/plan/names.hpp>

namespace weft {

template <class P> class PlanGraph {
  using Names = PlanNames<P>;
  static constexpr auto& plan = Compiled<P>::plan;

 public:
  std::string text() {
    line("digraph plan {");
    line("  rankdir=LR;");
    line("  node [shape=box, fontname=\"sans-serif\", fontsize=10];");
    line("  edge [fontname=\"sans-serif\", fontsize=8];");
    for (int k = 0; k < plan.kernels; ++k) cluster(k);
    for (int l = 0; l < plan.leaves; ++l) line("  " + box(l) + " [label=" + quoted(Names::tensor(l)) + "];");
    for (int t = 0; t < plan.temporaries; ++t) temporary(t);
    for (int k = 0; k < plan.kernels; ++k) edges(k);
    line("}");
    return out_;
  }

 private:
  std::string out_;

  void line(const std::string& text) { out_ += text + "\n"; }
  static std::string quoted(const std::string& text) {
    std::string s = "\"";
    for (const char c : text) {
      if (c == '"' || (c == '\\')) s += '\\';
      if (c == '\n')
        s += "\\n";
      else
        s += c;
    }
    return s + "\"";
  }
  static std::string box(int tensor) {
    return (tensor < plan.leaves ? "tensor" : "temporary") + std::to_string(tensor < plan.leaves ? tensor : tensor - plan.leaves);
  }
  static std::string kernel(int k) { return "kernel" + std::to_string(k); }

  void cluster(int k) {
    const Kernel& q = plan.kernel[k];
    std::string title = "kernel " + std::to_string(k + 1) + ": " + name_of(q.skeleton);
    if (q.bound) title += " over " + Names::axes(q.bound, " x ");
    line("  subgraph cluster_" + kernel(k) + " {");
    line("    label=" + quoted(title + "\nFLOPs " + Names::polynomial(cost_of<P>(k).flops)) + ";");
    line("    style=rounded; fontname=\"sans-serif\"; fontsize=11;");
    line("    " + kernel(k) + " [label=" + quoted(q.rows ? "a row for each\n" + Names::axes(q.rows, " x ") : "all elements") +
         ", shape=oval];");
    for (int g = 0; g < q.segments; ++g)
      for (int i = 0; i < q.segment[g].stores; ++i) {
        const Store& s = plan.store[q.segment[g].store[i]];
        const std::string name = store(q.segment[g].store[i]);
        line("    " + name + " [label=" + quoted(Names::module(s.node)) + "];");
        line("    " + kernel(k) + " -> " + name + " [style=dotted, arrowhead=none];");
      }
    line("  }");
  }
  static std::string store(int i) { return "store" + std::to_string(i); }
  void temporary(int t) {
    std::string reason;
    for (int s = 0; s < plan.stores; ++s)
      if (plan.store[s].leaf == plan.leaves + t) reason = plan.store[s].reason;
    std::string wrapped;  // a few words a line
    std::size_t length = 0;
    for (const char c : reason) {
      wrapped += c == ' ' && length > 30 ? '\n' : c;
      length = wrapped.back() == '\n' ? 0 : length + 1;
    }
    line("  " + box(plan.leaves + t) + " [label=" + quoted(Names::tensor(plan.leaves + t) + "\n" + wrapped) +
         ", style=filled, fillcolor=lightgrey];");
  }
  void edges(int k) {
    const auto model = cost_model<P>();
    const auto nodes = model.nodes_of(k);
    for (int l = 0; l < plan.leaves + plan.temporaries; ++l)
      if (const Polynomial p = model.bytes_read(nodes, l); p.summands)
        line("  " + box(l) + " -> " + kernel(k) + " [label=" + bytes(p) + "];");
    const Kernel& q = plan.kernel[k];
    for (int g = 0; g < q.segments; ++g)
      for (int i = 0; i < q.segment[g].stores; ++i) {
        const Store& s = plan.store[q.segment[g].store[i]];
        line("  " + store(q.segment[g].store[i]) + " -> " + box(s.leaf) + " [label=" + bytes(model.bytes_written(s)) + "];");
      }
  }
  static std::string bytes(const Polynomial& p) { return quoted(Names::polynomial(p) + " B"); }
};

// the plan of a program in the language of Graphviz: `dot -Tsvg`
template <class P> std::string graphviz() {
  check_plan<P>();
  return PlanGraph<P>().text();
}

}  // namespace weft
