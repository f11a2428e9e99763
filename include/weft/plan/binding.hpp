// binding: the memory and the extents that a program runs with. Flat and trivially copyable: it is also what a kernel is given.
#pragma once
#include <weft/core/error.hpp>
#include <weft/core/panels.hpp>
#include <weft/plan/plan_errors.hpp>

#include <string>

namespace weft {

struct View {  // what a kernel sees of a tensor: strides in elements
  void* data = nullptr;
  long stride[max_rank]{};
  DType format{};      // as its leaf says; of a leaf of any_block: one of the block formats
  long panel_row = 0;  // the elements of a row where rows lie in panels (core/panels.hpp), else 0
  // Where a tensor that is only gathered from lies in pieces: for each index along its first dimension, where that part begins; else nullptr. `data`
  // and the stride of that dimension have no meaning then.
  void* const* parts = nullptr;

  // where the part at an index along a dimension begins
  void* part(int dimension, long index) const {
    return parts ? parts[index] : static_cast<std::byte*>(data) + bytes_for(format, index * stride[dimension]);
  }
};

template <class P> struct Binding {
  static constexpr int leaves = Compiled<P>::table.leaves;
  static constexpr int views = leaves + Compiled<P>::plan.temporaries;
  static constexpr int axes = Compiled<P>::plan.axes;
  View view[views ? views : 1];
  long extent[axes ? axes : 1];

  Binding() {
    check_plan<P>();
    for (int a = 0; a < axes; ++a) extent[a] = Compiled<P>::plan.axis[a].record.extent;
    for (int l = 0; l < leaves; ++l) view[l].format = Compiled<P>::table.leaf[l].dtype;
    for (int t = leaves; t < views; ++t) view[t].format = Compiled<P>::plan.temporary[t - leaves].dtype;
  }
};

// the numbers of leaves and axes of a program, for the code that binds them
template <class P> constexpr int leaf_number(const char* path) {
  for (int i = 0; i < Compiled<P>::table.leaves; ++i)
    if (same_text(path, Compiled<P>::table.leaf[i].path.text)) return i;
  return -1;
}

// sets the extent of an axis by its number in Compiled<P>::table; throws Error where it contradicts the type or an earlier binding
template <class P> void set_extent(Binding<P>& b, int axis, long extent, const char* operand) {
  const PlanAxis& a = Compiled<P>::plan.axis[axis];
  const long known = b.extent[axis];
  if (extent < 0 || (known != runtime && known != extent))
    throw Error(std::string("operand ") + operand + ": axis " + a.record.name + " is " + std::to_string(extent) + ", expected " +
                std::to_string(known));
  for (int i = 0; i < Binding<P>::axes; ++i)  // axes renamed apart have the extent of their origin
    if (Compiled<P>::plan.axis[i].origin == axis) b.extent[i] = extent;
}
// the same, whatever it was before: for axes that change from call to call (tokens, keys)
template <class P> void change_extent(Binding<P>& b, const char* name, long extent) {
  for (int i = 0; i < Binding<P>::axes; ++i) {
    const PlanAxis& a = Compiled<P>::plan.axis[i];
    if (a.record.extent == runtime && same_text(name, a.record.name)) b.extent[i] = extent;
  }
}
// How the rows of a tensor in blocks lie in memory: one after the other, or in panels of 16 (core/panels.hpp).
enum class RowLayout : std::uint8_t { plain, panels };

// is a leaf only ever read at an index along its first dimension?
template <class P> constexpr bool only_gathers_from(int leaf) {
  constexpr auto& plan = Compiled<P>::plan;
  bool gathers = !stores_to<P>(leaf);
  for (int n = 0; n < plan.nodes; ++n)
    gathers = gathers && (plan.node[n].leaf != leaf || (plan.node[n].kind == NodeKind::gather && plan.node[n].dimension == 0));
  return gathers;
}

// Binds a leaf to dense row-major memory; the extents of its axes must be set. Throws Error where the last dimension is no whole number of
// blocks, where the format of a leaf of any_block is none of the block formats, and where rows are said to lie in panels that cannot.
template <class P> void bind_dense(Binding<P>& b, int leaf, void* data, DType format, RowLayout layout = RowLayout::plain) {
  const LeafRecord& l = Compiled<P>::table.leaf[leaf];
  const auto refuse = [&](const std::string& problem) { throw Error(std::string("operand ") + l.path.text + ": " + problem); };
  if (l.dtype == DType::any_block ? !is_block(format) || format == DType::any_block : format != l.dtype)
    refuse(std::string("expected ") + name_of(l.dtype) + ", found " + name_of(format));
  long row = 1, rows = 1;
  for (int d = 0, a = 0; d < l.rank; ++d)
    for (int i = 0; i < l.axes_in[d]; ++i, ++a) (d + 1 == l.rank ? row : rows) *= b.extent[l.axis[a]];
  if (is_block(format) && row % block_elements(format) != 0)
    refuse("its rows have " + std::to_string(row) + " elements; " + name_of(format) + " stores blocks of " +
           std::to_string(block_elements(format)));
  if (layout == RowLayout::panels) {
    if (!is_block(format)) refuse(std::string("panels are for formats in blocks, found ") + name_of(format));
    if (only_gathers_from<P>(leaf) && l.rank > 2) rows /= b.extent[l.axis[0]] > 0 ? b.extent[l.axis[0]] : 1;  // of each part
    if (rows % panel_rows != 0) refuse("panels have " + std::to_string(panel_rows) + " rows each, found " + std::to_string(rows) + " rows");
    if (stores_to<P>(leaf)) refuse("the program stores to it, and can only read panels");
  }
  b.view[leaf].data = data;
  b.view[leaf].parts = nullptr;
  b.view[leaf].format = format;
  b.view[leaf].panel_row = layout == RowLayout::panels ? row : 0;
  long step = 1;
  for (int d = l.axes; d-- > 0;) {
    b.view[leaf].stride[d] = step;
    step *= b.extent[l.axis[d]];
  }
}
// Binds a leaf of which the part at each index along its first dimension is dense row-major memory of its own (checkpoints that store what a
// program gathers from as many tensors). The table of pointers must stay where it is as long as the binding is used. Throws Error where the program
// reads the leaf in another way, where a pointer is missing, and as bind_dense.
template <class P> void bind_parts(Binding<P>& b, int leaf, void* const* parts, DType format, RowLayout layout = RowLayout::plain) {
  const LeafRecord& l = Compiled<P>::table.leaf[leaf];
  if (!only_gathers_from<P>(leaf) || l.axes_in[0] != 1)
    throw Error(std::string("operand ") + l.path.text + ": it lies in parts, but the program does not only gather from it along " +
                Compiled<P>::plan.axis[l.axis[0]].record.name);
  for (long i = 0; i < b.extent[l.axis[0]]; ++i)
    if (!parts[i]) throw Error(std::string("operand ") + l.path.text + ": part " + std::to_string(i) + " is missing");
  bind_dense(b, leaf, b.extent[l.axis[0]] > 0 ? parts[0] : nullptr, format, layout);
  b.view[leaf].parts = parts;
}
template <class P> void bind_dense(Binding<P>& b, int leaf, void* data) { bind_dense(b, leaf, data, Compiled<P>::table.leaf[leaf].dtype); }
template <class P> long elements_of_temporary(const Binding<P>& b, int t) {
  long n = 1;
  const Temporary& x = Compiled<P>::plan.temporary[t];
  for (int d = 0; d < x.rank; ++d) n *= b.extent[x.axis[d]];
  return n;
}
// the bytes that all temporaries of a program need, and their placement in a workspace
template <class P> std::size_t temporary_bytes(const Binding<P>& b) {
  std::size_t bytes = 0;
  for (int t = 0; t < Compiled<P>::plan.temporaries; ++t)
    bytes +=
        (static_cast<std::size_t>(elements_of_temporary(b, t)) * static_cast<std::size_t>(bytes_of(Compiled<P>::plan.temporary[t].dtype)) +
         63) /
        64 * 64;
  return bytes;
}
template <class P> void bind_temporaries(Binding<P>& b, std::byte* workspace) {
  for (int t = 0; t < Compiled<P>::plan.temporaries; ++t) {
    const Temporary& x = Compiled<P>::plan.temporary[t];
    View& v = b.view[Binding<P>::leaves + t];
    v.data = workspace;
    long step = 1;
    for (int d = x.rank; d-- > 0;) {
      v.stride[d] = step;
      step *= b.extent[x.axis[d]];
    }
    workspace += (static_cast<std::size_t>(step) * static_cast<std::size_t>(bytes_of(x.dtype)) + 63) / 64 * 64;
  }
}

}  // namespace weft
