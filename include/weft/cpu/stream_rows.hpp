// stream_rows: what happens to single rows of a stream: their bounds, the map from scores to weights, blocks combined, the epilogue.
#pragma once
#include <weft/cpu/micro_stream.hpp>
#include <weft/cpu/stream_facts.hpp>

#include <algorithm>

namespace weft::cpu {

// A row's share of a block of keys, or of all blocks so far: exp(score - maximum) is what its weights are made of. Where it is `none`, no key was seen.
struct Seen {
  float maximum, sum;
};

template <class P, int k> struct StreamRows : StreamFacts<P, k> {
  using F = StreamFacts<P, k>;
  using typename F::C;
  using typename F::Weight;
  static constexpr int lanes = Packet::lanes;
  static constexpr long tile_columns = StreamTile<float>::cols;

  static long padded(const Binding<P>& b) { return round_up(extent_of<P, C::inner>(b), tile_columns); }
  static long column_runs(const Binding<P>& b) { return count_of<P, C::list, 0, C::last>(b); }
  static long out_size(const Binding<P>& b) { return column_runs(b) * padded(b); }

  // the keys that the row sees at which index stands
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

  // The keys [from, to) of a block that a row sees; weights are wanted of [first, last), zeros outside. All are counted within the block. Packets
  // lie at multiples of `lanes` of the block, so scores and weights have room for whole ones.
  struct Span {
    long from, to, first, last;
    bool empty() const { return from >= to; }
  };
  // Maps the scores of a row, which index stands at; the block begins at key `at` and has n. Their maximum in some lane, where weigh makes weights
  // of them; else the weights are made here.
  [[gnu::noinline]] static Packet map_scores(const Binding<P>& b, Index<P>& index, long at, long n, const Span& span, float* score,
                                             Weight* weight) {
    const Packet outside(F::online ? F::none : 0.f);
    if (span.empty()) return outside;
    constexpr int key = F::key;
    Scores<P, k> held{score};
    using Row = WithInvariants<P, key, Scores<P, k>, OnlyNode<F::mapped>::list>;
    index[key] = at;
    const Row row(b, index, held);
    const long begin = span.from / lanes * lanes;
    const auto mapped = [&](long j, long count) WEFT_FLAT {
      held.at = j;
      index[key] = at + j;
      return evaluate<F::mapped, Packet>(Point<P, key, Row>{b, index, row, count});
    };
    const auto edge = [&](long j) WEFT_FLAT {  // a packet that is not inside as a whole
      const Packet v = keep(mapped(j, std::min<long>(n - j, lanes)), span.to - j, outside);
      return j < span.from ? keep(outside, span.from - j, v) : v;
    };
    if constexpr (F::online) {
      Packet top = outside;
      const auto see = [&](long j, Packet s) WEFT_FLAT {
        top = greater(top, s);
        store(score + j, s);
      };
      long j = begin;
      if (j < span.from) {
        see(j, edge(j));
        j += lanes;
      }
      for (; j + lanes <= span.to; j += lanes) see(j, mapped(j, lanes));
      if (j < span.to) see(j, edge(j));
      index[key] = 0;
      return top;
    } else {
      for (long j = begin; j < span.to; j += lanes) store(weight + j, j < span.from || j + lanes > span.to ? edge(j) : mapped(j, lanes));
      index[key] = 0;
      return outside;
    }
  }
  // A NaN may get lost here; it makes its weight NaN and with it the sum.
  WEFT_INLINE static Packet greater(Packet a, Packet b) { return Packet(native::max(a.v, b.v)); }
  // the weights of scores whose maximum is some lane of `top`
  [[gnu::noinline]] static Seen weigh(const Span& span, Packet top, const float* score, Weight* weight) {
    const auto zeros = [&](long from, long to) WEFT_FLAT {
      for (long j = from; j < to; j += lanes) store(weight + j, Packet(0.f));
    };
    const float maximum = F::online ? detail::fold<lanes / 2>(top, [](Packet a, Packet b) WEFT_FLAT { return greater(a, b); }) : 0.f;
    if (span.empty() || maximum == F::none) {
      zeros(span.first / lanes * lanes, span.last);
      return {F::none, 0.f};
    }
    zeros(span.first / lanes * lanes, span.from / lanes * lanes);
    zeros(round_up(span.to, lanes), span.last);
    Packet sum_of(0.f);
    if constexpr (F::online)
      for (long j = span.from / lanes * lanes; j < span.to; j += lanes) {
        const Packet s = load(score + j) - Packet(maximum);
        if constexpr (F::rounds) {
          const Packet w = exp_to_round(s);
          if constexpr (F::sums_rounded || !std::is_same_v<Weight, typename F::Rounded>) {
            const Packet r = round_to<typename F::Rounded>(w);
            sum_of += F::sums_rounded ? r : w;
            store(weight + j, r);
          } else {
            sum_of += w;
            store(weight + j, w);
          }
        } else {
          const Packet w = exp(s);
          sum_of += w;
          store(weight + j, w);
        }
      }
    return {maximum, sum(sum_of)};
  }

  // ---- blocks are combined one after the other. What is seen so far shrinks by exp(maximum - new maximum), so does the block.
  // before[i], block[i]: maxima of one row after another, or of several; gives the new maxima and both factors
  static void factors(const float* before, const float* block, long n, float* maximum, float* shrink, float* weigh) {
    for (long i = 0; i < n; i += lanes) {
      const Packet m = load(before + i, n - i), x = load(block + i, n - i), top = max(m, x);
      store(maximum + i, top, n - i);
      store(shrink + i, exp(m - top), n - i);
      store(weigh + i, exp(x - top), n - i);
    }
  }
  WEFT_INLINE static void add_block(float* out, float shrink, const float* part, float weigh, long n) {
    for (long j = 0; j < n; j += lanes) store(out + j, fma(load(out + j), Packet(shrink), load(part + j) * Packet(weigh)));
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
      for (long j = 0, n = out_size(b); j < n; j += lanes) store(out + j, load(out + j) * Packet(correction));
    }
    for (long o = 0; o < outer; ++o) {
      decode<P, C::list, 0, C::outer>(b, o, index);
      Epilogue<P, k, 0>::run(b, index, Block{out + o * runs * padded(b), runs, padded(b), total, maximum}, 0, length);
    }
  }
};

}  // namespace weft::cpu
