// formula_text: nodes of a plan as infix formulas. What is used more than once, and what deserves it (contractions, statistics), gets a name.
#pragma once
#include <weft/plan/names.hpp>

#include <map>
#include <vector>

namespace weft {

template <class P> class FormulaText {
  using Names = PlanNames<P>;
  static constexpr auto& plan = Compiled<P>::plan;

 public:
  // ---- names of nodes
  bool has_name(short n) const { return names_.count(n) > 0; }
  std::string name(short n) const { return names_.at(n); }
  // gives a node a name of its own: a word, and a number where the word is taken
  const std::string& give_name(short n, const std::string& word) {
    if (has_name(n)) return names_[n];
    std::string unique = word;
    for (int i = 2; taken(unique); ++i) unique = word + "_" + std::to_string(i);
    return names_[n] = unique;
  }

  // the definition of a node: its formula, other named nodes by their names
  std::string definition(short n) const { return text(n, 0, true); }
  std::string use(short n) const { return text(n, 0, false); }

  // Sub-expressions of the roots that are used more than once and are long get names, operands first: the nodes to define before the roots.
  std::vector<short> name_shared(const std::vector<short>& roots) {
    std::map<short, int> uses;
    std::vector<short> order, shared;
    for (const short r : roots) count_uses(r, uses, order, true);
    for (const short n : order)
      if (uses[n] > 1 && !has_name(n) && use(n).size() > 20) {
        give_name(n, word(n));
        shared.push_back(n);
      }
    return shared;
  }

  static const char* reduction_word(const Node& x) { return x.kind == NodeKind::top_k ? "best" : x.monoid == Monoid::sum ? "sum" : "max"; }
  static bool is_stored_tensor(short n) { return plan.node[n].kind == NodeKind::leaf; }

 private:
  std::map<short, std::string> names_;

  bool taken(const std::string& word) const {
    for (const auto& [node, name] : names_)
      if (name == word) return true;
    for (int l = 0; l < plan.leaves; ++l)
      if (Names::tensor(l) == word) return true;
    return false;
  }
  void count_uses(short n, std::map<short, int>& uses, std::vector<short>& order, bool root) const {
    if (!root && ++uses[n] > 1) return;
    if (!root && has_name(n)) return;
    for (int k = 0; k < plan.node[n].operands; ++k) count_uses(plan.node[n].operand[k], uses, order, false);
    order.push_back(n);
  }
  static bool is_operator(const std::string& f) { return f.find_first_of("+-*/<=>") == 0 || f == "and" || f == "or"; }
  static std::string word(short n) {
    const Node& x = plan.node[n];
    if (is_reduction(x)) return reduction_word(x);
    if (x.kind == NodeKind::cast) return word(x.operand[0]);
    if (x.kind == NodeKind::map)
      if (const std::string f = Names::functor(x.functor); !is_operator(f)) return f;
    return Names::value(n, "t");
  }
  // how tightly an operator binds
  static int strength(const std::string& f) {
    if (f == "or") return 1;
    if (f == "and") return 2;
    if (f[0] == '<' || f[0] == '>' || f[0] == '=') return 3;
    return f == "+" || f == "-" ? 4 : 5;
  }
  std::string call(const std::string& f, const Node& x) const {
    std::string s = f + "(";
    for (int k = 0; k < x.operands; ++k) s += (k ? ", " : "") + text(x.operand[k], 0, false);
    return s + ")";
  }
  std::string text(short n, int around, bool define) const {
    const Node& x = plan.node[n];
    if (!define && has_name(n)) return name(n);
    switch (x.kind) {
      case NodeKind::leaf: return leaf(x);
      case NodeKind::gather: {
        std::string s = Names::tensor(x.leaf) + "[";
        for (int d = 0; d < x.rank; ++d) s += (d ? ", " : "") + (d == x.dimension ? text(x.operand[0], 0, false) : Names::index(x.at[d]));
        return s + "]";
      }
      case NodeKind::constant: return shortest(std::bit_cast<double>(x.bits));
      case NodeKind::position: return "position<" + Names::index(x.at[0]) + ">";
      case NodeKind::extent: return "|" + Names::index(x.at[0]) + "|";
      case NodeKind::reduce: return call((x.monoid == Monoid::sum ? "sum<" : "max<") + Names::axes(x.bound) + ">", x);
      case NodeKind::top_k: return call("top_k<" + Names::index(x.at[0]) + ", " + Names::index(x.at[1]) + ">", x);
      case NodeKind::contract: return call("dot<" + Names::axes(x.bound) + ">", x);
      case NodeKind::cast: return call(name_of(x.dtype) + (x.rank ? "<" + along(x) + ">" : std::string()), x);
      case NodeKind::stack: return call("stack<" + Names::index(x.at[0]) + ">", x);
      default: break;
    }
    const std::string f = Names::functor(x.functor);
    if (!is_operator(f)) return call(f, x);
    if (x.operands == 1) return f + text(x.operand[0], 6, false);
    const int s = strength(f);
    const bool associates = f == "+" || f == "*" || f == "and" || f == "or";
    const std::string formula = text(x.operand[0], s, false) + " " + f + " " + text(x.operand[1], associates ? s : s + 1, false);
    return s < around ? "(" + formula + ")" : formula;
  }
  static std::string along(const Node& x) {  // the axes of a cast's blocks
    std::string s;
    for (int d = 0; d < x.rank; ++d) s += (d ? ", " : "") + Names::index(x.at[d]);
    return s;
  }
  // a tensor without indices is read as it is declared
  std::string leaf(const Node& x) const {
    std::string s, indices;
    bool plain = true;
    for (int d = 0; d < x.rank; ++d) {
      const short declared = x.leaf < plan.leaves ? Compiled<P>::table.leaf[x.leaf].axis[d] : plan.temporary[x.leaf - plan.leaves].axis[d];
      plain &= x.at[d].is_axis(declared);
      indices += (d ? ", " : "") + Names::index(x.at[d]);
    }
    s = Names::tensor(x.leaf);
    return plain ? s : s + "[" + indices + "]";
  }
};

}  // namespace weft
