// micro_pack: fills the panels of micro_kernel.hpp from operands in memory, in whatever format and order they lie.
#pragma once
#include "micro_kernel.hpp"

namespace weft::cpu {
namespace detail {

// Within each group of 4 lanes: single lanes or pairs, of a and b in turn, from its first or second half.
template <int width, int half> struct Interleave {
  static constexpr int of(int i) {
    const int group = i / 4 * 4, place = i % 4;
    return group + half * 2 + (width == 1 ? place / 2 + place % 2 * native::lanes : place % 2 + place / 2 * native::lanes);
  }
};
// Groups of 4 lanes: the even or odd ones of a, then those of b.
template <int odd> struct Groups {
  static constexpr int of(int i) {
    constexpr int groups = native::lanes / 4;
    const int g = (i / 4 * 2 + odd), from_b = g >= groups;
    return (from_b ? g - groups : g) * 4 + i % 4 + from_b * native::lanes;
  }
};
template <int even_odd> WEFT_INLINE native::Floats groups(native::Floats a, native::Floats b) { return shuffle<Groups<even_odd>>(a, b); }

// lanes x lanes elements of 32 bits
WEFT_INLINE void transpose(native::Floats (&row)[native::lanes]) {
  using native::Floats;
  constexpr int n = native::lanes / 4;
  Floats q[4][n];  // q[j][g], group m: column 4 * m + j of rows 4 * g ... 4 * g + 3
  unroll<n>([&](auto g) WEFT_FLAT {
    const Floats* r = row + 4 * g;
    const Floats low01 = shuffle<Interleave<1, 0>>(r[0], r[1]), high01 = shuffle<Interleave<1, 1>>(r[0], r[1]);
    const Floats low23 = shuffle<Interleave<1, 0>>(r[2], r[3]), high23 = shuffle<Interleave<1, 1>>(r[2], r[3]);
    q[0][g] = shuffle<Interleave<2, 0>>(low01, low23);
    q[1][g] = shuffle<Interleave<2, 1>>(low01, low23);
    q[2][g] = shuffle<Interleave<2, 0>>(high01, high23);
    q[3][g] = shuffle<Interleave<2, 1>>(high01, high23);
  });
  unroll<4>([&](auto j) WEFT_FLAT {
    const Floats* p = q[j];
    if constexpr (n == 1) {
      row[j] = p[0];
    } else if constexpr (n == 2) {
      row[j] = groups<0>(p[0], p[1]);
      row[4 + j] = groups<1>(p[0], p[1]);
    } else {
      const Floats even01 = groups<0>(p[0], p[1]), odd01 = groups<1>(p[0], p[1]);
      const Floats even23 = groups<0>(p[2], p[3]), odd23 = groups<1>(p[2], p[3]);
      row[j] = groups<0>(even01, even23);
      row[4 + j] = groups<0>(odd01, odd23);
      row[8 + j] = groups<1>(even01, even23);
      row[12 + j] = groups<1>(odd01, odd23);
    }
  });
}

// `lanes` units of 32 bits of a panel: n (<= lanes * depth) values that lie side by side, then zeros
template <class Element, class T> WEFT_INLINE native::Floats units(const T* p, long n) {
  if constexpr (std::is_same_v<Element, float>) return load(p, n).v;
#if defined(WEFT_AVX512_BF16)
  else if constexpr (std::is_same_v<T, bf16>)
    return (native::Floats)Product<bf16>::load(p, n);
  else {
    const Packet low = load(p, n), high = n > 16 ? load(p + 16, n - 16) : Packet(0.f);
    return (native::Floats)_mm512_cvtne2ps_pbh(high.v, low.v);
  }
#endif
}

// pairs of bf16: a lane of `even`, the same of `odd`
WEFT_INLINE void store_pairs(native::Floats even, native::Floats odd, bf16* out) {
  const native::Ints low = native::widen(narrow(even, bf16{})), high = native::widen(narrow(odd, bf16{}));
  native::store(reinterpret_cast<float*>(out), native::floats(low | high << 16));
}

}  // namespace detail

// A right panel from a source whose k is contiguous: src[column * column_stride + k], ncols <= cols columns (weights [out, in]).
template <class Element, class T> void pack_right_rows(const T* src, long column_stride, long k, int ncols, Element* panel) {
  using Kernel = MicroKernel<Element>;
  constexpr int lanes = Packet::lanes, depth = Kernel::depth;
  for (int first = 0; first < Kernel::cols; first += lanes) {
    for (long at = 0; at < k; at += lanes * depth) {
      const long left = k - at < lanes * depth ? k - at : lanes * depth, rows = Kernel::steps(left);
      native::Floats block[lanes];
      if (first + lanes <= ncols && left == lanes * depth)
        unroll<lanes>([&](auto j) WEFT_FLAT { block[j] = detail::units<Element>(src + (first + j) * column_stride + at, lanes * depth); });
      else
        for (int j = 0; j < lanes; ++j)
          block[j] = first + j < ncols ? detail::units<Element>(src + (first + j) * column_stride + at, left) : native::broadcast(0.f);
      detail::transpose(block);
      Element* out = panel + (at / depth * Kernel::cols + first) * depth;
      if (rows == lanes)
        unroll<lanes>([&](auto j) WEFT_FLAT { native::store(reinterpret_cast<float*>(out + j * (Kernel::cols * depth)), block[j]); });
      else
        for (int j = 0; j < rows; ++j) native::store(reinterpret_cast<float*>(out + j * (Kernel::cols * depth)), block[j]);
    }
  }
}

// A right panel from a source whose columns are contiguous: src[k * k_stride + column].
template <class Element, class T> void pack_right_cols(const T* src, long k_stride, long k, int ncols, Element* panel) {
  using Kernel = MicroKernel<Element>;
  constexpr int lanes = Packet::lanes, depth = Kernel::depth;
  for (long at = 0; at < Kernel::steps(k) * depth; at += depth)
    for (int first = 0; first < Kernel::cols; first += lanes) {
      Element* out = panel + (at / depth * Kernel::cols + first) * depth;
      const T* p = src + at * k_stride + first;
      const long n = ncols > first ? ncols - first : 0;
      if constexpr (depth == 1) {
        store(out, n > 0 ? load(p, n) : Packet(0.f));
      } else if constexpr (std::is_same_v<T, Element>) {  // as they are
        const native::Ints low = native::widen(native::load(detail::raw(p), at < k ? n : 0)),
                           high = native::widen(native::load(detail::raw(p + k_stride), at + 1 < k ? n : 0));
        native::store(reinterpret_cast<float*>(out), native::floats(low | high << 16));
      } else {
        const Packet even = n > 0 && at < k ? load(p, n) : Packet(0.f), odd = n > 0 && at + 1 < k ? load(p + k_stride, n) : Packet(0.f);
        detail::store_pairs(even.v, odd.v, out);
      }
    }
}

// Row r of a left panel.
template <class Element> void pack_left_row(const float* row, long k, int r, Element* panel) {
  using Kernel = MicroKernel<Element>;
  if constexpr (Kernel::left_depth > Kernel::depth) return Kernel::pack_left_row(row, k, r, panel);
  constexpr int lanes = Packet::lanes, depth = Kernel::depth;
  for (long at = 0; at < k; at += lanes * depth) {
    const long left = k - at < lanes * depth ? k - at : lanes * depth;
    alignas(64) float unit[lanes];
    native::store(unit, detail::units<Element>(row + at, left));
    Element* out = panel + (at / depth * Kernel::rows + r) * depth;
    for (long i = 0, n = Kernel::steps(left); i < n; ++i) __builtin_memcpy(out + i * (Kernel::rows * depth), unit + i, sizeof(float));
  }
}
// A whole left panel from nrows <= rows rows; the others become zero.
template <class Element, class T> void pack_left(const T* src, long row_stride, long k, int nrows, Element* panel) {
  using Kernel = MicroKernel<Element>;
  if constexpr (Kernel::left_depth > Kernel::depth) return Kernel::pack_left(src, row_stride, k, nrows, panel);
  constexpr int lanes = Packet::lanes, depth = Kernel::depth;
  for (int first = 0; first < Kernel::rows; first += lanes) {
    const int width = Kernel::rows - first < lanes ? Kernel::rows - first : lanes;
    for (long at = 0; at < k; at += lanes * depth) {
      const long left = k - at < lanes * depth ? k - at : lanes * depth;
      native::Floats block[lanes];
      for (int j = 0; j < lanes; ++j)
        block[j] = first + j < nrows ? detail::units<Element>(src + (first + j) * row_stride + at, left) : native::broadcast(0.f);
      detail::transpose(block);
      Element* out = panel + (at / depth * Kernel::rows + first) * depth;
      // Whole packets where the step that follows, which is written later, covers what is too much; partial stores are slow on some CPUs.
      const long n = Kernel::steps(left), whole = first > 0 ? 0 : at + left < k ? n : n - 1;
      for (long j = 0; j < n; ++j)
        native::store(reinterpret_cast<float*>(out + j * (Kernel::rows * depth)), block[j], j < whole ? lanes : width);
    }
  }
}

}  // namespace weft::cpu
