// index_form: where along a dimension of a leaf an expression stands: a constant plus axes times factors. A factor is a number times the
// extents of axes known only when the program runs, so splits of runtime axes have index formulas too.
#pragma once
#include <weft/plan/record.hpp>

namespace weft {

using Mask = std::uint32_t;  // a set of the axes of a program
constexpr Mask bit(int axis) { return Mask{1} << axis; }
constexpr int count_axes(Mask m) { return std::popcount(m); }

struct Factor {
  int number = 1;
  short times[2]{-1, -1};  // axes whose extents multiply it
  constexpr bool operator==(const Factor&) const = default;
};

struct Term {
  static constexpr short no_axis = -2;  // of a constant multiple of runtime extents: the second half of a dimension begins there
  short axis = -1;
  Factor factor;
  constexpr bool operator==(const Term&) const = default;
};

struct IndexForm {
  static constexpr int capacity = 4;
  Term term[capacity]{};
  short summands = 0;
  int constant = 0;

  static constexpr IndexForm of(int axis) {
    IndexForm f;
    f.add(static_cast<short>(axis), Factor{});
    return f;
  }
  constexpr bool operator==(const IndexForm& other) const {
    if (summands != other.summands || constant != other.constant) return false;
    for (int i = 0; i < summands; ++i)
      if (!(term[i] == other.term[i])) return false;
    return true;
  }
  constexpr void add(short axis, Factor factor) {
    if (axis == Term::no_axis && factor.times[0] < 0) {
      constant += factor.number;
      return;
    }
    for (int i = 0; i < summands; ++i)
      if (term[i].axis == axis && term[i].factor.times[0] == factor.times[0] && term[i].factor.times[1] == factor.times[1]) {
        term[i].factor.number += factor.number;
        return;
      }
    term[summands++] = {axis, factor};
  }
  constexpr Mask axes() const {
    Mask m = 0;
    for (int i = 0; i < summands; ++i)
      if (term[i].axis != Term::no_axis) m |= bit(term[i].axis);
    return m;
  }
  // the factor of an axis, 0 where it does not occur; a runtime factor counts as -1
  constexpr int factor_of(int axis) const {
    for (int i = 0; i < summands; ++i)
      if (term[i].axis == axis) return term[i].factor.times[0] >= 0 ? -1 : term[i].factor.number;
    return 0;
  }
  constexpr bool is_axis(int axis) const { return summands == 1 && constant == 0 && term[0].axis == axis && term[0].factor == Factor{}; }
};

constexpr Factor operator*(Factor a, const Factor& b) {
  a.number *= b.number;
  for (int i = 0; i < 2; ++i)
    if (b.times[i] >= 0) a.times[a.times[0] >= 0 ? 1 : 0] = b.times[i];
  return a;
}
// the form with one axis replaced by another form
constexpr IndexForm substitute(const IndexForm& f, int axis, const IndexForm& by) {
  IndexForm r;
  r.constant = f.constant;
  for (int i = 0; i < f.summands; ++i) {
    if (f.term[i].axis != axis) {
      r.add(f.term[i].axis, f.term[i].factor);
      continue;
    }
    if (by.constant != 0) r.add(Term::no_axis, f.term[i].factor * Factor{by.constant, {-1, -1}});
    for (int j = 0; j < by.summands; ++j) r.add(by.term[j].axis, f.term[i].factor * by.term[j].factor);
  }
  return r;
}
constexpr IndexForm constant_form(int c) {
  IndexForm f;
  f.constant = c;
  return f;
}

}  // namespace weft
