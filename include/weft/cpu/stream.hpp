// stream: contraction - map of its result with online statistics - contraction, block by block along the streamed axis, after FlashAttention
// (Dao et al., arXiv 2205.14135). Each block of keys has a maximum m of its own; exp(m - M) corrects when blocks are combined, in their order, and
// at the end for whatever maximum M the formula subtracts. Loop bounds come from the mask.
//
// A block is worked on in one of three ways. Within each a row does not depend on what is computed with it, nor on the number of threads; the
// first sums scores in another order than the others:
//   few    up to 8 rows: keys and values are read where they lie, once for all rows; the blocks are shared out among the threads
//   split  up to 132 rows: keys and values are packed in panels; the blocks are shared out among the threads
//   whole  many rows: a thread takes a run of rows through all blocks
// Keys and values that an index names, such as pages of a cache, are brought together block by block (stream_gathered.hpp).
#pragma once
#include <weft/cpu/stream_gathered.hpp>
#include <weft/cpu/stream_rows.hpp>
#include <weft/cpu/team.hpp>

namespace weft::cpu {

template <class P, int k> struct StreamKernel : StreamRows<P, k> {
  using F = StreamRows<P, k>;
  using F::column_runs;
  using F::lanes;
  using F::out_size;
  using F::padded;
  using F::tile_columns;
  using typename F::C;
  using typename F::Element;
  using typename F::Weight;
  using KeyTile = StreamTile<Element>;
  using ValueTile = StreamTile<Weight>;
  static constexpr int tile_rows = ValueTile::rows;
  // scores, weights and a panel of values fit the first-level cache; keys and values of a block and the sums of all rows the second
  static constexpr long block_keys = 256;
  static constexpr long most_few_rows = 8, most_split_rows = 132 / tile_rows * tile_rows, most_rows = 384 / tile_rows * tile_rows;
  static constexpr int most_together = std::max<int>(tile_rows, most_few_rows);
  static constexpr long value_panel = ValueTile::right_size(block_keys + 32);  // packing fills up the depth from any even key on
  static_assert(block_keys % tile_columns == 0);

  enum class Way { few, split, whole };
  struct State {  // of a thread
    long *low, *high;
    Element *left, *keys;
    Weight *values, *weights;
    float *score, *part, *row, *evaluated;
    float *maximum, *sum, *out;                            // of each row, so far
    typename F::template Room<F::Inner::right>* key_rows;  // of a block, where they are gathered
    typename F::template Room<F::Outer::right>* value_rows;
    float* partial;  // of all threads: for each batch, block and row its maximum, sum and accumulators
  };
  static long depth_of(const Binding<P>& b) { return count_of<P, F::depth>(b); }
  static long rows_of(const Binding<P>& b) { return count_of<P, F::rows>(b); }
  static long left_stride(const Binding<P>& b) { return round_up(depth_of(b), 64); }
  static long blocks(const Binding<P>& b) { return std::max(1L, (extent_of<P, F::key>(b) + block_keys - 1) / block_keys); }
  static long partial_size(const Binding<P>& b) { return round_up(2 + out_size(b), 16); }

  static constexpr bool plain(int node) { return F::plan.node[node].kind == NodeKind::leaf && !is_block(F::plan.node[node].dtype); }
  template <int node> static constexpr bool gathered = F::template is_gathered<node>;
  template <int node> static constexpr bool has_rows = plain(node) || gathered<node>;
  static constexpr bool has_rows_to_read = has_rows<F::Inner::right> && has_rows<F::Outer::right>;
  static Way way(const Binding<P>& b) {
    if constexpr (has_rows_to_read)
      if (rows_of(b) <= most_few_rows && LeafAccess<P, F::Inner::right>::template flat_step<F::depth>(b) == 1 &&
          LeafAccess<P, F::Outer::right>::template flat_step<C::list>(b) == 1 &&
          (column_runs(b) == 1 || extent_of<P, C::inner>(b) == padded(b)))
        return Way::few;
    return rows_of(b) <= most_split_rows ? Way::split : Way::whole;
  }
  // rows that a thread takes through all blocks: enough to pay for packing keys and values, few enough for all threads to have work
  static long row_block(const Binding<P>& b, int threads) {
    const long wanted = count_of<P, F::batch>(b) * rows_of(b) / (8 * threads);
    return std::clamp(round_up(wanted, tile_rows), 8L * tile_rows, most_rows);
  }

  static State layout(const Binding<P>& b, int threads, int thread, Arena& arena, Way way) {
    State s{}, mine{};
    const long batches = count_of<P, F::batch>(b), depth = depth_of(b), panels = out_size(b) / tile_columns;
    const long rows = way == Way::few ? batches * most_few_rows : way == Way::split ? most_split_rows : most_rows;
    if (way != Way::whole)
      s.partial = arena.take<float>(batches * blocks(b) * std::min(rows_of(b), way == Way::few ? most_few_rows : most_split_rows) *
                                    partial_size(b));
    for (int t = 0; t < threads; ++t) {
      s.low = arena.take<long>(rows);
      s.high = arena.take<long>(rows);
      s.left = arena.take<Element>(rows * left_stride(b));
      s.weights = arena.take<Weight>(most_together * block_keys + lanes);
      s.score = arena.take<float>(most_together * block_keys);
      s.part = arena.take<float>(most_together * out_size(b));
      s.row = arena.take<float>(left_stride(b));
      if constexpr (gathered<F::Inner::right>) s.key_rows = arena.take<typename K::T>(block_keys * depth);
      if constexpr (gathered<F::Outer::right>) s.value_rows = arena.take<typename V::T>(block_keys * out_size(b));
      s.out = arena.take<float>((way == Way::whole ? rows : 1) * out_size(b));
      s.maximum = arena.take<float>(way == Way::whole ? rows : 4 * round_up(blocks(b), lanes));
      s.sum = arena.take<float>(way == Way::whole ? rows : 1);
      if (way != Way::few) {
        s.keys = arena.take<Element>(block_keys / tile_columns * KeyTile::right_size(depth));
        s.values = arena.take<Weight>(panels * value_panel);
        s.evaluated = arena.take<float>(tile_columns * std::max(depth, block_keys));
      }
      if (t == thread) mine = s;
    }
    return mine;
  }
  // enough for these rows and for any fewer
  static std::size_t workspace(const Binding<P>& b, int threads) {
    std::size_t most = 0;
    for (const Way w : {Way::few, Way::split, Way::whole}) {
      Arena arena;
      layout(b, threads, 0, arena, w);
      most = std::max(most, arena.used());
    }
    return most;
  }

  static void run(const Binding<P>& b, Worker& worker, std::byte* memory) {
    const long batches = count_of<P, F::batch>(b), rows = rows_of(b);
    if (rows == 0 || batches == 0) return;
    Arena arena(memory);
    const Way w = way(b);
    const State s = layout(b, worker.count(), worker.number(), arena, w);
    if (w == Way::whole) return run_whole(b, worker, s, batches, rows);
    if (w == Way::split)
      run_split(b, worker, s, batches, rows);
    else if constexpr (has_rows_to_read)
      run_few(b, worker, s, batches, rows);
    worker.sync();
    const long size = partial_size(b);
    for (long n = worker.next(); n < batches * rows; n = worker.next()) {
      Index<P> index;
      decode<P, F::batch>(b, n / rows, index);
      decode<P, F::rows>(b, n % rows, index);
      combine(b, s, index, s.partial + (n / rows * blocks(b) * rows + n % rows) * size, rows * size);
    }
  }

  // ---- rows: bounds, and the left operand
  static void stage_row(const Binding<P>& b, const State& s, Index<P>& index, long place) {
    const long depth = depth_of(b);
    F::bounds(b, index, s.low[place], s.high[place]);
    Element* staged = s.left + place * left_stride(b);
    if constexpr (plain(F::Inner::left)) {
      if (const auto* p = in_place<P, F::Inner::left, F::depth>(b, index)) {
        for (long i = 0; i < left_stride(b); i += lanes) store(staged + i, i < depth ? load(p + i, depth - i) : Packet(0.f));
        return;
      }
    }
    evaluate_row<P, F::Inner::left, F::depth, StatisticsOf<P, k, 0>::list>(b, index, s.row);
    for (long i = 0; i < left_stride(b); i += lanes) store(staged + i, i < depth ? load(s.row + i, depth - i) : Packet(0.f));
  }
  static void clear_rows(Index<P>& index) {
    for (int i = 0; i < F::rows.count; ++i) index[F::rows.axis[i]] = 0;
  }
  static long block_size(const Binding<P>& b, long at) { return std::min(block_keys, extent_of<P, F::key>(b) - at); }

  // the keys of a block that a row sees; first and last cover those of some rows, from an even key on
  using Span = typename F::Span;
  struct Cover {
    long first = block_keys, last = 0;
    void add(const State& s, long place, long at, long n) {
      const long from = std::max(s.low[place] - at, 0L), to = std::min(s.high[place] - at, n);
      if (from >= to) return;
      first = std::min(first, from / 2 * 2);
      last = std::max(last, to);
    }
    bool empty() const { return first >= last; }
    Span of_row(const State& s, long place, long at, long n) const {
      return {std::max(s.low[place] - at, 0L), std::min(s.high[place] - at, n), first, last};
    }
  };
  // The weights of rows [first_row, first_row + count), staged from `place` on. All are mapped before any is weighed: so none waits for its own
  // maximum.
  static void map_rows(const Binding<P>& b, const State& s, Index<P>& index, const Cover& cover, long first_row, long place, int count,
                       long at, long n, Seen* seen) {
    Span span[most_together];
    Packet top[most_together];
    decode<P, F::rows>(b, first_row, index);
    for (int r = 0; r < count; ++r, advance<P, F::rows>(b, index)) {
      span[r] = cover.of_row(s, place + r, at, n);
      top[r] = F::map_scores(b, index, at, n, span[r], s.score + r * block_keys, s.weights + r * block_keys);
    }
    clear_rows(index);
    for (int r = 0; r < count; ++r) seen[r] = F::weigh(span[r], top[r], s.score + r * block_keys, s.weights + r * block_keys);
  }
  static void keep_part(float* partial, const Seen& seen, const float* part, long n) {
    partial[0] = seen.maximum;
    partial[1] = seen.sum;
    for (long j = 0; j < n; ++j) partial[2 + j] = part[j];
  }

  // ---- few rows: keys and values where they lie
  using K = LeafAccess<P, F::Inner::right>;
  using V = LeafAccess<P, F::Outer::right>;
  static void run_few(const Binding<P>& b, Worker& worker, const State& s, long batches, long rows) {
    for (long n = 0; n < batches * rows; ++n) {
      Index<P> index;
      decode<P, F::batch>(b, n / rows, index);
      decode<P, F::rows>(b, n % rows, index);
      stage_row(b, s, index, n / rows * most_few_rows + n % rows);
    }
    // Neighbouring batches of the same keys are mostly neighbours in memory: where there are blocks enough, a thread takes them all, in order.
    const long together = blocks(b) >= 6 * worker.count() ? batches : 1, tickets = batches * blocks(b) / together;
    for (long ticket = worker.next(), next = worker.next(); ticket < tickets; ticket = next, next = worker.next())
      for (long i = 0; i < together; ++i) {
        Index<P> index;
        RowsAhead soon;  // the keys of the next block
        if (const long then = i + 1 < together ? ticket * together + i + 1 : next * together; then < tickets * together) {
          decode<P, F::batch>(b, then % batches, index);
          index[F::key] = then / batches * block_keys;
          soon = rows_ahead<K>(b, index, depth_of(b), block_size(b, index[F::key]));
        }
        const long number = ticket * together + i, batch = number % batches, block = number / batches;
        decode<P, F::batch>(b, batch, index);
        index[F::key] = 0;
        few_rows(b, s, index, rows, batch * most_few_rows, block * block_keys,
                 s.partial + (batch * blocks(b) + block) * rows * partial_size(b), soon);
      }
  }
  template <class A> static RowsAhead rows_ahead(const Binding<P>& b, const Index<P>& index, long n, long count) {
    constexpr long size = sizeof(typename A::T);
    if constexpr (!A::uses(F::key)) return {};  // they are gathered
    return {A::data(b) + A::offset(b, index), A::template step<F::key>(b) * size, n * size, count};
  }
  static void few_rows(const Binding<P>& b, const State& s, Index<P>& index, long rows, long place, long at, float* partial,
                       const RowsAhead& keys_soon) {
    const long n = block_size(b, at), out_n = out_size(b), size = partial_size(b), columns = column_runs(b) * extent_of<P, C::inner>(b);
    Cover cover;
    for (long r = 0; r < rows; ++r) cover.add(s, place + r, at, n);
    if (cover.empty()) {
      for (long r = 0; r < rows; ++r) partial[r * size] = F::none;
      return;
    }
    const long first = cover.first / lanes * lanes;
    const auto keys = block_rows<P, k, F::Inner::right>(b, index, at + first, cover.last - first, depth_of(b), s.key_rows);
    const auto values = block_rows<P, k, F::Outer::right>(b, index, at + cover.first, cover.last - cover.first, columns, s.value_rows);
    index[F::key] = at + cover.first;
    const RowsAhead values_soon = rows_ahead<V>(b, index, columns, cover.last - cover.first);
    index[F::key] = 0;
    const long stride = left_stride(b);
    with_rows(rows, [&](auto R) {
      key_products<Element, typename K::T, R>(s.left + place * stride, stride, keys.first, keys.step, cover.last - first, depth_of(b),
                                              s.score + first, block_keys, values_soon);
    });
    Seen seen[most_few_rows];
    map_rows(b, s, index, cover, 0, place, static_cast<int>(rows), at, n, seen);
    with_rows(rows, [&](auto R) {
      weighted_rows<Weight, typename V::T, R>(s.weights + cover.first, block_keys, values.first, values.step, cover.last - cover.first,
                                              s.part, out_n, columns, keys_soon);
    });
    for (long r = 0; r < rows; ++r) keep_part(partial + r * size, seen[r], s.part + r * out_n, out_n);
  }
  // f(the number of rows, or one that is a little larger), as a constant
  template <class Call> static void with_rows(long rows, Call f) {
    if (rows == 1) return f(std::integral_constant<int, 1>{});
    if (rows == 2) return f(std::integral_constant<int, 2>{});
    if (rows <= 4) return f(std::integral_constant<int, 4>{});
    if (rows <= 7) return f(std::integral_constant<int, 7>{});
    f(std::integral_constant<int, 8>{});
  }

  // ---- many rows: keys and values in panels
  static void run_split(const Binding<P>& b, Worker& worker, const State& s, long batches, long rows) {
    long staged = -1;
    for (long ticket = worker.next(); ticket < batches * blocks(b); ticket = worker.next()) {
      Index<P> index;
      const long batch = ticket / blocks(b), at = ticket % blocks(b) * block_keys, size = partial_size(b), out_n = out_size(b);
      decode<P, F::batch>(b, batch, index);
      if (batch != staged) stage_rows(b, s, index, 0, rows);
      staged = batch;
      float* partial = s.partial + ticket * rows * size;
      for (long r = 0; r < rows; ++r) partial[r * size] = F::none;
      rows_and_block(b, s, index, 0, rows, at, [&](long place, int count, const Seen* seen) {
        for (int r = 0; r < count; ++r) keep_part(partial + (place + r) * size, seen[r], s.part + r * out_n, out_n);
      });
    }
  }
  static void run_whole(const Binding<P>& b, Worker& worker, const State& s, long batches, long rows) {
    const long most = row_block(b, worker.count()), row_blocks = (rows + most - 1) / most, out_n = out_size(b);
    for (long ticket = worker.next(); ticket < batches * row_blocks; ticket = worker.next()) {
      Index<P> index;
      const long first = (row_blocks - 1 - ticket / batches) * most;  // the last rows see the most keys under a causal mask: they go first
      const long count = std::min(most, rows - first);
      decode<P, F::batch>(b, ticket % batches, index);
      const Cover all = stage_rows(b, s, index, first, count);
      for (long r = 0; r < count; ++r) {
        s.maximum[r] = F::none;
        s.sum[r] = 0;
      }
      for (long i = 0; i < count * out_n; ++i) s.out[i] = 0;
      for (long at = all.first / block_keys * block_keys; at < all.last; at += block_keys)
        rows_and_block(b, s, index, first, count, at, [&](long place, int n, const Seen* seen) { add_blocks(s, place, n, seen, out_n); });
      decode<P, F::rows>(b, first, index);
      for (long r = 0; r < count; ++r, advance<P, F::rows>(b, index)) {
        F::finish_row(b, index, F::online ? s.maximum[r] : 0.f, s.sum[r], s.out + r * out_n);
      }
    }
  }
  static Cover stage_rows(const Binding<P>& b, const State& s, Index<P>& index, long first, long count) {
    Cover all{extent_of<P, F::key>(b), 0};
    decode<P, F::rows>(b, first, index);
    for (long r = 0; r < count; ++r, advance<P, F::rows>(b, index)) {
      stage_row(b, s, index, r);
      all.add(s, r, 0, extent_of<P, F::key>(b));
    }
    clear_rows(index);
    return all;
  }
  // done(place, count, seen) after each tile of rows that sees any key: its sums are in s.part
  template <class Done>
  static void rows_and_block(const Binding<P>& b, const State& s, Index<P>& index, long first_row, long count, long at, Done done) {
    const long n = block_size(b, at), depth = depth_of(b), out_n = out_size(b), stride = left_stride(b);
    Cover all;
    for (long r = 0; r < count; ++r) all.add(s, r, at, n);
    if (all.empty()) return;
    for (long p = all.first / tile_columns; p * tile_columns < all.last; ++p)
      pack_keys(b, s, index, at + p * tile_columns, std::min(tile_columns, n - p * tile_columns), s.keys + p * KeyTile::right_size(depth));
    index[F::key] = 0;
    pack_values(b, s, index, at, all);
    for (long place = 0; place < count; place += tile_rows) {
      const int tile = static_cast<int>(std::min<long>(tile_rows, count - place));
      Cover cover;
      for (int r = 0; r < tile; ++r) cover.add(s, place + r, at, n);
      if (cover.empty()) continue;
      for (long p = cover.first / tile_columns; p * tile_columns < cover.last; ++p)
        KeyTile::multiply(tile, s.left + place * stride, stride, s.keys + p * KeyTile::right_size(depth), depth, s.score + p * tile_columns,
                          block_keys);
      Seen seen[tile_rows];
      map_rows(b, s, index, cover, first_row + place, place, tile, at, n, seen);
      for (long p = 0; p * tile_columns < out_n; ++p)
        ValueTile::multiply(tile, s.weights + cover.first, block_keys, s.values + p * value_panel + cover.first * tile_columns,
                            cover.last - cover.first, s.part + p * tile_columns, out_n);
      done(place, tile, seen);
    }
  }
  static void pack_keys(const Binding<P>& b, const State& s, Index<P>& index, long at, long n, Element* panel) {
    if constexpr (gathered<F::Inner::right>) {
      if (const long depth = depth_of(b); K::template flat_step<F::depth>(b) == 1) {
        const auto rows = block_rows<P, k, F::Inner::right>(b, index, at, n, depth, s.key_rows);
        return pack_right_rows<Element>(rows.first, rows.step, depth, static_cast<int>(n), panel);
      }
    }
    pack_right<P, F::stream.inner, F::key, F::depth>(b, index, at, static_cast<int>(n), s.evaluated, panel);
  }
  static void pack_values(const Binding<P>& b, const State& s, Index<P>& index, long at, const Cover& cover) {
    const long runs = column_runs(b), panels = padded(b) / tile_columns, columns = extent_of<P, C::inner>(b);
    for (long o = 0; o < runs; ++o) {
      decode<P, C::list, 0, C::last>(b, o, index);
      for (long p = 0; p < panels; ++p)
        pack_values(b, s, index, at + cover.first, cover.last - cover.first, p * tile_columns,
                    static_cast<int>(std::min(tile_columns, columns - p * tile_columns)),
                    s.values + (o * panels + p) * value_panel + cover.first * tile_columns);
    }
    for (int i = 0; i < C::list.count; ++i) index[C::list.axis[i]] = 0;
  }
  // a panel of the outer right operand: depth are the keys [at, at + n), columns lie along the innermost output axis
  static void pack_values(const Binding<P>& b, const State& s, Index<P>& index, long at, long n, long column, int columns, Weight* panel) {
    constexpr int right = F::Outer::right;
    index[C::inner] = column;
    if constexpr (has_rows<right>) {
      if (V::template step<C::inner>(b) == 1) {
        const auto rows = block_rows<P, k, right>(b, index, at, n, columns, s.value_rows);
        return pack_right_cols<Weight>(rows.first, rows.step, n, columns, panel);
      }
    }
    const HoldsNothing nothing;
    for (int c = 0; c < columns; ++c) {
      index[C::inner] = column + c;
      for (long j = 0; j < n; ++j) {
        index[F::key] = at + j;
        s.evaluated[c * n + j] = evaluate<right, float>(Point<P, -1, HoldsNothing>{b, index, nothing});
      }
    }
    index[F::key] = 0;
    pack_right_rows<Weight>(static_cast<const float*>(s.evaluated), n, n, columns, panel);
  }

  // ---- blocks are combined in their order
  // some rows and one block
  static void add_blocks(const State& s, long place, int count, const Seen* seen, long out_n) {
    float block[tile_rows], maximum[tile_rows], shrink[tile_rows], weigh[tile_rows];
    for (int r = 0; r < count; ++r) block[r] = seen[r].maximum;
    F::factors(s.maximum + place, block, count, maximum, shrink, weigh);
    for (int r = 0; r < count; ++r) {
      if (block[r] == F::none) continue;
      s.sum[place + r] = s.sum[place + r] * shrink[r] + seen[r].sum * weigh[r];
      s.maximum[place + r] = maximum[r];
      F::add_block(s.out + (place + r) * out_n, shrink[r], s.part + r * out_n, weigh[r], out_n);
    }
  }
  // one row and all its blocks
  static void combine(const Binding<P>& b, const State& s, Index<P>& index, const float* partial, long stride) {
    const long n = blocks(b), room = round_up(n, lanes), out_n = out_size(b);
    float *before = s.maximum, *block = before + room, *shrink = block + room, *weigh = shrink + room;
    float maximum = F::none, sum = 0;
    for (long i = 0; i < n; ++i) {
      before[i] = maximum;
      block[i] = partial[i * stride];
      if (block[i] != F::none) maximum = std::max(maximum, block[i]);
    }
    F::factors(before, block, n, before, shrink, weigh);
    for (long j = 0; j < out_n; ++j) s.out[j] = 0;
    for (long i = 0; i < n; ++i) {
      if (block[i] == F::none) continue;
      const float* part = partial + i * stride;
      sum = sum * shrink[i] + part[1] * weigh[i];
      F::add_block(s.out, shrink[i], part + 2, weigh[i], out_n);
    }
    F::finish_row(b, index, F::online ? maximum : 0.f, sum, s.out);
  }
};

}  // namespace weft::cpu
