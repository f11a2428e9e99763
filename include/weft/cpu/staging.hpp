// staging: the operands of inner products on their way into panels. A row of a left operand is evaluated (statistics first) once per tile
// of rows; a right operand that is a plain leaf is packed from where it lies, any other map of leaves is evaluated on the way.
#pragma once
#include <weft/cpu/micro_kernel.hpp>
#include <weft/cpu/panel_pack.hpp>
#include <weft/cpu/row.hpp>

#include <string>

namespace weft::cpu {

// Is the right operand of a contraction a tensor that can be read where it lies: a leaf, or the part of one that a group of rows picks (there, an
// executor has the view begin at that part)?
template <class Plan> constexpr bool right_is_tensor(const Plan& plan, int contraction) {
  return plan.node[plan.node[contraction].operand[1]].kind == NodeKind::leaf || is_routed(plan.node, contraction);
}
// Packed in bf16 only where both operands are bf16 numbers and there is an instruction for it: then packing rounds nothing. Weights in
// blocks are expanded as they are packed, for bf16 numbers to bf16.
template <class Plan> constexpr bool are_bf16(const Plan& plan, int contraction) {
  const Node &left = plan.node[plan.node[contraction].operand[0]], &right = plan.node[plan.node[contraction].operand[1]];
  return has_bf16_dot && (left.kind == NodeKind::leaf || left.kind == NodeKind::cast) && left.dtype == DType::bf16 &&
         (right.dtype == DType::bf16 || is_block(right.dtype));
}
template <class Plan> constexpr bool multiplies_bf16(const Plan& plan, int contraction) {
  return are_bf16(plan, contraction) && right_is_tensor(plan, contraction);
}
// a value in blocks, times weights in blocks: whole numbers are multiplied
template <class Plan> constexpr bool is_quantised(const Plan& plan, int node) {
  return plan.node[node].kind == NodeKind::cast && is_block(plan.node[node].dtype);
}
template <class Plan> constexpr bool multiplies_digits(const Plan& plan, int contraction) {
  const Node& right = plan.node[plan.node[contraction].operand[1]];
  return is_quantised(plan, plan.node[contraction].operand[0]) && right_is_tensor(plan, contraction) && is_block(right.dtype);
}
// the elements of operands that are multiplied in a format: digits come in records
template <class Format> using ElementOf = std::conditional_t<std::is_same_v<Format, digits>, std::byte, Format>;

// The operands of contraction node c and their formats.
template <class P, int c> struct Operands {
  static constexpr auto& plan = plan_of<P>;
  static constexpr int left = plan.node[c].operand[0], right = plan.node[c].operand[1];
  static constexpr bool left_is_leaf = plan.node[left].kind == NodeKind::leaf, right_is_leaf = right_is_tensor(plan, c);
  static constexpr bool in_bf16 = multiplies_bf16(plan, c);
  using Left = std::conditional_t<left_is_leaf, typename type_of<plan.node[left].dtype>::type, float>;
  using Right = std::conditional_t<right_is_leaf, typename type_of<plan.node[right].dtype>::type, float>;
};

inline constexpr NodeList no_statistics{};
template <int node> struct OnlyNode {
  static constexpr NodeList list = [] {
    NodeList l;
    l.add(node);
    return l;
  }();
};

// evaluates a node along the axes of `list`, flattened, into out; the statistics of the row come first
template <class P, int node, const AxisList& list, const NodeList& statistics, class T>
[[gnu::noinline]] void evaluate_plain_row(const Binding<P>& binding, const Index<P>& start, T* out) {
  constexpr int lane = list.axis[list.count - 1];
  using Known = Statistics<P, statistics, statistics.count>;
  using Held = WithInvariants<P, lane, Known, OnlyNode<node>::list>;
  const Binding<P> b = binding;  // copies that no store can reach: what does not change is computed once
  Index<P> index = start;
  float value[statistics.count + 1];
  row_statistics<P, statistics>(b, index, value);
  const Known known{value};
  const long outer = count_of<P, list, 0, list.count - 1>(b), n = extent_of<P, lane>(b);
  for (long o = 0; o < outer; ++o, out += n) {
    decode<P, list, 0, list.count - 1>(b, o, index);
    const Held held(b, index, known);
    for (long at = 0; at < n; at += Packet::lanes) {
      index[lane] = at;
      const Point<P, lane, Held> p{b, index, held, n - at < Packet::lanes ? n - at : long(Packet::lanes)};
      store(out + at, evaluate<node, Packet>(p), p.n);
    }
    index[lane] = 0;
  }
}

// each group of 32 becomes what its digits say (row_digits.hpp)
template <class T> void round_to_digits(T* row, long n) {
  constexpr long piece = 128;
  alignas(64) float x[piece] = {};
  DigitGroup group[piece / DigitGroup::elements];
  for (long at = 0; at < n; at += piece) {
    const long count = n - at < piece ? n - at : piece;
    for (long i = 0; i < count; i += Packet::lanes) store(x + i, load(row + at + i));
    quantize_row_digits(x, count, group, 1);
    for (long i = 0; i < count; ++i)
      row[at + i] = from_float<T>(group[i / DigitGroup::elements].scale *
                                  static_cast<float>(group[i / DigitGroup::elements].digit[i % DigitGroup::elements]));
  }
}
// throws Error where the row along `list` is no whole number of groups
template <class P, const AxisList& list> void check_groups(const Binding<P>& b) {
  if (const long n = count_of<P, list>(b); n % DigitGroup::elements != 0)
    throw Error(std::string("q8_0 along axis ") + plan_of<P>.axis[list.axis[list.count - 1]].record.name +
                ": expected rows of a multiple of 32 elements, found " + std::to_string(n));
}
// the same, of a value in blocks too: rounded to its digits
template <class P, int node, const AxisList& list, const NodeList& statistics, class T>
void evaluate_row(const Binding<P>& b, const Index<P>& start, T* out) {
  if constexpr (is_quantised(plan_of<P>, node)) {
    check_groups<P, list>(b);
    evaluate_plain_row<P, plan_of<P>.node[node].operand[0], list, statistics>(b, start, out);
    round_to_digits(out, count_of<P, list>(b));
  } else {
    evaluate_plain_row<P, node, list, statistics>(b, start, out);
  }
}
// ... as digits, whose groups lie `step` apart; scratch: the row in floats
template <class P, int node, const AxisList& list, const NodeList& statistics>
void evaluate_digits(const Binding<P>& b, const Index<P>& start, float* scratch, DigitGroup* out, long step) {
  check_groups<P, list>(b);
  evaluate_plain_row<P, plan_of<P>.node[node].operand[0], list, statistics>(b, start, scratch);
  quantize_row_digits(scratch, count_of<P, list>(b), out, step);
}

// a leaf whose depth lies contiguously in memory can be used where it lies; else nullptr
template <class P, int leaf, const AxisList& depth> auto in_place(const Binding<P>& b, const Index<P>& index) {
  using A = LeafAccess<P, leaf>;
  return A::template flat_step<depth>(b) == 1 ? A::data(b) + A::offset(b, index) : nullptr;
}

// ---- the right operand
enum class RightLayout { depth_contiguous, columns_contiguous, any };

template <class P, int c, int column, const AxisList& depth> RightLayout right_layout(const Binding<P>& b) {
  if constexpr (Operands<P, c>::right_is_leaf) {
    using A = LeafAccess<P, Operands<P, c>::right>;
    const long step = A::template flat_step<depth>(b);
    if (step == 1) return RightLayout::depth_contiguous;
    if (step > 0 && A::template step<column>(b) == 1) return RightLayout::columns_contiguous;
  }
  return RightLayout::any;
}
// n columns whose k elements are neighbours, `step` elements apart
template <class Element, class T> void pack_columns(const T* data, long step, long k, int n, Element* panel) {
  pack_right_rows<Element>(data, step, k, n, panel);
}
template <class Element, class Block> void pack_columns(BlockElements<Block> data, long step, long k, int n, Element* panel) {
  const BlockColumns<Block> columns{data, step, k};
  if constexpr (std::is_same_v<Element, std::byte>)
    MicroKernel<digits>::template pack_right<Block>(columns, 0, n, panel);
  else
    pack_right_blocks<Element, Block>(columns, 0, n, panel);
}
template <class Element> void pack_columns(AnyBlockElements data, long step, long k, int n, Element* panel) {
  with_block(data.format, [&](auto block) { pack_columns(data.template in<decltype(block)>(), step, k, n, panel); });
}
// a panel of n columns, from `at` along axis `column`; index stands at the other columns. scratch: [n][k] where the operand must be
// evaluated
template <class P, int c, int column, const AxisList& depth, class Element>
void pack_right(const Binding<P>& b, Index<P>& index, long at, int n, float* scratch, Element* panel) {
  constexpr int right = Operands<P, c>::right;
  const long k = count_of<P, depth>(b);
  index[column] = at;
  if constexpr (Operands<P, c>::right_is_leaf) {
    using A = LeafAccess<P, right>;
    const auto data = A::data(b) + A::offset(b, index);
    const RightLayout layout = right_layout<P, c, column, depth>(b);
    if (layout == RightLayout::depth_contiguous) return pack_columns(data, A::template step<column>(b), k, n, panel);
    if constexpr (!is_block(A::dtype))
      if (layout == RightLayout::columns_contiguous) return pack_right_cols<Element>(data, A::template flat_step<depth>(b), k, n, panel);
  }
  if constexpr (std::is_same_v<Element, std::byte>) {
    throw Error(std::string("operand ") + Compiled<P>::table.leaf[LeafAccess<P, right>::leaf].path.text +
                ": its blocks do not lie along the contracted axis");
  } else {
    for (int j = 0; j < n; ++j) {
      index[column] = at + j;
      evaluate_row<P, right, depth, no_statistics>(b, index, scratch + j * k);
    }
    index[column] = at;
    pack_right_rows<Element>(static_cast<const float*>(scratch), k, k, n, panel);
  }
}

// ---- few rows times columns where they lie: out[r * out_stride + j] = left[r] . columns[j * step]
template <class L, class W, bool in_blocks = is_block(dtype_of<W>)> class FewRows {
 public:
  static constexpr int most = 8, wide = 8;
  explicit FewRows(long rows)
      : padded_(rows == 1   ? 1
                : rows == 2 ? 2
                : rows <= 4 ? 4
                            : most),
        dots_(rows == 1   ? &dots<L, W, 1, wide>
              : rows == 2 ? &dots<L, W, 2, wide>
              : rows <= 4 ? &dots<L, W, 4, wide>
                          : &dots<L, W, most, wide>) {}
  // left: pointers to at least as many rows as are computed together (1, 2, 4 or 8)
  void products(const L* const* left, const W* columns, long step, long count, long depth, float* out, long out_stride) const {
    for (long j = 0; j < count; j += wide) {
      const W* column[wide];
      for (int x = 0; x < wide; ++x) column[x] = columns + (j + x < count ? j + x : count - 1) * step;
      float sums[wide * most];
      dots_(left, column, depth, sums);
      const int n = static_cast<int>(count - j < wide ? count - j : wide);
      for (int r = 0; r < padded_; ++r)
        for (int x = 0; x < n; ++x) out[r * out_stride + j + x] = sums[x * padded_ + r];
    }
  }

 private:
  int padded_;
  void (*dots_)(const L* const*, const W* const*, long, float*);
};

// Columns in blocks. Rows of digits are groups that lie together (row_digits.hpp): left[0] has the first group of the first row, and
// `stride` rows lie side by side.
template <class L, class W> class FewRows<L, W, true> {
 public:
  static constexpr long stride(long rows) { return rows == 1 ? 1 : rows <= 4 ? 4 : 8; }
  explicit FewRows(long rows) : rows_(static_cast<int>(rows)) {}
  void products(const L* const* left, Elements<W> columns, long step, long count, long depth, float* out, long out_stride) const {
    if constexpr (std::is_same_v<W, any_block>)
      with_block(columns.format, [&](auto block) {
        products_of<decltype(block)>(left, {columns.template in<decltype(block)>(), step, depth}, count, out, out_stride);
      });
    else
      products_of<W>(left, {columns, step, depth}, count, out, out_stride);
  }

 private:
  template <class Block>
  void products_of(const L* const* left, const BlockColumns<Block>& columns, long count, float* out, long out_stride) const {
    for (long j = 0; j < count; j += panel_rows) {
      const int n = static_cast<int>(count - j < panel_rows ? count - j : panel_rows);
      columns.for_parts(j, n, [&](const std::byte* panel, int column, long from, long blocks) {
        const long at = from * BlockColumns<Block>::size;
        if constexpr (std::is_same_v<L, std::byte>)
          in_groups_of_rows(rows_, [&](int first, auto R) {
            const auto* x = reinterpret_cast<const DigitGroup*>(left[0]) + at / DigitGroup::elements * stride(rows_) + first;
            panel_products<Block, R>(x, stride(rows_), panel, column, n, blocks, out + first * out_stride + j, out_stride, from > 0);
          });
        else
          in_groups_of_rows<4>(rows_, [&](int first, auto R) {
            panel_products<L, Block, R>(left + first, at, panel, column, n, blocks, out + first * out_stride + j, out_stride, from > 0);
          });
      });
    }
  }
  int rows_;
};

}  // namespace weft::cpu
