// explain: a plan in words: its kernels, what each stages, streams, reduces and stores, why, and what that costs.
#pragma once
#include <weft/plan/formula_text.hpp>

namespace weft {

template <class P> class Explanation {
  using Names = PlanNames<P>;
  static constexpr auto& plan = Compiled<P>::plan;
  static constexpr auto& table = Compiled<P>::table;

 public:
  std::string text() {
    head();
    for (int k = 0; k < plan.kernels; ++k) explain_kernel(k);
    return out_;
  }

 private:
  static constexpr std::size_t width = 120;
  std::string out_;

  // one line, broken at spaces where it is too long
  void line(int indent, std::string text) {
    const std::size_t more = static_cast<std::size_t>(indent) + 4;
    std::string lead(static_cast<std::size_t>(indent), ' ');
    while (lead.size() + text.size() > width) {
      std::size_t cut = text.rfind(' ', width - lead.size());
      if (cut == std::string::npos || cut == 0) cut = text.find(' ');
      if (cut == std::string::npos) break;
      out_ += lead + text.substr(0, cut) + "\n";
      text.erase(0, cut + 1);
      lead.assign(more, ' ');
    }
    out_ += lead + text + "\n";
  }
  static std::string count(int n, const std::string& word) { return std::to_string(n) + " " + word + (n == 1 ? "" : "s"); }

  void head() {
    line(0, count(plan.kernels, "kernel") + ", " + count(plan.leaves, "tensor") + ", " +
                (plan.temporaries == 1 ? "1 temporary" : std::to_string(plan.temporaries) + " temporaries") +
                (table.call[0].path.empty() ? "" : "; paths are below " + std::string(table.call[0].path.text)));
    explain_cost(2, total_cost<P>());
    for (int t = 0; t < plan.temporaries; ++t) {
      const Temporary& x = plan.temporary[t];
      std::string axes;
      for (int d = 0; d < x.rank; ++d) axes += (d ? ", " : "") + Names::axis(x.axis[d]);
      std::string made_by, reason;
      for (int s = 0; s < plan.stores; ++s)
        if (plan.store[s].leaf == plan.leaves + t) {
          made_by = Names::module(plan.store[s].node);
          reason = plan.store[s].reason;
        }
      line(2, Names::tensor(plan.leaves + t) + "  " + name_of(x.dtype) + "[" + axes + "], made by " + made_by + ":");
      line(6, reason);
    }
  }
  void explain_cost(int indent, const Cost& c) {
    line(indent, "reads   " + Names::polynomial(c.read) + " bytes" +
                     (c.read_in_blocks.summands ? " and " + Names::polynomial(c.read_in_blocks) + " elements in blocks" : ""));
    line(indent, "writes  " + Names::polynomial(c.written) + " bytes");
    line(indent, "FLOPs   " + Names::polynomial(c.flops));
  }

  void explain_kernel(int k) {
    const Kernel& q = plan.kernel[k];
    std::string title = "kernel " + std::to_string(k + 1) + ": " + name_of(q.skeleton);
    if (q.skeleton != Skeleton::map && q.skeleton != Skeleton::row) title += " over " + Names::axes(q.bound, " x ");
    if (q.skeleton == Skeleton::row) title += " reduced over " + Names::axes(q.bound, " x ");
    if (q.rows) title += ", a row for each " + Names::axes(q.rows, " x ");
    out_ += "\n";
    line(0, title);
    FormulaText<P> names;
    if (q.index >= 0) line(2, "rows are grouped by " + names.use(q.index) + "; each group has a right operand of its own");
    for (int l = 0; l < q.lefts; ++l) explain_left(q.left[l], names);
    for (int s = 0; s < q.statistics; ++s) define(2, "row statistic  ", q.statistic[s], names, statistic_word(q.statistic[s]));
    if (q.skeleton == Skeleton::stream) explain_stream(q, names);
    for (int g = 0; g < q.segments; ++g) explain_segment(q, g, names);
    explain_cost(2, cost_of<P>(k));
  }

  // ---- "label name = formula", after what the formula shares with itself
  void define(int indent, const std::string& label, short n, FormulaText<P>& names, const std::string& word) {
    if (names.has_name(n)) return;
    share(indent, {n}, names);
    const std::string formula = names.definition(n);
    line(indent, label + names.give_name(n, word) + " = " + formula);
  }
  void share(int indent, const std::vector<short>& roots, FormulaText<P>& names) {
    for (const short n : names.name_shared(roots)) line(indent, names.name(n) + " = " + names.definition(n));
  }
  static std::string statistic_word(short n) { return FormulaText<P>::reduction_word(plan.node[n]); }

  void explain_left(const Left& left, FormulaText<P>& names) {
    if (FormulaText<P>::is_stored_tensor(left.node)) {
      line(2, "left operand   " + names.use(left.node));
      return;
    }
    for (int s = 0; s < left.statistics; ++s) define(2, "row statistic  ", left.statistic[s], names, statistic_word(left.statistic[s]));
    define(2, "left operand   ", left.node, names, Names::value(left.node, "left"));
  }

  void explain_stream(const Kernel& q, FormulaText<P>& names) {
    const Stream& s = q.stream;
    const std::string over = Names::axes(q.bound, " x ");
    line(2, "one pass over " + over + bounds(s, names));
    define(4, "", s.inner, names, "dot");
    if (s.score >= 0) define(4, "", s.score, names, "score");
    if (s.maximum >= 0) define(4, "running  ", s.maximum, names, "running_max");
    define(4, "", s.weight, names, "weight");
    for (int i = 0; i < s.sums; ++i) define(4, "running  ", s.sum[i], names, "sum");
    if (s.insides) {
      std::string known;
      for (int i = 0; i < s.insides; ++i) known += (i ? ", " : "") + names.use(s.inside[i]);
      line(4, "not evaluated where the bounds of all rows imply it: " + known);
    }
  }
  static std::string bound(const LoopBound& b, FormulaText<P>& names) {
    return names.use(b.node) + (b.plus ? " + " + std::to_string(b.plus) : "");
  }
  static std::string bounds(const Stream& s, FormulaText<P>& names) {
    std::string text;
    for (int i = 0; i < s.lows; ++i) text += (i ? " and " : ", from ") + bound(s.low[i], names);
    for (int i = 0; i < s.highs; ++i) text += (i ? " and " : s.lows ? " up to " : ", up to ") + bound(s.high[i], names);
    return text + (s.highs ? " (exclusive)" : "");
  }

  void explain_segment(const Kernel& q, int g, FormulaText<P>& names) {
    const Segment& s = q.segment[g];
    const int indent = q.segments > 1 ? 4 : 2;
    const std::string columns = s.columns ? Names::axes(s.columns, " x ") : std::string("one");
    if (q.segments > 1)
      line(2, "segment " + std::to_string(g + 1) + ": columns " + columns);
    else
      line(2, "columns " + columns);
    for (int c = 0; c < s.contractions; ++c) define(indent, "", s.contraction[c], names, Names::value(s.contraction[c], "dot"));
    if (s.combine >= 0) define(indent, "added up in the order of the groups  ", s.combine, names, "sum");
    std::vector<short> roots;
    for (int i = 0; i < s.stores; ++i) {
      roots.push_back(plan.store[s.store[i]].node);
      if (plan.store[s.store[i]].index >= 0) roots.push_back(plan.store[s.store[i]].index);
    }
    for (int r = 0; r < s.reductions; ++r) define(indent, "reduced in the tile  ", s.reduction[r], names, statistic_word(s.reduction[r]));
    share(indent, roots, names);
    for (int i = 0; i < s.stores; ++i) explain_store(indent, plan.store[s.store[i]], names);
  }
  void explain_store(int indent, const Store& s, FormulaText<P>& names) {
    std::string place;
    for (int d = 0; d < s.rank; ++d) place += (d ? ", " : "") + (d == s.dimension ? names.use(s.index) : Names::index(s.at[d]));
    line(indent, "store  " + Names::tensor(s.leaf) + "[" + place + (s.kind == OutputKind::accumulate ? "] += " : "] = ") +
                     names.use(s.node) + "   (" + name_of(s.dtype) + ")");
    if (!s.temporary && std::string_view(s.reason) != "stored by the program") line(indent + 4, s.reason);
  }
};

// the plan of a program in words
template <class P> std::string explain() {
  check_plan<P>();
  return Explanation<P>().text();
}
template <class P> struct PlanOf;  // what plan(formula, tensors...) gives
template <class P> std::string explain(PlanOf<P>) { return explain<P>(); }

}  // namespace weft
