// stream_gathered: right operands of a stream whose rows an index along the streamed axis names, as a page table does. The rows of a block are
// brought together; from there on they are treated as those of a tensor that lies in one piece, and give the same bits.
#pragma once
#include <weft/cpu/stream_facts.hpp>

#include <cstring>

namespace weft::cpu {

// Where rows of a block begin, and how far it is from one to the next, in elements.
template <class T> struct BlockRows {
  const T* first;
  long step;
};

// Rows [at, at + count) along the streamed axis of kernel k, `length` neighbours each; index stands at the place of the other axes. Those of a tensor
// stay where they lie, gathered ones are copied to room: [count][length].
template <class P, int k, int node>
BlockRows<typename LeafAccess<P, node>::T> block_rows(const Binding<P>& b, Index<P>& index, long at, long count, long length,
                                                      [[maybe_unused]] typename StreamFacts<P, k>::template Room<node>* room) {
  using F = StreamFacts<P, k>;
  using A = LeafAccess<P, node>;
  using T = typename A::T;
  index[F::key] = at;
  const T* rows = A::data(b) + A::offset(b, index);
  BlockRows<T> found{rows, A::template step<F::key>(b)};
  if constexpr (F::template is_gathered<node>) {
    const long stride = b.view[A::leaf].stride[F::plan.node[node].dimension];
    const HoldsNothing nothing;
    for (long j = 0; j < count; ++j) {
      index[F::key] = at + j;
      const float which = evaluate<F::plan.node[node].operand[0], float>(Point<P, -1, HoldsNothing>{b, index, nothing});
      std::memcpy(room + j * length, rows + static_cast<long>(which) * stride, static_cast<std::size_t>(length) * sizeof(T));
    }
    found = {room, length};
  }
  index[F::key] = 0;
  return found;
}

}  // namespace weft::cpu
