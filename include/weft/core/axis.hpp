// axis: a dimension has a name and an extent, and both are part of its type. An extent may be known only when the program runs.
#pragma once
#include <weft/core/name.hpp>

namespace weft {

inline constexpr long runtime = -1;  // not "dynamic" or "any": the latter is nvcc's own

// Axis<"token"> is an alias, so that errors print the characters and no class-type argument remains
template <class Characters, long e, bool is_tile> struct AxisOf {
  static constexpr Name name{Characters::text};
  static constexpr const char* text = Characters::text;
  static constexpr long extent = e;
  static constexpr bool tile = is_tile;
};
template <Name name, long extent = runtime> using Axis = AxisOf<chars<name>, extent, false>;

// A Tile is an axis whose extent belongs to the composition, the same in the static and the runtime form of a model (head_dim, the pairs of
// a rotation, the experts of a router). Only a Tile may decide what is fused, so both forms of a model have the same plan.
template <Name name, long extent> using Tile = AxisOf<chars<name>, extent, true>;

template <class... Ax> struct Axes {};  // several axes that a checkpoint stores as one dimension

struct AxisRecord {
  const char* name = nullptr;
  long extent = 0;
  bool tile = false;
  constexpr bool operator==(const AxisRecord& other) const { return name == other.name && extent == other.extent; }
};
template <class Ax> inline constexpr AxisRecord axis_record = {Ax::text, Ax::extent, Ax::tile};

// the axes of an expression, as a value
struct AxisSet {
  static constexpr int capacity = 10;
  AxisRecord axis[capacity]{};
  int count = 0;

  constexpr int find(const AxisRecord& wanted) const {
    for (int i = 0; i < count; ++i)
      if (axis[i] == wanted) return i;
    return -1;
  }
  constexpr int find_name(const AxisRecord& wanted) const {
    for (int i = 0; i < count; ++i)
      if (axis[i].name == wanted.name) return i;
    return -1;
  }
  constexpr void add(const AxisRecord& a) {
    if (find(a) < 0) axis[count++] = a;
  }
  constexpr void remove(const AxisRecord& a) {
    int kept = 0;
    for (int i = 0; i < count; ++i)
      if (!(axis[i] == a)) axis[kept++] = axis[i];
    count = kept;
  }
};
constexpr AxisSet operator|(AxisSet a, const AxisSet& b) {
  for (int i = 0; i < b.count; ++i) a.add(b.axis[i]);
  return a;
}
constexpr AxisSet operator-(AxisSet a, const AxisSet& b) {
  for (int i = 0; i < b.count; ++i) a.remove(b.axis[i]);
  return a;
}

// the axes of Ax..., each an axis or an Axes<...>
template <class Ax> struct axis_set_of {
  static constexpr AxisSet value = [] {
    AxisSet s;
    s.add(axis_record<Ax>);
    return s;
  }();
};
template <class... Ax> struct axis_set_of<Axes<Ax...>> {
  static constexpr AxisSet value = [] {
    AxisSet s;
    (s.add(axis_record<Ax>), ...);
    return s;
  }();
};
template <class... Ax> constexpr AxisSet axis_set() {
  AxisSet s;
  ((s = s | axis_set_of<Ax>::value), ...);
  return s;
}

// the extent of a dimension of a checkpoint: of an axis, or the product of several
template <class Ax> struct dimension_of {
  static constexpr long extent = Ax::extent;
  static constexpr int rank = 1;
};
template <class... Ax> struct dimension_of<Axes<Ax...>> {
  static constexpr long extent = ((Ax::extent == runtime) || ...) ? runtime : (Ax::extent * ... * 1L);
  static constexpr int rank = sizeof...(Ax);
};

}  // namespace weft
