// reflect: reads the type of a program into a table of records, one `fill` per kind of node. Equal types are met once, so this is linear in the
// graph, not in the tree.
#pragma once
#include <weft/plan/record.hpp>

namespace weft {

template <class Table, class E> constexpr short reflect(Table& t, E, int parent, int child);

template <class Table, class... E> constexpr void reflect_operands(Table& t, Record& r, int me) {
  ((r.operand[r.operands] = reflect(t, E{}, me, r.operands), ++r.operands), ...);
}
template <class Table, class... Ax> constexpr void put_axes(Table& t, Record& r, Axes<Ax...>) {
  ((r.axis[r.axes++] = t.axis_number(axis_record<Ax>)), ...);
}
template <class Table, class Ax> constexpr void put_axes(Table& t, Record& r, Ax) { r.axis[r.axes++] = t.axis_number(axis_record<Ax>); }

// ---- names of modules, from the compiler
template <class M> constexpr const char* pretty_name() { return __PRETTY_FUNCTION__; }
template <class M> struct ModuleName {  // "... [with M = weft::Linear<...>]" or "... [M = weft::Linear<...>]": the word before '<'
  static constexpr Name value = [] {
    const char* text = pretty_name<M>();
    int begin = 0;
    while (!(text[begin] == 'M' && text[begin + 1] == ' ' && text[begin + 2] == '=')) ++begin;
    begin += 4;
    int end = begin;
    while (text[end] && text[end] != '<' && text[end] != ']' && text[end] != ';') ++end;
    for (int i = begin; i < end; ++i)
      if (text[i] == ':') begin = i + 1;
    Name n;
    for (int i = begin; i < end && i - begin < Name::capacity - 1; ++i) n.text[i - begin] = text[i];
    return n;
  }();
};

// ---- one fill per node
template <class Table, class... Dim> constexpr LeafRecord declared(Table& t, Role role, const Name& path, DType dtype) {
  LeafRecord l;
  l.role = role;
  l.path = path;
  l.dtype = dtype;
  ((l.extent[l.rank] = dimension_of<Dim>::extent, l.axes_in[l.rank++] = dimension_of<Dim>::rank), ...);
  Record axes;
  (put_axes(t, axes, Dim{}), ...);
  for (int i = 0; i < axes.axes; ++i) l.axis[i] = axes.axis[i];
  l.axes = axes.axes;
  return l;
}
constexpr bool same_shape(const LeafRecord& a, const LeafRecord& b) {
  if (a.rank != b.rank || a.axes != b.axes) return false;
  for (int d = 0; d < a.rank; ++d)
    if (a.extent[d] != b.extent[d] || a.axes_in[d] != b.axes_in[d]) return false;
  return true;
}
template <class Table, Role role, class Path, class T, class... Dim>
constexpr void fill(Table& t, Record& r, int, Leaf<role, Path, T, Dim...>) {
  const CallRecord& here = t.call[t.inside];
  const bool owned = role == Role::parameter || role == Role::state;
  DType dtype = here.formats.vector;
  if constexpr (std::is_same_v<T, Activation>)
    dtype = here.formats.activation;
  else if constexpr (!std::is_void_v<T> && !std::is_same_v<T, VectorFormat>)
    dtype = dtype_of<T>;
  else if constexpr (role == Role::state)
    dtype = here.formats.cache;
  else if constexpr (sizeof...(Dim) > 1 && !std::is_same_v<T, VectorFormat>)
    dtype = here.formats.matrix;
  const LeafRecord l = declared<Table, Dim...>(t, role, owned ? here.path / Name(Path::text) : Name(Path::text), dtype);
  r.kind = NodeKind::leaf;
  r.dtype = dtype;
  (put_axes(t, r, Dim{}), ...);
  for (int i = 0; i < t.leaves; ++i)
    if (t.leaf[i].path == l.path) {
      r.number = static_cast<short>(same_shape(t.leaf[i], l) ? i : -1 - i);  // negative: one path, two shapes; refused by the planner
      return;
    }
  r.number = static_cast<short>(t.leaves);
  t.leaf[t.leaves++] = l;
}
template <class Table, std::uint64_t bits> constexpr void fill(Table&, Record& r, int, Const<bits>) {
  r.kind = NodeKind::constant;
  r.bits = bits;
}
template <class Table, class Ax> constexpr void fill(Table& t, Record& r, int, Position<Ax>) {
  r.kind = NodeKind::position;
  put_axes(t, r, Ax{});
}
template <class Table, class Ax> constexpr void fill(Table& t, Record& r, int, Extent<Ax>) {
  r.kind = NodeKind::extent;
  put_axes(t, r, Ax{});
}
template <class Table, class Op, class... E> constexpr void fill(Table& t, Record& r, int me, Map<Op, E...>) {
  r.kind = NodeKind::map;
  r.algebra = Op::algebra;
  reflect_operands<Table, E...>(t, r, me);
  t.functor_identity[me] = &tag<Op>;
  for (int i = 0; i < t.count; ++i)
    if (t.functor_identity[i] == &tag<Op>) {
      r.functor = static_cast<short>(i);
      break;
    }
}
template <class Table, Monoid monoid, class Ax, class E> constexpr void fill(Table& t, Record& r, int me, Reduce<monoid, Ax, E>) {
  r.kind = NodeKind::reduce;
  r.monoid = monoid;
  put_axes(t, r, Ax{});
  reflect_operands<Table, E>(t, r, me);
}
template <class Table, class Ax, class A, class B> constexpr void fill(Table& t, Record& r, int me, Contract<Ax, A, B>) {
  r.kind = NodeKind::contract;
  put_axes(t, r, Ax{});
  reflect_operands<Table, A, B>(t, r, me);
}
template <class Table, class T, class E> constexpr void fill(Table& t, Record& r, int me, Cast<T, E>) {
  r.kind = NodeKind::cast;
  if constexpr (std::is_same_v<T, Activation>)
    r.dtype = t.call[t.inside].formats.activation;
  else
    r.dtype = dtype_of<T>;
  reflect_operands<Table, E>(t, r, me);
}
template <class Table, class T, class Ax, class E> constexpr void fill(Table& t, Record& r, int me, CastAlong<T, Ax, E>) {
  r.kind = NodeKind::cast;
  if constexpr (std::is_same_v<T, Multiplicand>)
    r.dtype = t.call[t.inside].formats.multiplicand;
  else
    r.dtype = dtype_of<T>;
  if (is_block(r.dtype)) put_axes(t, r, Ax{});
  reflect_operands<Table, E>(t, r, me);
}
template <class Table, class Ax, int index, class E> constexpr void fill(Table& t, Record& r, int me, Select<Ax, index, E>) {
  r.kind = NodeKind::select;
  r.number = index;
  put_axes(t, r, Ax{});
  reflect_operands<Table, E>(t, r, me);
}
template <class Table, class Ax, class... E> constexpr void fill(Table& t, Record& r, int me, Stack<Ax, E...>) {
  r.kind = NodeKind::stack;
  put_axes(t, r, Ax{});
  reflect_operands<Table, E...>(t, r, me);
}
template <class Table, class Whole, class Outer, class Inner, class E>
constexpr void fill(Table& t, Record& r, int me, Split<Whole, Outer, Inner, E>) {
  r.kind = NodeKind::split;
  put_axes(t, r, Axes<Whole, Outer, Inner>{});
  reflect_operands<Table, E>(t, r, me);
}
template <class Table, class Outer, class Inner, class Whole, class E>
constexpr void fill(Table& t, Record& r, int me, Merge<Outer, Inner, Whole, E>) {
  r.kind = NodeKind::merge;
  put_axes(t, r, Axes<Whole, Outer, Inner>{});
  reflect_operands<Table, E>(t, r, me);
}
template <class Table, class From, class To, class E> constexpr void fill(Table& t, Record& r, int me, Rename<From, To, E>) {
  r.kind = NodeKind::rename;
  put_axes(t, r, Axes<From, To>{});
  reflect_operands<Table, E>(t, r, me);
}
template <class Table, class Ax, class E, class Index> constexpr void fill(Table& t, Record& r, int me, Gather<Ax, E, Index>) {
  r.kind = NodeKind::gather;
  put_axes(t, r, Ax{});
  reflect_operands<Table, E, Index>(t, r, me);
}
template <class Table, class Ax, class Which, class E> constexpr void fill(Table& t, Record& r, int me, TopK<Ax, Which, E>) {
  r.kind = NodeKind::top_k;
  put_axes(t, r, Axes<Ax, Which>{});
  reflect_operands<Table, E>(t, r, me);
}
template <class Table, class Ax, class Target, class Index, class E>
constexpr void fill(Table& t, Record& r, int me, Update<Ax, Target, Index, E>) {
  r.kind = NodeKind::update;
  reflect_operands<Table, E, Index, Target>(t, r, me);
  r.number = static_cast<short>(t.statements);
  t.statement[t.statements++] = {r.operand[2], r.operand[0], t.axis_number(axis_record<Ax>), r.operand[1]};
}
template <class Table, class M, class... X> constexpr void fill(Table& t, Record& r, int me, Call<M, X...>) {
  r.kind = NodeKind::call;
  r.operands = 1;
  CallRecord c = t.call[t.inside];
  c.outer = t.inside;
  c.module = ModuleName<M>::value.text;
  if constexpr (requires { M::own_name; }) c.path = c.path / M::own_name;
  if constexpr (requires { M::storage::formats; }) c.formats = M::storage::formats;
  int i = 0;
  ((c.operand[i] = reflect(t, X{}, me, i + 1), ++i), ...);  // operands belong to the caller
  t.call[t.calls] = c;
  t.inside = static_cast<short>(t.calls++);
  r.operand[0] = reflect(t, typename Call<M, X...>::body{}, me, 0);
  t.inside = c.outer;
}

template <class E> inline constexpr int operand_number = -1;
template <int n, Kind k, class... Ax> inline constexpr int operand_number<Operand<n, k, Ax...>> = n;

template <class Table, class E> constexpr short reflect(Table& t, E e, int parent, int child) {
  if constexpr (operand_number<E> >= 0) {
    return t.call[t.inside].operand[operand_number<E>];
  } else {
    if (const int i = t.find(&tag<E>); i >= 0) return static_cast<short>(i);
    const int me = t.count++;
    t.identity[me] = &tag<E>;
    t.frame[me] = t.inside;
    Record r;
    r.parent = static_cast<short>(parent);
    r.child = static_cast<short>(child);
    r.call = t.inside;
    fill(t, r, me, e);
    t.record[me] = r;
    return static_cast<short>(me);
  }
}

// ---- statements; the roots of statement q have the parents -1-4q (target), -2-4q (value), -3-4q (index)
template <class Table, class Target, class E> constexpr void reflect_statement(Table& t, Assign<Target, E>) {
  const int q = t.roots++;
  Statement s;
  s.target = reflect(t, Target{}, -1 - 4 * q, 0);
  s.value = reflect(t, E{}, -2 - 4 * q, 0);
  t.statement[t.statements++] = s;  // the updates inside E come first
}
template <class Table, class Target, class Ax, class Index, class E>
constexpr void reflect_indexed(Table& t, At<Target, Ax, Index>, E, bool adds) {
  const int q = t.roots++;
  Statement s;
  s.target = reflect(t, Target{}, -1 - 4 * q, 0);
  s.value = reflect(t, E{}, -2 - 4 * q, 0);
  s.index_axis = t.axis_number(axis_record<Ax>);
  s.index = reflect(t, Index{}, -3 - 4 * q, 0);
  s.adds = adds;
  t.statement[t.statements++] = s;
}
template <class Table, class Target, class Ax, class Index, class E>
constexpr void reflect_statement(Table& t, Assign<At<Target, Ax, Index>, E>) {
  reflect_indexed(t, At<Target, Ax, Index>{}, E{}, false);
}
template <class Table, class Target, class E> constexpr void reflect_statement(Table& t, AddTo<Target, E>) {
  reflect_indexed(t, Target{}, E{}, true);
}
template <class Table, class... A> constexpr void reflect_statements(Table& t, Program<A...>) { (reflect_statement(t, A{}), ...); }

// P: a program, or a class derived from one that may say where it stands in a model (place) and how its values are stored (storage)
template <int capacity, class P> constexpr auto reflect_program(P p) {
  RecordTable<capacity> t;
  if constexpr (requires { P::place; }) t.call[0].path = P::place;
  if constexpr (requires { P::storage::formats; }) t.call[0].formats = P::storage::formats;
  reflect_statements(t, p);
  return t;
}

}  // namespace weft
