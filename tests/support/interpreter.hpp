// interpreter: runs a program straight from its records, in double precision, without plan or kernels: the oracle of planner and executors.
// Every expression becomes an array over its own axes. Simple and slow: meant for extents of a few dozen.
#pragma once
#include <weft/core/quantize.hpp>
#include <weft/plan/binding.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

namespace weft {

// the functors of a program as plain functions, by the record that Record::functor names
template <class P> class Functors {
 public:
  using Function = double (*)(double, double, double);
  static Function find(short record) { return find(record, std::make_integer_sequence<int, used.count>{}); }

 private:
  static constexpr auto& table = Compiled<P>::table;
  struct List {
    short record[Compiled<P>::table.count + 1]{};
    int count = 0;
  };
  static constexpr List used = [] {
    List l;
    for (int r = 0; r < Compiled<P>::table.count; ++r)
      if (Compiled<P>::table.record[r].kind == NodeKind::map && Compiled<P>::table.record[r].functor == r)
        l.record[l.count++] = static_cast<short>(r);
    return l;
  }();
  template <int record> static double apply(double a, double b, double c) {
    using Op = functor_at<P, record>;
    if constexpr (Compiled<P>::table.record[record].operands == 1)
      return Op::apply(a);
    else if constexpr (Compiled<P>::table.record[record].operands == 2)
      return Op::apply(a, b);
    else
      return Op::apply(a, b, c);
  }
  template <int... i> static Function find([[maybe_unused]] short record, std::integer_sequence<int, i...>) {
    Function f = nullptr;
    ((used.record[i] == record ? void(f = &apply<used.record[i]>) : void()), ...);
    return f;
  }
};

inline double rounded_to(DType t, double x) {  // f32 stays double: an oracle is more exact than what it judges
  if (t == DType::bf16) return static_cast<double>(to_float(to_bf16(static_cast<float>(x))));
  if (t == DType::f16) return static_cast<double>(to_float(to_f16(static_cast<float>(x))));
  if (t == DType::i32) return static_cast<double>(static_cast<std::int32_t>(x));
  return x;
}
inline double element(const void* data, DType t, long i) {
  if (is_block(t)) {
    const long size = block_elements(t);
    float block[256];
    dequantize_row(t, static_cast<const std::byte*>(data) + bytes_for(t, i / size * size), size, block);
    return static_cast<double>(block[i % size]);
  }
  if (t == DType::f32) return static_cast<double>(static_cast<const float*>(data)[i]);
  if (t == DType::i32) return static_cast<double>(static_cast<const std::int32_t*>(data)[i]);
  if (t == DType::bf16) return static_cast<double>(to_float(static_cast<const bf16*>(data)[i]));
  return static_cast<double>(to_float(static_cast<const f16*>(data)[i]));
}

// where the n-th largest of some values is, of equal ones the first; -1 where one is NaN
inline double selected(const std::vector<double>& values, long n) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) return -1;
    order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  return static_cast<double>(order[static_cast<std::size_t>(n)]);
}

// calls body(index) for every combination of indices of some axes, the last axis fastest
template <class Body> void for_each_index(const std::vector<int>& axes, const long* extent, long* index, Body body, std::size_t depth = 0) {
  if (depth == axes.size()) {
    body();
    return;
  }
  for (index[axes[depth]] = 0; index[axes[depth]] < extent[axes[depth]]; ++index[axes[depth]])
    for_each_index(axes, extent, index, body, depth + 1);
}

// the value of an element once the 32 neighbours of its block, along some axes, are rounded to whole multiples of their largest / 127; index
// stands at the element
template <class Value> double quantised(const std::vector<int>& along, const long* extent, long* index, Value value) {
  long place = 0;
  for (const int a : along) place = place * extent[a] + index[a];
  std::vector<long> here;
  for (const int a : along) here.push_back(index[a]);
  const float own = static_cast<float>(value());
  float largest = 0;
  for (long i = place / 32 * 32; i < place / 32 * 32 + 32; ++i) {
    long rest = i;
    for (std::size_t k = along.size(); k-- > 0; rest /= extent[along[k]]) index[along[k]] = rest % extent[along[k]];
    largest = std::max(largest, std::abs(static_cast<float>(value())));
  }
  for (std::size_t k = 0; k < along.size(); ++k) index[along[k]] = here[k];
  return largest < 0x1p-100f ? 0. : static_cast<double>(largest / 127.f) * static_cast<double>(std::nearbyint(own * (127.f / largest)));
}

// the elements of a leaf as bound, dense and row-major in the leaf's own axis order
template <class P> std::vector<double> read_leaf(const Binding<P>& binding, int leaf) {
  const LeafRecord& l = Compiled<P>::table.leaf[leaf];
  std::vector<double> values;
  long index[max_axes]{};
  for_each_index({l.axis, l.axis + l.axes}, binding.extent, index, [&] {
    long offset = 0;
    for (int d = 0; d < l.axes; ++d) offset += index[l.axis[d]] * binding.view[leaf].stride[d];
    values.push_back(element(binding.view[leaf].data, binding.view[leaf].format, offset));
  });
  return values;
}

