// stream: contraction - map of its result with online statistics - contraction, block by block along the streamed axis, after FlashAttention
// (Dao et al., arXiv 2205.14135). The running maximum m is the kernel's own; exp(m - M) corrects at the end for whatever maximum M the formula
// subtracts. Loop bounds come from the mask. Few rows: the streamed axis is split into pieces of fixed size, so that all threads work on
// one row, and the partial results are combined in the order of the pieces.
#pragma once
#include <weft/cpu/stream_facts.hpp>
#include <weft/cpu/team.hpp>

#include <algorithm>

namespace weft::cpu {

template <class P, int k> struct StreamKernel : StreamFacts<P, k> {
  using F = StreamFacts<P, k>;
  using typename F::C;
  using typename F::Element;
  using Kernel = MicroKernel<Element>;
  using Values = MicroKernel<float>;
  static constexpr int tile_rows = Values::rows;
  static constexpr long tile_columns = Values::cols;
  static constexpr long block_keys = 64, split_keys = 256;
  static constexpr long most_rows = 8 * tile_rows, most_few_rows = 16;
  static_assert(block_keys % tile_columns == 0);

  struct State {  // of a piece of work: rows x (running maximum, sum, accumulators)
    float *maximum, *sum, *out, *score;
    long *low, *high;
    Element* left;
    Element* right_keys;
    float *right_values, *weights, *row, *evaluated;
  };
  static long padded(const Binding<P>& b) { return round_up(extent_of<P, C::inner>(b), tile_columns); }
  static long column_runs(const Binding<P>& b) { return count_of<P, C::list, 0, C::last>(b); }
  static long out_size(const Binding<P>& b) { return column_runs(b) * padded(b); }
  static long depth_of(const Binding<P>& b) { return count_of<P, F::depth>(b); }
  static long rows_of(const Binding<P>& b) { return count_of<P, F::rows>(b); }

  // few rows need operands that can be used where they lie
  static bool is_few(const Binding<P>& b) {
    if constexpr (!F::Inner::right_is_leaf || !F::Outer::right_is_leaf)
      return false;
    else
      return rows_of(b) <= most_few_rows && right_layout<P, F::stream.inner, F::key, F::depth>(b) == RightLayout::depth_contiguous &&
             LeafAccess<P, F::Outer::right>::template flat_step<C::list>(b) == 1 &&
             (column_runs(b) == 1 || extent_of<P, C::inner>(b) == padded(b));
  }
  static long splits(const Binding<P>& b) { return std::max(1L, (extent_of<P, F::key>(b) + split_keys - 1) / split_keys); }
  static long partial_size(const Binding<P>& b) { return round_up(2 + out_size(b), 16); }

  static State layout(const Binding<P>& b, int threads, int thread, Arena& arena, bool few, float*& partial) {
    State s{}, mine{};
    const long rows = few ? most_few_rows : most_rows, depth = depth_of(b);
    partial =
        few ? arena.take<float>(count_of<P, F::batch>(b) * splits(b) * std::min(rows_of(b), most_few_rows) * partial_size(b)) : nullptr;
    for (int t = 0; t < threads; ++t) {
      s.maximum = arena.take<float>(rows);
      s.sum = arena.take<float>(rows);
      s.low = arena.take<long>(rows);
      s.high = arena.take<long>(rows);
      s.out = arena.take<float>(rows * out_size(b));
      s.score = arena.take<float>(rows * block_keys);
      s.row = arena.take<float>(round_up(depth, 64));
      s.left = arena.take<Element>(few ? rows * round_up(depth, 64) : rows / tile_rows * Kernel::left_size(depth));
      if (!few) {
        s.right_keys = arena.take<Element>(block_keys / tile_columns * Kernel::right_size(depth));
        s.right_values = arena.take<float>(out_size(b) / tile_columns * Values::right_size(block_keys));
        s.weights = arena.take<float>(rows / tile_rows * Values::left_size(block_keys));
        s.evaluated = arena.take<float>(tile_columns * std::max(depth, block_keys));
      }
      if (t == thread) mine = s;
    }
    return mine;
  }
  // enough for these rows and for any fewer
  static std::size_t workspace(const Binding<P>& b, int threads) {
    Arena many, few;
    float* partial;
    layout(b, threads, 0, many, false, partial);
    layout(b, threads, 0, few, true, partial);
    return std::max(many.used(), few.used());
  }

  static void run(const Binding<P>& b, Worker& worker, std::byte* memory) {
    if (rows_of(b) == 0) return;
    Arena arena(memory);
    float* partial;
    const bool few = is_few(b);
    const State s = layout(b, worker.count(), worker.number(), arena, few, partial);
    const long batches = count_of<P, F::batch>(b), rows = rows_of(b);
    if (!few) {
      const long blocks = (rows + most_rows - 1) / most_rows;
      for (long w = worker.next(); w < batches * blocks; w = worker.next()) {
        Index<P> index;
        const long block = blocks - 1 - w / batches;  // the last rows see the most keys under a causal mask: they go first
        decode<P, F::batch>(b, w % batches, index);
        many_rows(b, s, index, block * most_rows, std::min(most_rows, rows - block * most_rows));
      }
      return;
    }
    if constexpr (F::Inner::right_is_leaf && F::Outer::right_is_leaf) {
      const long pieces = splits(b);
      for (long w = worker.next(); w < batches * pieces; w = worker.next()) {
        Index<P> index;
        decode<P, F::batch>(b, w / pieces, index);
        few_rows(b, s, index, rows, w % pieces, partial + w * rows * partial_size(b));
      }
      worker.sync();
      for (long w = worker.next(); w < batches * rows; w = worker.next()) {
        Index<P> index;
        decode<P, F::batch>(b, w / rows, index);
        decode<P, F::rows>(b, w % rows, index);
        combine(b, s, index, partial + (w / rows * pieces * rows + w % rows) * partial_size(b), rows * partial_size(b), pieces);
      }
    }
  }

  // ---- bounds of the loop over keys for the row that index stands at
  static void bounds(const Binding<P>& b, const Index<P>& index, long& low, long& high) {
    const HoldsNothing nothing;
    const Point<P, -1, HoldsNothing> p{b, index, nothing};
    low = 0;
    high = extent_of<P, F::key>(b);
    unroll<F::stream.lows>(
        [&](auto i) { low = std::max(low, static_cast<long>(evaluate<F::stream.low[i].node, float>(p)) + F::stream.low[i].plus); });
    unroll<F::stream.highs>(
        [&](auto i) { high = std::min(high, static_cast<long>(evaluate<F::stream.high[i].node, float>(p)) + F::stream.high[i].plus); });
    high = std::max(high, low);
  }

  // maps n scores of one row in place to weights, and updates its running maximum, sum and accumulators
  template <bool interior> [[gnu::noinline]] static void map_row(const Binding<P>& b, Index<P>& index, long first, long n, float* score,
                                                                 float& maximum, float& total, float* out, long out_n) {
    constexpr int key = F::key;
    Scores<P, k, interior> held{score};
    using Row = WithInvariants<P, key, Scores<P, k, interior>, OnlyNode<F::mapped>::list>;
    index[key] = first;
    const Row row(b, index, held);
    Packet top(F::none);
    for (long j = 0; j < n; j += Packet::lanes) {
      held.at = j;
      index[key] = first + j;
      const long count = std::min<long>(n - j, Packet::lanes);
      const Packet v = evaluate<F::mapped, Packet>(Point<P, key, Row>{b, index, row, count});
      if constexpr (F::online) {
        const Packet s = keep(v, count, Packet(F::none));
        top = max(top, s);
        store(score + j, s);
      } else {
        store(score + j, keep(v, count));
      }
    }
    index[key] = 0;
    if constexpr (F::online) {
      const float fresh = std::max(maximum, max(top));
      if (fresh == F::none) {  // no key so far
        for (long j = 0; j < n; ++j) score[j] = 0;
        return;
      }
      if (fresh != maximum) {
        const float correction = maximum == F::none ? 0.f : std::exp(maximum - fresh);
        total *= correction;
        for (long j = 0; j < out_n; j += Packet::lanes) store(out + j, load(out + j) * Packet(correction));
        maximum = fresh;
      }
      Packet sum_of(0.f);
      for (long j = 0; j < n; j += Packet::lanes) {
        const Packet w = exp(load(score + j) - Packet(maximum));
        store(score + j, w);
        sum_of += w;
      }
      total += sum(sum_of);
    }
  }

  // the end of a row: corrected accumulators go through the epilogue
  [[gnu::noinline]] static void finish_row(const Binding<P>& b, Index<P>& index, float maximum, float total, float* out) {
    const long runs = C::runs(b), outer = count_of<P, C::list, 0, C::outer>(b), length = extent_of<P, C::inner>(b);
    if constexpr (F::online && F::subtracted != F::stream.maximum) {
      float correction;
      if constexpr (F::subtracted >= 0) {
        const Accumulators<P, k, 0, 0> held{Block{out, runs, padded(b), total, maximum}, nullptr};
        correction = std::exp(maximum - evaluate<F::subtracted, float>(Point<P, -1, Accumulators<P, k, 0, 0>>{b, index, held}));
      } else {
        correction = std::exp(maximum);
      }
      total *= correction;
      for (long j = 0, n = out_size(b); j < n; j += Packet::lanes) store(out + j, load(out + j) * Packet(correction));
    }
    for (long o = 0; o < outer; ++o) {
      decode<P, C::list, 0, C::outer>(b, o, index);
      Epilogue<P, k, 0>::run(b, index, Block{out + o * runs * padded(b), runs, padded(b), total, maximum}, 0, length);
    }
  }

  // ---- many rows: all operands in panels
  static void many_rows(const Binding<P>& b, const State& s, Index<P>& index, long first_row, long count) {
    const long depth = depth_of(b), out_n = out_size(b), tiles = (count + tile_rows - 1) / tile_rows;
    long low = extent_of<P, F::key>(b), high = 0, low_of_all = 0, high_of_all = low;
    for (long r = 0; r < count; ++r) {
      decode<P, F::rows>(b, first_row + r, index);
      bounds(b, index, s.low[r], s.high[r]);
      low = std::min(low, s.low[r]);
      high = std::max(high, s.high[r]);
      low_of_all = std::max(low_of_all, s.low[r]);
      high_of_all = std::min(high_of_all, s.high[r]);
      s.maximum[r] = F::online ? F::none : 0.f;
      s.sum[r] = 0;
      evaluate_row<P, F::Inner::left, F::depth, StatisticsOf<P, k, 0>::list>(b, index, s.row);
      pack_left_row<Element>(s.row, depth, static_cast<int>(r % tile_rows), s.left + r / tile_rows * Kernel::left_size(depth));
    }
    for (long i = 0; i < count * out_n; ++i) s.out[i] = 0;
    clear_rows(index);
    // blocks lie at multiples of their size, so that the result of a row does not depend on the rows that it is computed with
    for (long at = low / block_keys * block_keys; at < high; at += block_keys) {
      const long n = std::min(block_keys, extent_of<P, F::key>(b) - at);
      for (long p = 0; p * tile_columns < n; ++p)
        pack_right<P, F::stream.inner, F::key, F::depth>(b, index, at + p * tile_columns,
                                                         static_cast<int>(std::min(tile_columns, n - p * tile_columns)), s.evaluated,
                                                         s.right_keys + p * Kernel::right_size(depth));
      index[F::key] = 0;
      for (long t = 0; t < tiles; ++t)
        for (long p = 0; p * tile_columns < n; ++p)
          Kernel::tile(static_cast<int>(std::min<long>(tile_rows, count - t * tile_rows)), s.left + t * Kernel::left_size(depth),
                       s.right_keys + p * Kernel::right_size(depth), depth, s.score + t * tile_rows * block_keys + p * tile_columns,
                       block_keys, false);
      const bool interior = at >= low_of_all && at + n <= high_of_all;
      for (long r = 0; r < count; ++r) {
        float* score = s.score + r * block_keys;
        if (at >= s.high[r] || at + n <= s.low[r]) {
          for (long j = 0; j < n; ++j) score[j] = 0;
        } else {
          decode<P, F::rows>(b, first_row + r, index);
          if (interior)
            map_row<true>(b, index, at, n, score, s.maximum[r], s.sum[r], s.out + r * out_n, out_n);
          else
            map_row<false>(b, index, at, n, score, s.maximum[r], s.sum[r], s.out + r * out_n, out_n);
        }
        pack_left_row<float>(score, n, static_cast<int>(r % tile_rows), s.weights + r / tile_rows * Values::left_size(block_keys));
      }
      clear_rows(index);
      add_values(b, s, index, at, n, count);
    }
    for (long r = 0; r < count; ++r) {
      decode<P, F::rows>(b, first_row + r, index);
      finish_row(b, index, s.maximum[r], s.sum[r], s.out + r * out_n);
    }
  }
  static void add_values(const Binding<P>& b, const State& s, Index<P>& index, long at, long n, long count) {
    const long out_n = out_size(b), runs = column_runs(b), panels = padded(b) / tile_columns, columns = extent_of<P, C::inner>(b);
    for (long o = 0; o < runs; ++o) {
      decode<P, C::list, 0, C::last>(b, o, index);
      for (long p = 0; p < panels; ++p)
        pack_values(b, index, at, n, p * tile_columns, static_cast<int>(std::min(tile_columns, columns - p * tile_columns)), s.evaluated,
                    s.right_values + (o * panels + p) * Values::right_size(block_keys));
    }
    for (int i = 0; i < C::list.count; ++i) index[C::list.axis[i]] = 0;
    for (long t = 0; t * tile_rows < count; ++t)
      for (long p = 0; p < runs * panels; ++p)
        Values::tile(static_cast<int>(std::min<long>(tile_rows, count - t * tile_rows)), s.weights + t * Values::left_size(block_keys),
                     s.right_values + p * Values::right_size(block_keys), n, s.out + t * tile_rows * out_n + p * tile_columns, out_n, true);
  }
  // a panel of the outer right operand: depth are the keys [at, at + n), columns lie along the innermost output axis
  static void pack_values(const Binding<P>& b, Index<P>& index, long at, long n, long column, int columns, float* evaluated, float* panel) {
    constexpr int right = F::Outer::right;
    index[C::inner] = column;
    index[F::key] = at;
    if constexpr (F::Outer::right_is_leaf) {
      using A = LeafAccess<P, right>;
      const auto* data = A::data(b) + A::offset(b, index);
      const long key_step = A::template step<F::key>(b), column_step = A::template step<C::inner>(b);
      if (column_step == 1) {
        pack_right_cols<float>(data, key_step, n, columns, panel);
        index[F::key] = 0;
        return;
      }
    }
    const HoldsNothing nothing;
    for (int c = 0; c < columns; ++c) {
      index[C::inner] = column + c;
      for (long j = 0; j < n; ++j) {
        index[F::key] = at + j;
        evaluated[c * n + j] = evaluate<right, float>(Point<P, -1, HoldsNothing>{b, index, nothing});
      }
    }
    index[F::key] = 0;
    pack_right_rows<float>(static_cast<const float*>(evaluated), n, n, columns, panel);
  }
  static void clear_rows(Index<P>& index) {
    for (int i = 0; i < F::rows.count; ++i) index[F::rows.axis[i]] = 0;
  }

  // ---- few rows: a piece of the keys, operands where they lie; partial: for each row maximum, sum, accumulators
  static void few_rows(const Binding<P>& b, const State& s, Index<P>& index, long count, long piece, float* partial) {
    const long depth = depth_of(b), out_n = out_size(b), size = partial_size(b), row_size = round_up(depth, 64);
    const long begin = piece * split_keys, end = std::min(begin + split_keys, extent_of<P, F::key>(b));
    const Element* left[most_few_rows];
    long low = end, high = begin, low_of_all = begin, high_of_all = end;
    for (long r = 0; r < count; ++r) {
      decode<P, F::rows>(b, r, index);
      bounds(b, index, s.low[r], s.high[r]);
      low = std::min(low, std::max(s.low[r], begin));
      high = std::max(high, std::min(s.high[r], end));
      low_of_all = std::max(low_of_all, s.low[r]);
      high_of_all = std::min(high_of_all, s.high[r]);
      float* mine = partial + r * size;
      mine[0] = F::online ? F::none : 0.f;
      for (long i = 1; i < size; ++i) mine[i] = 0;
    }
    if (low >= high) return;
    for (long r = 0; r < count; ++r) {
      decode<P, F::rows>(b, r, index);
      evaluate_row<P, F::Inner::left, F::depth, StatisticsOf<P, k, 0>::list>(b, index, s.row);
      Element* staged = s.left + r * row_size;
      for (long i = 0; i < depth; i += Packet::lanes) store(staged + i, load(s.row + i, depth - i), depth - i);
      left[r] = staged;
    }
    for (long r = count; r < most_few_rows; ++r) left[r] = left[count - 1];
    clear_rows(index);
    using K = LeafAccess<P, F::Inner::right>;
    using V = LeafAccess<P, F::Outer::right>;
    for (long at = low / block_keys * block_keys; at < high; at += block_keys) {
      const long n = std::min(block_keys, end - at);
      index[F::key] = at;
      const typename K::T* keys = K::data(b) + K::offset(b, index);
      const typename V::T* values = V::data(b) + V::offset(b, index);
      index[F::key] = 0;
      for (long r = 0; r < count; r += FewRows<Element, typename K::T>::most)
        FewRows<Element, typename K::T>(count - r).products(left + r, keys, K::template step<F::key>(b), n, depth, s.score + r * block_keys,
                                                            block_keys);
      const bool interior = at >= low_of_all && at + n <= high_of_all;
      for (long r = 0; r < count; ++r) {
        float *score = s.score + r * block_keys, *mine = partial + r * size;
        if (at >= s.high[r] || at + n <= s.low[r]) {
          for (long j = 0; j < n; ++j) score[j] = 0;
          continue;
        }
        decode<P, F::rows>(b, r, index);
        if (interior)
          map_row<true>(b, index, at, n, score, mine[0], mine[1], mine + 2, out_n);
        else
          map_row<false>(b, index, at, n, score, mine[0], mine[1], mine + 2, out_n);
      }
      clear_rows(index);
      const long columns = column_runs(b) * extent_of<P, C::inner>(b), step = V::template step<F::key>(b);
      long r = 0;
      for (; r + 4 <= count; r += 4)
        accumulate<4>(partial + r * size + 2, size, columns, s.score + r * block_keys, block_keys, values, step, n);
      for (; r < count; ++r) accumulate<1>(partial + r * size + 2, size, columns, s.score + r * block_keys, block_keys, values, step, n);
    }
  }
  static void combine(const Binding<P>& b, const State& s, Index<P>& index, const float* partial, long stride, long pieces) {
    const long out_n = out_size(b);
    float maximum = F::online ? F::none : 0.f, total = 0;
    for (long i = 0; i < pieces; ++i) maximum = std::max(maximum, partial[i * stride]);
    for (long j = 0; j < out_n; ++j) s.out[j] = 0;
    for (long i = 0; i < pieces; ++i) {
      const float* part = partial + i * stride;
      if (F::online && part[0] == F::none) continue;
      const float factor = F::online ? std::exp(part[0] - maximum) : 1.f;
      total += factor * part[1];
      for (long j = 0; j < out_n; ++j) s.out[j] += factor * part[2 + j];
    }
    finish_row(b, index, maximum, total, s.out);
  }
};

}  // namespace weft::cpu
