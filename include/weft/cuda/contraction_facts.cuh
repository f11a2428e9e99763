// contraction_facts: what the skeleton contraction knows of its kernel at compile time: left operands, columns, the format in which it
// multiplies.
#pragma once
#include <weft/cuda/row_body.cuh>

namespace weft::cuda {

WEFT_BOTH constexpr long round_up(long n, long multiple) { return (n + multiple - 1) / multiple * multiple; }

// a value in blocks, which meets weights in blocks
template <class P, int node> inline constexpr bool is_quantised =
    trimmed_plan<P>.node[node].kind == NodeKind::cast&& trimmed_plan<P>.node[node].dtype >= DType::q8_0;

template <class P, int k> struct ContractionFacts {
  static constexpr auto& plan = trimmed_plan<P>;  // for facts only: device code cannot name it
  static constexpr Kernel kernel = trimmed_plan<P>.kernel[k];
  static constexpr int lefts = kernel.lefts, segments = kernel.segments;
  static constexpr bool routes = kernel.skeleton == Skeleton::route;

  // ---- left operands
  static constexpr int first_with_left(int l) {
    for (int g = 0; g < kernel.segments; ++g)
      for (int i = 0; i < kernel.segment[g].contractions; ++i)
        if (kernel.segment[g].left_of[i] == l) return kernel.segment[g].contraction[i];
    return -1;
  }
  template <int l> struct Left {
    static constexpr int node = kernel.left[l].node;
    static constexpr bool is_leaf = plan.node[node].kind == NodeKind::leaf;
    static constexpr AxisList depth = ordered_below(plan, kernel.left[l].bound, plan.node[first_with_left(l)].operand[1]);
    static constexpr NodeList statistics = [] {
      NodeList s;
      for (int i = 0; i < kernel.left[l].statistics; ++i) s.add(kernel.left[l].statistic[i]);
      return s;
    }();
    struct Depth {
      static constexpr AxisList list = depth;
    };
  };

  // a right operand that is multiplied as it is stored: a leaf, or, of a routed contraction, the part of one that an index picks
  static constexpr bool is_stored(const Node& n) { return n.kind == NodeKind::leaf || (routes && n.kind == NodeKind::gather); }

  // what its groups are numbered by: the axis along which the index picks
  static constexpr short group_axis = [] {
    if (!routes) return short{-1};
    const Node& right = plan.node[plan.node[kernel.segment[0].contraction[0]].operand[1]];
    return Compiled<P>::table.leaf[right.leaf].axis[right.dimension];
  }();

  // ---- the format in which operands are multiplied: bf16 or f16 where both are such numbers, so that nothing is rounded; else f32
  static constexpr bool multiplies(DType t) {
    for (int g = 0; g < kernel.segments; ++g)
      for (int i = 0; i < kernel.segment[g].contractions; ++i) {
        const Node &c = plan.node[kernel.segment[g].contraction[i]], &left = plan.node[c.operand[0]], &right = plan.node[c.operand[1]];
        if ((left.kind != NodeKind::leaf && left.kind != NodeKind::cast) || left.dtype != t) return false;
        if (!is_stored(right) || right.dtype != t) return false;
      }
    return true;
  }
  using Element = std::conditional_t<multiplies(DType::bf16), bf16, std::conditional_t<multiplies(DType::f16), f16, float>>;
  static constexpr DType element = dtype_of<Element>;
  static constexpr bool on_tensor_cores = !std::is_same_v<Element, float>;

  // how many right operands that meet left operand l (-1: any) are leaves in blocks, or are not
  static constexpr int rights(int l, bool in_blocks) {
    int n = 0;
    for (int g = 0; g < kernel.segments; ++g)
      for (int i = 0; i < kernel.segment[g].contractions; ++i) {
        const Node& right = plan.node[plan.node[kernel.segment[g].contraction[i]].operand[1]];
        if (l < 0 || kernel.segment[g].left_of[i] == l) n += (is_stored(right) && is_block(right.dtype)) == in_blocks;
      }
    return n;
  }
  static constexpr bool all_in_blocks = rights(-1, false) == 0;

  static constexpr AxisList join(AxisList a, const AxisList& b) {
    for (int i = 0; i < b.count; ++i) a.axis[a.count++] = b.axis[i];
    return a;
  }
  // ---- rows; those that a routed contraction adds up lie together
  static constexpr AxisList ordered_rows(Mask rows) {
    const Node& reference = plan.node[routes ? kernel.index : kernel.left[0].node];
    return reference.kind == NodeKind::leaf ? ordered(plan, rows, reference) : ordered(plan, rows, plan.store[kernel.segment[0].store[0]]);
  }
  static constexpr AxisList output_rows_list = ordered_rows(kernel.rows & ~kernel.batch & ~kernel.combined);
  static constexpr AxisList combined_list = ordered_rows(kernel.combined);
  static constexpr AxisList rows_list = join(output_rows_list, combined_list);
  static constexpr AxisList batch_list = ordered(plan, kernel.batch, plan.store[kernel.segment[0].store[0]]);
  struct Rows {
    static constexpr AxisList list = rows_list;
  };
  struct Batch {
    static constexpr AxisList list = batch_list;
  };
  struct OutputRows {  // whose results are stored
    static constexpr AxisList list = output_rows_list;
  };
  struct Combined {
    static constexpr AxisList list = combined_list;
  };
  // of staged left rows: those of a routed contraction that its left operand has, which the others share
  struct LeftRows {
    static constexpr AxisList list = [] {
      const AxisList all = join(batch_list, rows_list);
      AxisList l;
      for (int i = 0; i < all.count; ++i)
        if (!routes || (plan.node[kernel.left[0].node].axes & bit(all.axis[i]))) l.axis[l.count++] = all.axis[i];
      return l;
    }();
  };
  template <int i = 0> WEFT_DEVICE static long left_row(const Binding<P>& b, const Index<P>& index, long before = 0) {
    if constexpr (i == LeftRows::list.count) {
      return before;
    } else {
      constexpr int axis = LeftRows::list.axis[i];
      return left_row<i + 1>(b, index, before * extent_of<P, axis>(b) + index.at[axis]);
    }
  }

  // ---- The columns of a segment, counted along its list. A tile has a run of them, or, where the epilogue reduces over columns, all that
  // it reduces over: the innermost axes.
  template <int g> struct Columns {
    static constexpr Segment segment = kernel.segment[g];
    static constexpr TileColumns tile = tile_columns(plan, segment);
    static constexpr bool in_arrays = tile.in_arrays;
    static constexpr Mask columns = tile.all, reduced = tile.reduced;
    static constexpr AxisList list =
        join(ordered(plan, columns & ~reduced, plan.store[segment.store[0]]),
             reduced ? ordered_below(plan, reduced, plan.node[segment.contraction[0]].operand[1]) : AxisList{});
    static constexpr int lane = list.axis[list.count - 1], contractions = segment.contractions;
    static constexpr int stored_together = [] {  // columns, where results are stored in blocks
      int n = 1;
      for (int s = 0; s < segment.stores; ++s) {
        const int size = block_elements(plan.store[segment.store[s]].dtype);
        n = size > n ? size : n;
      }
      return n;
    }();
    static constexpr Mask chunk_axes = [] {
      Mask m = 0;
      for (int i = list.count - count_axes(reduced); i < list.count; ++i) m |= bit(list.axis[i]);
      return m;
    }();
    static constexpr long chunk = [] {  // columns that are reduced together; the extents of such axes are part of their types
      long n = 1;
      for (int i = list.count - count_axes(reduced); i < list.count; ++i) n *= plan.axis[list.axis[i]].record.extent;
      return n;
    }();
    // one value for all columns that the tile reduces
    static constexpr bool whole_chunk(int store) {
      Mask used = 0;
      for (int d = 0; d < plan.store[store].rank; ++d) used |= plan.store[store].at[d].axes();
      return reduced != 0 && !(used & chunk_axes);
    }
  };

  // ---- the operands of contraction i of segment g
  template <int g, int i> struct Operands {
    static constexpr int node = kernel.segment[g].contraction[i], left = kernel.segment[g].left_of[i], right = plan.node[node].operand[1];
    static constexpr bool right_is_stored = is_stored(plan.node[right]);
    static constexpr DType format = plan.node[right].dtype;
    static constexpr bool in_blocks = right_is_stored && is_block(format);
    // where the part of a group begins, in elements
    WEFT_BOTH static long part(const Binding<P>& b, long group) {
      if constexpr (routes) {
        constexpr int dimension = trimmed_plan<P>.node[right].dimension, leaf = trimmed_plan<P>.node[right].leaf;
        return group * b.view[leaf].stride[dimension];
      } else {
        return 0;
      }
    }
  };
};

// Rows that are multiplied together: `count` from the first on, or, of a routed contraction, so many of those in `order`, which have the right
// operands of one group.
struct RowTile {
  long first;
  int count;
  const std::int32_t* order = nullptr;
  int group = 0;
  WEFT_DEVICE unsigned number(int row) const { return static_cast<unsigned>(order ? order[first + row] : first + row); }
};

// A leaf can be multiplied from where it lies if its depth is contiguous and 16 bytes can be loaded at once from every multiple of 16 bytes
// of a row.
template <class P, int leaf, class Depth, int width> bool lies_along(const Binding<P>& b) {
  using A = LeafAccess<P, leaf>;
  constexpr int n = Depth::list.count, lane = Depth::list.axis[n - 1];
  bool regular = A::template is_aligned<lane, width>(b);
  long expected = 1;
  unroll<n>([&](auto i) {
    constexpr int axis = Depth::list.axis[n - 1 - i];
    const long extent = extent_of<P, axis>(b);
    regular = regular && (A::template step<axis>(b) == expected || extent == 1);
    expected *= extent;
  });
  return regular;
}
// The same of a leaf in blocks, which has to lie along the depth; throws Error where it does not.
template <class P, int leaf, class Depth> void expect_blocks_along(const Binding<P>& b) {
  using A = LeafAccess<P, leaf>;
  constexpr int n = Depth::list.count;
  const View& view = b.view[A::leaf];
  const auto refuse = [](const std::string& problem) {
    throw Error(std::string("operand ") + Compiled<P>::table.leaf[A::leaf].path.text + ": " + problem);
  };
  if (reinterpret_cast<std::uintptr_t>(view.data) % 16 != 0)  // its rows are copied in pieces of 16 bytes, from wherever they begin
    refuse("expected an address that is a multiple of 16 bytes");
  long expected = 1;
  bool regular = true;
  unroll<n>([&](auto i) {
    constexpr int axis = Depth::list.axis[n - 1 - i];
    const long extent = extent_of<P, axis>(b);
    regular = regular && (A::template step<axis>(b) == expected || extent == 1);
    expected *= extent;
  });
  constexpr int indexed = trimmed_plan<P>.node[leaf].dimension;
  if constexpr (indexed >= 0) regular = regular && view.stride[indexed] % block_elements(view.format) == 0;
  if (!regular || expected % block_elements(view.format) != 0) refuse("its blocks do not lie along the contracted axis");
}

}  // namespace weft::cuda
