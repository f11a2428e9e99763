// contraction_few_facts: what contraction_few knows at compile time, and how left rows come into shared memory.
#pragma once
#include <weft/cuda/blocks.cuh>
#include <weft/cuda/contraction_facts.cuh>
#include <weft/cuda/strips.cuh>

namespace weft::cuda {

// How a left row lies in shared memory, such that lanes which read neighbouring pieces hit different banks. Floats: the first halves of all
// groups of 8, then the second halves; for weights in blocks 4 floats of padding after every 32; or groups of digits.
enum class RowForm : std::uint8_t { floats, padded_floats, digits };

template <class P, int k> struct FewFacts {
  using F = ContractionFacts<P, k>;
  static constexpr int warps = 8, threads = 32 * warps;
  static constexpr long most_shared = 96 << 10;  // bytes, that all devices have and that leave room for the cache

  template <int l> struct LeftRow {
    using L = typename F::template Left<l>;
    static constexpr bool quantised = is_quantised<P, L::node>, in_blocks = F::rights(l, true) > 0;
    static constexpr RowForm form = quantised ? RowForm::digits : in_blocks ? RowForm::padded_floats : RowForm::floats;
    static constexpr int root = quantised ? trimmed_plan<P>.node[L::node].operand[0] : L::node;
    // 32-bit words of a row
    WEFT_BOTH static long words(const Binding<P>& b) {
      const long n = count_of<P, typename L::Depth>(b);
      if constexpr (form == RowForm::digits)
        return round_up(n / 32 * digit_words, 4);
      else if constexpr (form == RowForm::padded_floats)
        return n / 32 * 36;
      else
        return n;
    }
  };
  // the right operands are leaves that this kernel can read; those that meet one left operand are all in blocks, or none
  static constexpr bool reads_right_operands = [] {
    for (int g = 0; g < F::segments; ++g)
      for (int i = 0; i < F::kernel.segment[g].contractions; ++i) {
        const Node& c = F::plan.node[F::kernel.segment[g].contraction[i]];
        const Node &left = F::plan.node[c.operand[0]], &right = F::plan.node[c.operand[1]];
        const bool quantised = left.kind == NodeKind::cast && is_block(left.dtype);
        if (!F::is_stored(right) || right.dtype == DType::i32) return false;
        if (quantised && !is_block(right.dtype)) return false;
      }
    for (int l = 0; l < F::lefts; ++l)
      if (F::rights(l, true) > 0 && F::rights(l, false) > 0) return false;
    return true;
  }();

  // ---- the contractions of segment g whose weights are in blocks
  static constexpr int step_groups = 32;  // groups of a strip: one for each lane
  template <int g> struct InBlocks {
    using C = typename F::template Columns<g>;
    template <int i> static constexpr bool has = F::template Operands<g, i>::in_blocks;
    static constexpr bool any = []<int... i>(std::integer_sequence<int, i...>) { return (has<i> || ...); }
    (std::make_integer_sequence<int, C::contractions>{});
    template <int i> static constexpr int bytes_of_256() {
      if constexpr (has<i>)
        return Format<typename type_of<F::template Operands<g, i>::format>::type>::most_bytes_of_256;
      else
        return 0;
    }
    static constexpr int strip = []<int... i>(std::integer_sequence<int, i...>) {  // bytes
      int n = 0;
      for (const int bytes : {bytes_of_256<i>()...}) n = bytes > n ? bytes : n;
      return strip_pieces(n * step_groups / 8) * piece_bytes;
    }
    (std::make_integer_sequence<int, C::contractions>{});
  };
  // how many strips a warp has under way: those of a single row have room for one more
  template <int rows> static constexpr int strips_ahead = rows == 1 ? 3 : 2;

  // columns of each contraction that a warp reads side by side
  template <int g> static constexpr int side_by_side = [] {
    constexpr int n = F::template Columns<g>::contractions;
    constexpr int plain = n == 1 ? 4 : n == 2 ? 2 : 1;
    return InBlocks<g>::any && plain > 1 ? plain / 2 : plain;  // a step of a strip is longer
  }();
  // how each segment is split: warps that share the depth; and groups of columns that a warp reads one after the other, so that the left
  // rows are evaluated for more columns where there are very many
  struct Split {
    int of[6], turns[6];
  };
  // columns of a tile
  template <int g> WEFT_BOTH static int columns(const Split& split) {
    using C = typename F::template Columns<g>;
    if constexpr (C::reduced != 0)
      return static_cast<int>(C::chunk);
    else
      return static_cast<int>(round_up(warps / split.of[g] * side_by_side<g> * split.turns[g], C::stored_together));
  }
  template <int g> WEFT_BOTH static long tiles(const Binding<P>& b, const Split& split) {
    const long n = columns<g>(split);
    return (count_of<P, typename F::template Columns<g>>(b) + n - 1) / n;
  }
  template <int rows> static constexpr int ring_bytes = []<int... g>(std::integer_sequence<int, g...>) {
    int n = 0;
    for (const int bytes : {(InBlocks<g>::any ? warps * side_by_side<g> * InBlocks<g>::strip : 0)...}) n = bytes > n ? bytes : n;
    return n * strips_ahead<rows>;
  }
  (std::make_integer_sequence<int, F::segments>{});
};

// the task of RowBody: a left row on its way into shared memory
template <class P_, int k, int l> struct SharedRow {
  using P = P_;
  using R = typename FewFacts<P, k>::template LeftRow<l>;
  using L = typename R::L;
  static constexpr NodeList statistics = L::statistics;
  static constexpr AxisList rows = ContractionFacts<P, k>::rows_list, columns = L::depth;
  static constexpr NodeList roots = [] {
    NodeList n;
    n.add(R::root);
    return n;
  }();
  float* to;
  long half;  // of the words of a row

  template <class Point, int width> WEFT_DEVICE void put(const Point&, unsigned flat, const float (&v)[1][width]) const {
    if constexpr (R::form == RowForm::floats) {
#pragma unroll
      for (int i = 0; i < width; i += 4) store_neighbours<float, 4>(to + (flat + i) / 4 % 2 * half + (flat + i) / 8 * 4, v[0] + i);
    } else if constexpr (R::form == RowForm::padded_floats) {
      store_neighbours<float, width>(to + flat / 32 * 36 + flat % 32, v[0]);
    } else {
      const float largest = largest_of_group(v[0]);
      int digit[width];
      quantize(v[0], largest, digit);
      float* group = to + flat / 32 * digit_words;
#pragma unroll
      for (int i = 0; i < width; i += 4) group[(flat % 32 + i) / 4] = __uint_as_float(word_of(digit + i));
      if (flat % 32 == 0) group[8] = scale_of_digits(largest);
    }
  }
  template <int lane, int width> static bool is_aligned(const Binding<P>& b) {
    return extent_of<P, lane>(b) % (R::form == RowForm::floats ? width : 32) == 0;
  }
};

}  // namespace weft::cuda