template <class P> struct Interpreter {
  static constexpr auto& table = Compiled<P>::table;
  std::vector<std::vector<double>> leaf;  // dense, row-major in each leaf's own axis order; run() overwrites what the program stores to

  // reads all leaves that are bound; the extents of the leaves' axes must be set
  explicit Interpreter(const Binding<P>& binding)
      : leaf(static_cast<std::size_t>(table.leaves)), after_(static_cast<std::size_t>(table.statements)) {
    for (int a = 0; a < table.axes; ++a) extent_[a] = binding.extent[a];
    infer_extents();
    for (int l = 0; l < table.leaves; ++l) {
      if (binding.view[l].data)
        leaf[static_cast<std::size_t>(l)] = read_leaf(binding, l);
      else
        leaf[static_cast<std::size_t>(l)].assign(static_cast<std::size_t>(size_of(axes_of_leaf(l))), 0.);
    }
  }

  void run() {
    for (int q = 0; q < table.statements; ++q) {
      store(table.statement[q]);
      after_[static_cast<std::size_t>(q)] = leaf[static_cast<std::size_t>(table.record[table.statement[q].target].number)];
      value_.clear();
    }
  }
  long extent(int axis) const { return extent_[axis]; }  // of an axis of the table, also of those that no leaf has

 private:
  using AxisList = std::vector<int>;
  struct Value {  // an array over axes, row-major
    AxisList axes;
    std::vector<double> data;
  };
  long extent_[max_axes]{};
  std::map<int, Value> value_;              // of each record, until a statement stores
  std::vector<std::vector<double>> after_;  // the target of each statement, right after it

  long size_of(const AxisList& axes) const {
    long n = 1;
    for (const int a : axes) n *= extent_[a];
    return n;
  }
  static AxisList axes_of_leaf(int l) { return {table.leaf[l].axis, table.leaf[l].axis + table.leaf[l].axes}; }
  static AxisList axes_in(const Record& r) { return {r.axis, r.axis + r.axes}; }
  std::size_t offset(const AxisList& axes, const long* index) const {
    long n = 0;
    for (const int a : axes) n = n * extent_[a] + index[a];
    return static_cast<std::size_t>(n);
  }

  // extents of axes that no leaf has: a split or merged axis is the product of its parts, a renamed one is as long as its origin
  void infer_extents() {
    for (int pass = 0; pass < table.axes; ++pass)
      for (int i = 0; i < table.count; ++i) {
        const Record& r = table.record[i];
        if (r.kind == NodeKind::split || r.kind == NodeKind::merge) {
          long &whole = extent_[r.axis[0]], &outer = extent_[r.axis[1]], &inner = extent_[r.axis[2]];
          if (whole == runtime && outer != runtime && inner != runtime) whole = outer * inner;
          if (outer == runtime && whole != runtime && inner != runtime) outer = whole / inner;
          if (inner == runtime && whole != runtime && outer != runtime) inner = whole / outer;
        }
        if (r.kind == NodeKind::rename) {
          if (extent_[r.axis[0]] == runtime) extent_[r.axis[0]] = extent_[r.axis[1]];
          if (extent_[r.axis[1]] == runtime) extent_[r.axis[1]] = extent_[r.axis[0]];
        }
      }
    for (int a = 0; a < table.axes; ++a)
      if (extent_[a] == runtime) throw Error(std::string("axis ") + table.axis[a].name + ": its extent was not set");
  }

  void store(const Statement& s) {
    const Record& target = table.record[s.target];
    const Value& value = evaluate(s.value);
    AxisList axes;
    for (int d = 0; d < target.axes; ++d)
      if (target.axis[d] != s.index_axis) axes.push_back(target.axis[d]);
    if (s.index >= 0)
      for (const int a : evaluate(s.index).axes)
        if (std::find(axes.begin(), axes.end(), a) == axes.end()) axes.push_back(a);
    std::vector<double> result = leaf[static_cast<std::size_t>(target.number)];
    long index[max_axes]{};
    for_each_index(axes, extent_, index, [&] {
      const double x = value.data[offset(value.axes, index)];
      if (s.index >= 0) index[s.index_axis] = checked(static_cast<long>(at(s.index, index)), s.index_axis);
      double& place = result[offset(axes_in(target), index)];
      place = rounded_to(target.dtype, s.adds ? place + x : x);
    });
    if (is_block(target.dtype)) {  // blocks that are not stored to stay what they are
      std::vector<float> row(result.begin(), result.end());
      std::vector<std::byte> blocks(static_cast<std::size_t>(bytes_for(target.dtype, static_cast<long>(row.size()))));
      quantize_row(row.data(), static_cast<long>(row.size()), target.dtype, blocks.data());
      dequantize_row(target.dtype, blocks.data(), static_cast<long>(row.size()), row.data());
      result.assign(row.begin(), row.end());
    }
    leaf[static_cast<std::size_t>(target.number)] = std::move(result);
  }
  long checked(long i, int axis) const {
    if (i < 0 || i >= extent_[axis])
      throw Error("index " + std::to_string(i) + " along axis " + table.axis[axis].name + " of extent " + std::to_string(extent_[axis]));
    return i;
  }

  // ---- expressions
  double at(int record, const long* index) {
    const Value& v = evaluate(record);
    return v.data[offset(v.axes, index)];
  }
  const Value& evaluate(int record) {
    if (const auto known = value_.find(record); known != value_.end()) return known->second;
    const Record& r = table.record[record];
    Value v;
    v.axes = free_axes(r);
    if (r.kind == NodeKind::leaf) {
      v.data = leaf[static_cast<std::size_t>(r.number)];
    } else if (r.kind == NodeKind::update) {
      v.data = after_[static_cast<std::size_t>(r.number)];
    } else {
      long index[max_axes]{};
      for_each_index(v.axes, extent_, index, [&] { v.data.push_back(compute(r, index)); });
    }
    return value_[record] = std::move(v);
  }
  AxisList free_axes(const Record& r) {
    AxisList axes;
    auto add = [&](int a) {
      if (std::find(axes.begin(), axes.end(), a) == axes.end()) axes.push_back(a);
    };
    auto remove = [&](int a) { axes.erase(std::remove(axes.begin(), axes.end(), a), axes.end()); };
    if (r.kind == NodeKind::leaf || r.kind == NodeKind::position) return axes_in(r);
    if (r.kind == NodeKind::update) return axes_in(table.record[r.operand[2]]);
    if (r.kind == NodeKind::extent) return {};
    for (int k = 0; k < r.operands; ++k) {
      for (const int a : evaluate(r.operand[k]).axes) add(a);
      if (r.kind == NodeKind::gather && k == 0) remove(r.axis[0]);
    }
    switch (r.kind) {
      case NodeKind::reduce:
      case NodeKind::contract:
      case NodeKind::select:
        for (int d = 0; d < r.axes; ++d) remove(r.axis[d]);
        break;
      case NodeKind::stack: add(r.axis[0]); break;
      case NodeKind::top_k:
        remove(r.axis[0]);
        add(r.axis[1]);
        break;
      case NodeKind::split:
        remove(r.axis[0]);
        add(r.axis[1]);
        add(r.axis[2]);
        break;
      case NodeKind::merge:
        remove(r.axis[1]);
        remove(r.axis[2]);
        add(r.axis[0]);
        break;
      case NodeKind::rename:
        remove(r.axis[0]);
        add(r.axis[1]);
        break;
      default: break;
    }
    return axes;
  }
  double compute(const Record& r, const long* outer) {
    long index[max_axes];
    std::copy(outer, outer + max_axes, index);
    switch (r.kind) {
      case NodeKind::constant: return std::bit_cast<double>(r.bits);
      case NodeKind::position: return static_cast<double>(index[r.axis[0]]);
      case NodeKind::extent: return static_cast<double>(extent_[r.axis[0]]);
      case NodeKind::map: {
        double x[max_operands]{};
        for (int k = 0; k < r.operands; ++k) x[k] = at(r.operand[k], index);
        return Functors<P>::find(r.functor)(x[0], x[1], x[2]);
      }
      case NodeKind::cast:
        if (is_block(r.dtype)) return quantised(axes_in(r), extent_, index, [&] { return at(r.operand[0], index); });
        return rounded_to(r.dtype, at(r.operand[0], index));
      case NodeKind::reduce: {
        double total = r.monoid == Monoid::sum ? 0. : -std::numeric_limits<double>::infinity();
        for_each_index(axes_in(r), extent_, index, [&] {
          const double x = at(r.operand[0], index);
          total = r.monoid == Monoid::sum ? total + x : math::max(total, x);
        });
        return total;
      }
      case NodeKind::contract: {
        double total = 0.;
        for_each_index(axes_in(r), extent_, index, [&] { total += at(r.operand[0], index) * at(r.operand[1], index); });
        return total;
      }
      case NodeKind::top_k: {
        std::vector<double> values;
        for_each_index({r.axis[0]}, extent_, index, [&] { values.push_back(at(r.operand[0], index)); });
        return selected(values, index[r.axis[1]]);
      }
      case NodeKind::gather: index[r.axis[0]] = checked(static_cast<long>(at(r.operand[1], index)), r.axis[0]); break;
      case NodeKind::select: index[r.axis[0]] = r.number; break;
      case NodeKind::stack: return at(r.operand[index[r.axis[0]]], index);
      case NodeKind::split: index[r.axis[0]] = index[r.axis[1]] * extent_[r.axis[2]] + index[r.axis[2]]; break;
      case NodeKind::merge:
        index[r.axis[1]] = index[r.axis[0]] / extent_[r.axis[2]];
        index[r.axis[2]] = index[r.axis[0]] % extent_[r.axis[2]];
        break;
      case NodeKind::rename: index[r.axis[0]] = index[r.axis[1]]; break;
      default:  // the use of a module: its body
        break;
    }
    return at(r.operand[0], index);
  }
};

// runs a program and gives its leaves as they are afterwards
template <class P> std::vector<std::vector<double>> interpret(const Binding<P>& binding) {
  Interpreter<P> i(binding);
  i.run();
  return std::move(i.leaf);
}

}  // namespace weft
