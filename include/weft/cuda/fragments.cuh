// fragments: left operands of products with weights in blocks, evaluated once into the workspace in the order in which the lanes of a warp
// need them for tensor cores: digits of q8_0 where the formula quantises, else values as sums of bf16 numbers.
//
// A record holds 16 rows of a group of 32 elements of the depth: for each lane 16 bytes, which are the registers of a matrix A of
// mma.sync.m16n8k32 (digits) or m16n8k16 (bf16), then, of digits, the 16 scales. The order of elements within a group is that of the digits
// of a block, as Decoder gives them: lane q of a row has elements 4 q ... 4 q + 3 and 16 + 4 q ... 16 + 4 q + 3.
#pragma once
#include <weft/cuda/blocks.cuh>
#include <weft/cuda/contraction_facts.cuh>
#include <weft/cuda/device.cuh>

namespace weft::cuda {

inline constexpr int fragment_rows = 16, fragment_bytes = 512;

// left operand l of kernel k
template <class P_, int k, int l> struct Fragments {
  using P = P_;
  using F = ContractionFacts<P, k>;
  using L = typename F::template Left<l>;
  static constexpr bool digits = is_quantised<P, L::node>;
  // A number of f32 is the sum of three of bf16, which have 8 bits each; one of f16, with 11 bits, of two.
  static constexpr int planes = [] {
    const Node& n = F::plan.node[L::node];
    const bool stored = n.kind == NodeKind::leaf || n.kind == NodeKind::cast;
    return stored && n.dtype == DType::bf16 ? 1 : stored && n.dtype == DType::f16 ? 2 : 3;
  }();
  // of a record: 16 elements of the depth in a plane
  static constexpr int record_bytes = digits ? fragment_bytes + 4 * fragment_rows : 2 * planes * fragment_bytes;

  WEFT_BOTH static long groups(const Binding<P>& b) { return count_of<P, typename L::Depth>(b) / 32; }
  WEFT_BOTH static long tiles(const Binding<P>& b) {  // of 16 rows, in a batch
    return (count_of<P, typename F::Rows>(b) + fragment_rows - 1) / fragment_rows;
  }
  static long bytes(const Binding<P>& b) { return count_of<P, typename F::Batch>(b) * tiles(b) * groups(b) * record_bytes; }

  // ---- the task of RowBody
  static constexpr NodeList statistics = L::statistics;
  static constexpr AxisList rows = F::join(F::batch_list, F::rows_list), columns = L::depth;
  static constexpr NodeList roots = [] {
    NodeList n;
    n.add(digits ? static_cast<int>(F::plan.node[L::node].operand[0]) : L::node);
    return n;
  }();
  std::byte* to;
  long row_count, tile_bytes;  // rows of a batch; bytes of 16 rows
  int row;                     // in its tile

  WEFT_DEVICE Fragments at_row(unsigned number) const {
    const long batch = number / row_count, r = number % row_count, batch_tiles = (row_count + fragment_rows - 1) / fragment_rows;
    return {to + (batch * batch_tiles + r / fragment_rows) * tile_bytes, row_count, tile_bytes, static_cast<int>(r % fragment_rows)};
  }
  template <class Point, int width> WEFT_DEVICE void put(const Point& p, unsigned flat, const float (&v)[1][width]) const {
    std::byte* record = to + flat / 32 * static_cast<long>(record_bytes);
    if constexpr (digits) {
      const float largest = largest_of_group(v[0]);
      int digit[width];
      quantize(v[0], largest, digit);
#pragma unroll
      for (int i = 0; i < width; i += 4) {
        const int element = static_cast<int>(flat % 32) + i;
        *reinterpret_cast<unsigned*>(record + place(element % 16 / 4, element / 16)) = word_of(digit + i);
      }
      if (flat % 32 == 0) reinterpret_cast<float*>(record + fragment_bytes)[row] = scale_of_digits(largest);
    } else {
#pragma unroll
      for (int i = 0; i < width; i += Point::vectors ? 2 : 1) {
        if (!Point::vectors && i >= p.n) continue;
        const unsigned at = flat + i;
        std::byte* out = record + (at / 32 - flat / 32) * record_bytes + at % 32 / 16 * (planes * fragment_bytes) +
                         place(static_cast<int>(at % 16 / 4), static_cast<int>(at % 4 / 2)) + at % 2 * 2;
        float rest[2] = {v[0][i], v[0][i + 1 < width ? i + 1 : i]};
#pragma unroll
        for (int plane = 0; plane < planes; ++plane) {
          const unsigned pair = rounded_pair<bf16>(rest[0], rest[1]);
          if constexpr (Point::vectors)
            *reinterpret_cast<unsigned*>(out + plane * fragment_bytes) = pair;
          else
            *reinterpret_cast<std::uint16_t*>(out + plane * fragment_bytes) = static_cast<std::uint16_t>(pair);
          float held[2];
          numbers_of_pair<bf16>(pair, held);
          rest[0] -= held[0];
          rest[1] -= held[1];
        }
      }
    }
  }
  // of a register in a fragment: `second`: of the second half of the depth
  WEFT_DEVICE int place(int quad, int second) const { return (row % 8 * 4 + quad) * 16 + (row / 8 + 2 * second) * 4; }
  template <int lane, int width> static bool is_aligned(const Binding<P>& b) { return extent_of<P, lane>(b) % width == 0; }

  // throws Error where rows are no whole groups of digits
  static void expect_whole_groups(const Binding<P>& b) {
    if constexpr (digits) {
      constexpr int axis = L::depth.axis[L::depth.count - 1];
      if (const long n = extent_of<P, axis>(b); n % 32 != 0)
        throw Error(std::string("q8_0 along axis ") + trimmed_plan<P>.axis[axis].record.name +
                    ": expected rows of a multiple of 32 elements, found " + std::to_string(n));
    }
  }
  // starts to evaluate all rows into `memory`
  static void run(const Binding<P>& b, std::byte* memory, cudaStream_t stream) {
    expect_whole_groups(b);
    const long count = count_of<P, typename F::Rows>(b);
    if (count % fragment_rows != 0)  // rows that are not there are multiplied, too
      check(cudaMemsetAsync(memory, 0, static_cast<std::size_t>(bytes(b)), stream), "clearing rows");
    RowLaunch<Fragments>::run(b, {memory, count, groups(b) * record_bytes, 0}, stream);
  }
};

}  // namespace weft::cuda
