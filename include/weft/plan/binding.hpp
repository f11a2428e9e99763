// binding: the memory and the extents that a program runs with. Flat and trivially copyable: it is also what a kernel is given.
#pragma once
#include <weft/core/error.hpp>
#include <weft/plan/plan_errors.hpp>

#include <string>

namespace weft {

struct View {  // what a kernel sees of a tensor: strides in elements
  void* data = nullptr;
  long stride[max_rank]{};
  DType format{};  // as its leaf says; of a leaf of any_block: one of the block formats
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
// Binds a leaf to dense row-major memory; the extents of its axes must be set. Throws Error where the last dimension is no whole number of
// blocks, and where the format of a leaf of any_block is none of the block formats.
template <class P> void bind_dense(Binding<P>& b, int leaf, void* data, DType format) {
  const LeafRecord& l = Compiled<P>::table.leaf[leaf];
  if (l.dtype == DType::any_block ? !is_block(format) || format == DType::any_block : format != l.dtype)
    throw Error(std::string("operand ") + l.path.text + ": expected " + name_of(l.dtype) + ", found " + name_of(format));
  if (is_block(format)) {
    long row = 1;
    for (int d = 0, a = 0; d < l.rank; ++d)
      for (int i = 0; i < l.axes_in[d]; ++i, ++a)
        if (d + 1 == l.rank) row *= b.extent[l.axis[a]];
    if (row % block_elements(format) != 0)
      throw Error(std::string("operand ") + l.path.text + ": its rows have " + std::to_string(row) + " elements; " + name_of(format) +
                  " stores blocks of " + std::to_string(block_elements(format)));
  }
  b.view[leaf].data = data;
  b.view[leaf].format = format;
  long step = 1;
  for (int d = l.axes; d-- > 0;) {
    b.view[leaf].stride[d] = step;
    step *= b.extent[l.axis[d]];
  }
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
