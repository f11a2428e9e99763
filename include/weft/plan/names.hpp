// names: the words with which a plan is described: of axes, tensors, temporaries and functors. For explain and graphviz.
#pragma once
#include <weft/plan/cost.hpp>
#include <weft/plan/plan_errors.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>

namespace weft {

// the names of the functors of a plan, by the record that a node names
template <class P> struct FunctorNames {
  struct List {
    short record[Compiled<P>::plan.nodes + 1]{};
    int count = 0;
  };
  static constexpr List used = [] {
    List l;
    for (int n = 0; n < Compiled<P>::plan.nodes; ++n) {
      const short f = Compiled<P>::plan.node[n].functor;
      bool known = f < 0;
      for (int i = 0; i < l.count; ++i) known |= l.record[i] == f;
      if (!known) l.record[l.count++] = f;
    }
    return l;
  }();
  template <int... i> static const char* find([[maybe_unused]] short functor, std::integer_sequence<int, i...>) {
    const char* name = "";
    ((used.record[i] == functor ? void(name = functor_at<P, used.record[i]>::name) : void()), ...);
    return name;
  }
  static const char* name(short functor) { return find(functor, std::make_integer_sequence<int, used.count>{}); }
};

inline std::string with_separators(long n) {  // 35782656 is 35,782,656
  std::string s = std::to_string(n);
  for (int i = static_cast<int>(s.size()) - 3; i > (n < 0 ? 1 : 0); i -= 3) s.insert(static_cast<std::size_t>(i), ",");
  return s;
}
inline std::string shortest(double x) {
  if (std::isinf(x)) return x < 0 ? "-inf" : "inf";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, x).ptr};
}

template <class P> class PlanNames {
 public:
  static constexpr auto& plan = Compiled<P>::plan;
  static constexpr auto& table = Compiled<P>::table;

  // an axis by the last part of its path, where that is clear; a copy that was renamed apart has a prime
  static std::string axis(int a) {
    const std::string_view full = plan.axis[a].record.name;
    std::string name(full.substr(full.rfind('.') + 1));
    for (int i = 0; i < plan.axes; ++i) {
      const std::string_view other = plan.axis[i].record.name;
      if (plan.axis[i].origin != plan.axis[a].origin && other.substr(other.rfind('.') + 1) == name) name = full;
    }
    return plan.axis[a].origin == a ? name : name + "'";
  }
  static std::string axes(Mask m, const char* separator = ", ") {
    std::string s;
    for (int a = 0; a < plan.axes; ++a)
      if (m & bit(a)) s += (s.empty() ? "" : separator) + axis(a);
    return s;
  }
  static std::string index(const IndexForm& f) {
    std::string s;
    for (int t = 0; t < f.summands; ++t) {
      std::string product;
      auto times = [&](const std::string& factor) { product += (product.empty() ? "" : "*") + factor; };
      if (f.term[t].factor.number != 1) times(std::to_string(f.term[t].factor.number));
      for (const short a : f.term[t].factor.times)
        if (a >= 0) times("|" + axis(a) + "|");
      if (f.term[t].axis != Term::no_axis) times(axis(f.term[t].axis));
      s += (t ? " + " : "") + product;
    }
    if (f.constant || !f.summands) s += (s.empty() ? "" : " + ") + std::to_string(f.constant);
    return s;
  }
  // the path of a tensor, without the place of the program in its model
  static std::string tensor(int leaf) {
    if (leaf >= plan.leaves) return "%" + std::to_string(leaf - plan.leaves);
    return below_place(table.leaf[leaf].path);
  }
  static std::string below_place(const Name& path) {
    const Name& where = table.call[0].path;  // by counting: g++ 12 warns wrongly about strlen of constants inside tables
    const std::string_view place(where.text, static_cast<std::size_t>(where.length())),
        full(path.text, static_cast<std::size_t>(path.length()));
    if (place.empty() || full.substr(0, place.size()) != place) return std::string(full);
    return std::string(full.substr(full.size() > place.size() ? place.size() + 1 : place.size()));
  }
  // the module in whose formula a node stands: "self_attn.q_proj", or "Rotation in self_attn" where it has no place of its own
  static std::string module(short node) {
    const short call = call_of(node);
    if (call <= 0) return "the program";
    const CallRecord& c = table.call[call];
    const std::string path = below_place(c.path);
    if (!(c.path == table.call[c.outer].path)) return path;
    return c.module + (path.empty() ? "" : " in " + path);
  }
  // a word for a value: the last part of its module's path, else the module's name in lower case; outside modules a given word
  static std::string value(short node, const char* otherwise) {
    const short call = call_of(node);
    if (call <= 0) return otherwise;
    const CallRecord& c = table.call[call];
    std::string name = c.module;
    if (c.path == table.call[c.outer].path) {
      name[0] = static_cast<char>(name[0] >= 'A' && name[0] <= 'Z' ? name[0] + ('a' - 'A') : name[0]);
    } else {
      name = c.path.text;
      name = name.substr(name.rfind('.') + 1);
    }
    return name;
  }
  static const char* functor(short f) { return FunctorNames<P>::name(f); }

  // ---- costs, constants first; extents that the type of the program knows are multiplied out
  static std::string polynomial(const Polynomial& p) {
    Polynomial folded;
    folded.divisor = p.divisor;
    for (int i = 0; i < p.summands; ++i) {
      Monomial m = p.term[i];
      m.axes = 0;
      for (int k = 0; k < p.term[i].axes; ++k) {
        const long extent = plan.axis[p.term[i].axis[k]].record.extent;
        if (extent == runtime)
          m.multiply(p.term[i].axis[k]);
        else
          m.coefficient *= extent;
      }
      folded.add(m, p.divisor);
    }
    std::sort(folded.term, folded.term + folded.summands,
              [](const Monomial& a, const Monomial& b) { return a.axes + (a.parts >= 0) < b.axes + (b.parts >= 0); });
    std::string s;
    for (int i = 0; i < folded.summands; ++i) {
      const Monomial& m = folded.term[i];
      if (i) s += " + ";
      const long common = std::gcd(m.coefficient, p.divisor), number = m.coefficient / common, over = p.divisor / common;
      const bool more = m.axes > 0 || m.parts >= 0;
      if (number != 1 || over != 1 || !more)
        s += with_separators(number) + (over == 1 ? "" : "/" + std::to_string(over)) + (more ? "*" : "");
      for (int k = 0; k < m.axes; ++k) s += (k ? "*" : "") + axis(m.axis[k]);
      if (m.parts >= 0) s += (m.axes ? "*" : "") + parts(m);
    }
    return s.empty() ? "0" : s;
  }
  static std::string parts(const Monomial& m) {  // "min(4*token, 60)"
    std::string rows = m.rows == 1 && m.row_axes ? "" : std::to_string(m.rows);
    for (int k = 0; k < m.row_axes; ++k) rows += (rows.empty() ? "" : "*") + axis(m.row_axis[k]);
    const long extent = plan.axis[m.parts].record.extent;
    return "min(" + rows + ", " + (extent == runtime ? axis(m.parts) : std::to_string(extent)) + ")";
  }

 private:
  static short call_of(short node) {
    const short origin = plan.node[node].origin;
    return origin < 0 ? short{-1} : table.record[origin].call;
  }
};

}  // namespace weft
