// route_facts: what the skeleton route knows of its kernel: the groups that an index names, the group of a row, what is added up of each row.
//
// Rows are added up in the ascending order of their groups, each sum by one thread: so results depend neither on how blocks are scheduled, nor
// on what other rows are computed, but in that there are few of them or many.
#pragma once
#include <weft/cuda/complaint.cuh>
#include <weft/cuda/epilogue.cuh>

namespace weft::cuda {

template <class P, int k> struct RouteFacts : ContractionFacts<P, k> {
  using F = ContractionFacts<P, k>;
  static_assert(F::lefts == 1, "what is routed together has one left operand");
  static constexpr bool combines = F::kernel.combined != 0;
  static constexpr int index_node = F::kernel.index;

  // ---- groups: the parts of the right operands
  static constexpr int leaf = F::plan.node[F::template Operands<0, 0>::right].leaf;
  WEFT_BOTH static long groups(const Binding<P>& b) { return extent_of<P, F::group_axis>(b); }
  WEFT_BOTH static long row_count(const Binding<P>& b) { return count_of<P, typename F::Rows>(b); }
  WEFT_BOTH static long output_count(const Binding<P>& b) { return count_of<P, typename F::OutputRows>(b); }

  // of a row, or -1 where its index names none, of which it complains
  WEFT_DEVICE static int group_of(const Binding<P>& b, unsigned row, const Complaint& complaint) {
    Index<P> index;
    decode<P, typename F::Rows>(b, row, index);
    int asked;
    const int group = checked_index(evaluate_one<index_node>(b, index, HoldsNothing{}), groups(b), asked);
    if (group < 0) complaint.tell(row, asked);
    return group;
  }
  static std::string complaint(long row, long index, long count) {
    return std::string("operand ") + Compiled<P>::table.leaf[leaf].path.text + ": row " + std::to_string(row) + " asks for part " +
           std::to_string(index) + " along axis " + F::plan.axis[F::group_axis].record.name + ", which has " + std::to_string(count) +
           (index == -1 ? "; -1 is what top_k gives where it meets a NaN" : "");
  }
};

// What is added up of the rows of segment g.
template <class P, int k, int g> struct RowSummand {
  using F = RouteFacts<P, k>;
  using C = typename F::template Columns<g>;
  static constexpr int body = F::plan.node[C::segment.combine].operand[0];
  struct Products {
    static constexpr NodeList nodes = [] {
      NodeList l;
      for (int i = 0; i < C::segment.contractions; ++i) l.add(C::segment.contraction[i]);
      return l;
    }();
    template <int node> static constexpr int number = nodes.find(node);
    const float* at;  // of the row, at the column
    int columns;
    template <int node> WEFT_DEVICE void get(float* out) const { out[0] = at[number<node> * columns]; }
  };
  // f(row of the tile, column of the tile, the summand), by all threads of a block, which have written the products and met since
  template <class F_>
  WEFT_DEVICE static void each(const Binding<P>& b, Index<P>& index, const Tile& tile, const Accumulators& products, F_ f) {
    for (unsigned e = threadIdx.x; e < static_cast<unsigned>(tile.rows * tile.columns); e += blockDim.x) {
      const int row = static_cast<int>(e / static_cast<unsigned>(tile.columns)),
                c = static_cast<int>(e % static_cast<unsigned>(tile.columns));
      decode<P, typename F::Rows>(b, tile.number(row), index);
      decode<P, C>(b, static_cast<unsigned>(tile.first_column + c), index);
      f(row, c, evaluate_one<body>(b, index, Products{products.sums + row * products.stride + c, products.columns}));
    }
  }
};

}  // namespace weft::cuda
