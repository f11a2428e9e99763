// row_body: what a row does: any number of reductions along it, then values for each of its elements. A row belongs to a warp or to a
// block, by its extent; what one pass along it has computed and a later one needs stays in registers. The skeleton row is made of it, and
// the staging of left operands of contractions.
#pragma once
#include <weft/cuda/graph.cuh>

namespace weft::cuda {

template <bool is_sum> inline constexpr float neutral = is_sum ? 0.f : -__builtin_inff();

template <bool is_sum> WEFT_DEVICE float combine(float a, float b) {
  if constexpr (is_sum)
    return a + b;
  else
    return math::max(a, b);
}
// over the lanes of a warp; all of them get the result
template <bool is_sum> WEFT_DEVICE float reduce_warp(float v) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) v = combine<is_sum>(v, __shfl_xor_sync(0xffffffffu, v, distance));
  return v;
}
// over threadIdx.x of a block of whole warps; all threads get the result. part: 32 floats in shared memory that nothing else uses
template <bool is_sum> WEFT_DEVICE float reduce_block(float v, float* part) {
  v = reduce_warp<is_sum>(v);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  v = part[0];
  for (unsigned w = 1; w < blockDim.x / 32; ++w) v = combine<is_sum>(v, part[w]);
  return v;
}

// A Task says what is done with a row:
//   P                          the program
//   statistics                 NodeList of reductions, in order; a later one may use the earlier ones
//   rows, columns              AxisList: the rows, and the axes of the last pass, outermost first
//   roots                      NodeList of what the last pass evaluates
//   put(point, flat, v)        does something with the values v[root][width] at a point, element `flat` of the row
//   at_row(number)             itself, ready for a row
//   listed(number)             where it has that: which row is meant; negative: none
//
// Its passes: one for each statistic, then the last one.
template <class Task> struct RowFacts {
  using P = typename Task::P;
  static constexpr auto& plan = trimmed_plan<P>;  // for facts only: device code cannot name it
  static constexpr int statistics = Task::statistics.count, passes = statistics + 1;

  static constexpr Mask columns_mask = [] {
    Mask m = 0;
    for (int i = 0; i < Task::columns.count; ++i) m |= bit(Task::columns.axis[i]);
    return m;
  }();
  static constexpr Mask axes_of_pass(int p) { return p == statistics ? columns_mask : plan.node[Task::statistics.node[p]].bound; }
  // passes over the same axes run in the same order
  static constexpr AxisList list_of_pass(int p) {
    const Mask axes = axes_of_pass(p);
    if (axes == columns_mask) return Task::columns;
    int first = p;
    for (int q = p; q-- > 0;)
      if (axes_of_pass(q) == axes) first = q;
    return ordered_below(plan, axes, plan.node[Task::statistics.node[first]].operand[0]);
  }
  template <int p> struct Pass {
    static constexpr AxisList list = list_of_pass(p);
    static constexpr int lane = list.count > 0 ? list.axis[list.count - 1] : -1;
  };
  struct Rows {
    static constexpr AxisList list = Task::rows;
  };
  static constexpr NodeList roots_of_pass(int p) {
    NodeList l;
    if (p == statistics) return Task::roots;
    l.add(plan.node[Task::statistics.node[p]].operand[0]);
    return l;
  }
  static constexpr NodeList known_before(int p) {
    NodeList l;
    for (int i = 0; i < p; ++i) l.add(Task::statistics.node[i]);
    return l;
  }
  template <int p> static constexpr NodeList known = known_before(p);
  template <int p> static constexpr NodeList roots = roots_of_pass(p);

  // ---- What stays in registers: of each pass, the highest nodes that an earlier pass over the same axes has computed.
  static constexpr bool is_kept_kind(NodeKind kind) {
    return kind == NodeKind::leaf || kind == NodeKind::gather || kind == NodeKind::map || kind == NodeKind::cast;
  }
  static constexpr void walk(int node, const NodeList& known, const NodeList& computed, Mask lane, NodeList& seen, NodeList& kept) {
    if (seen.has(node) || known.has(node)) return;
    seen.add(node);
    if (computed.has(node) && is_kept_kind(plan.node[node].kind) && (plan.node[node].axes & lane)) return kept.add(node);
    for (int i = 0; i < plan.node[node].operands; ++i) walk(plan.node[node].operand[i], known, computed, lane, seen, kept);
  }
  struct Kept {
    NodeList of_pass[passes];  // what pass p finds in registers
    NodeList all;
  };
  static constexpr Kept kept = [] {
    Kept x;
    NodeList computed[passes];
    for (int p = 0; p < passes; ++p) {
      NodeList before;
      for (int q = 0; q < p; ++q)
        if (axes_of_pass(q) == axes_of_pass(p))
          for (int i = 0; i < computed[q].count; ++i) before.add(computed[q].node[i]);
      const AxisList list = list_of_pass(p);
      const Mask lane = list.count > 0 ? bit(list.axis[list.count - 1]) : Mask{0};
      const NodeList roots = roots_of_pass(p), known = known_before(p);
      for (int i = 0; i < roots.count; ++i) walk(roots.node[i], known, before, lane, computed[p], x.of_pass[p]);
      for (int i = 0; i < x.of_pass[p].count; ++i) x.all.add(x.of_pass[p].node[i]);
    }
    return x;
  }();
  template <int p> static constexpr NodeList kept_of = kept.of_pass[p];
  static constexpr NodeList kept_nodes = kept.all;
  static constexpr int kept_count = kept.all.count;

  // ---- how many neighbours a thread takes: 16 bytes of the narrowest format along a row
  static constexpr void narrowest(int node, Mask lanes, NodeList& seen, int& bytes) {
    if (seen.has(node)) return;
    seen.add(node);
    const Node& n = plan.node[node];
    if ((n.kind == NodeKind::leaf || n.kind == NodeKind::gather) && !is_block(n.dtype) && (n.axes & lanes) && bytes_of(n.dtype) < bytes)
      bytes = bytes_of(n.dtype);
    for (int i = 0; i < n.operands; ++i) narrowest(n.operand[i], lanes, seen, bytes);
  }
  static constexpr int width = [] {
    int bytes = 4;
    NodeList seen;
    for (int p = 0; p < passes; ++p) {
      const AxisList list = list_of_pass(p);
      if (list.count == 0) continue;
      const NodeList roots = roots_of_pass(p);
      for (int i = 0; i < roots.count; ++i) narrowest(roots.node[i], bit(list.axis[list.count - 1]), seen, bytes);
    }
    return 16 / bytes;
  }();

  // ---- how the vectors of a row are shared out
  static constexpr int most_kept = 32;  // values of a node in registers of a thread
  static constexpr long vectors_of(long outer, long inner) { return outer * ((inner + width - 1) / width); }
  static constexpr int threads_for(long vectors) {
    if (vectors <= 32L * (most_kept / width)) return 32;
    const long wanted = (vectors * width + 15) / 16;
    return wanted >= 1024 ? 1024 : static_cast<int>((wanted + 31) / 32 * 32);
  }
  static constexpr long steps_for(long vectors) { return (vectors + threads_for(vectors) - 1) / threads_for(vectors); }
};

// the statistics of a row and what is kept of it; slot: the step that stands at `index`
template <class Task, int p, int steps> struct RowHolder {
  using F = RowFacts<Task>;
  static constexpr NodeList nodes = [] {
    NodeList l = F::template known<p>;
    if (steps > 0)
      for (int i = 0; i < F::template kept_of<p>.count; ++i) l.add(F::template kept_of<p>.node[i]);
    return l;
  }();
  template <int node> static constexpr int statistic = F::template known<p>.find(node);
  template <int node> static constexpr int place = F::kept_nodes.find(node);
  const float* statistics;
  const float (*kept)[F::width];  // of this step
  template <int node> WEFT_DEVICE void get(float* out) const {
    if constexpr (statistic<node> >= 0) {
      constexpr int s = statistic<node>;
      out[0] = statistics[s];
    } else {
      constexpr int s = place<node>;
#pragma unroll
      for (int i = 0; i < F::width; ++i) out[i] = kept[s][i];
    }
  }
};

// steps: how many vectors of a row a thread keeps; 0: the row is too long, every pass reads it again
template <class Task, int steps, bool vectors> struct RowBody {
  using F = RowFacts<Task>;
  using P = typename Task::P;
  static constexpr int width = F::width;
  template <int node> static constexpr int place_of_kept = F::kept_nodes.find(node);
  static constexpr int slots = F::kept_count ? F::kept_count : 1, kept_steps = steps ? steps : 1;
  float statistics[F::passes];
  float kept[kept_steps][slots][width];

  // what pass p computes and a later pass needs is copied into its slot
  template <int p, class G> WEFT_DEVICE static void keep(const typename G::Values& r, float (&into)[slots][width]) {
    unroll<G::count>([&](auto j) {
      constexpr int place = place_of_kept<G::template Fact<j>::id>;
      if constexpr (place >= 0 && G::template Fact<j>::varies && !G::template Fact<j>::held) {
#pragma unroll
        for (int i = 0; i < width; ++i) into[place][i] = r[j][i];
      }
    });
  }
  // f(number of elements of the vector at which index stands, its step, its first element counted along the row)
  template <int p, class F_> WEFT_DEVICE static void each(const Binding<P>& b, Index<P>& index, F_ f) {
    using Pass = typename F::template Pass<p>;
    const unsigned inner = static_cast<unsigned>(extent_of<P, Pass::lane>(b)), per_run = (inner + width - 1) / width,
                   count = static_cast<unsigned>(count_of<P, Pass, 0, Pass::list.count - 1>(b)) * per_run;
    const auto at = [&](unsigned v, int step) {
      const unsigned first = v % per_run * width;
      decode<P, Pass, 0, Pass::list.count - 1>(b, v / per_run, index);
      index.at[Pass::lane] = static_cast<int>(first);
      f(static_cast<int>(inner - first < width ? inner - first : width), step, v / per_run * inner + first);
    };
    if constexpr (steps > 0) {
#pragma unroll
      for (int s = 0; s < steps; ++s)
        if (const unsigned v = s * blockDim.x + threadIdx.x; v < count) at(v, s);
    } else {
      for (unsigned v = threadIdx.x; v < count; v += blockDim.x) at(v, 0);
    }
  }
  // of statistic p, what this thread's vectors contribute
  template <int p> WEFT_DEVICE float share(const Binding<P>& b, Index<P>& index) {
    constexpr int node = Task::statistics.node[p], body = trimmed_plan<P>.node[node].operand[0];
    constexpr bool is_sum = trimmed_plan<P>.node[node].monoid == Monoid::sum;
    using Holder = RowHolder<Task, p, steps>;
    using At = Point<P, F::template Pass<p>::lane, width, vectors, Holder>;
    using G = Graph<At, body>;
    float total = neutral<is_sum>;
    each<p>(b, index, [&](int n, int step, unsigned) {
      const Holder held{statistics, kept[step]};
      typename G::Values r;
      G::run(r, At{b, index, held, n}, std::make_integer_sequence<int, G::count>{});
      if constexpr (steps > 0) keep<p, G>(r, kept[step]);
#pragma unroll
      for (int i = 0; i < width; ++i)
        if (vectors || i < n) total = combine<is_sum>(total, r[G::count - 1][G::varies ? i : 0]);
    });
    return total;
  }
  template <int p> WEFT_DEVICE void reduce(const Binding<P>& b, Index<P>& index, float* part) {
    constexpr int node = Task::statistics.node[p];
    constexpr bool is_sum = trimmed_plan<P>.node[node].monoid == Monoid::sum;
    const float mine = share<p>(b, index);
    statistics[p] = blockDim.x == 32 ? reduce_warp<is_sum>(mine) : reduce_block<is_sum>(mine, part + 32 * p);
  }
  WEFT_DEVICE void finish(const Binding<P>& b, Index<P>& index, const Task& task) {
    constexpr int p = F::statistics, roots = Task::roots.count;
    using Holder = RowHolder<Task, p, steps>;
    if constexpr (F::template Pass<p>::lane >= 0) {
      using At = Point<P, F::template Pass<p>::lane, width, vectors, Holder>;
      each<p>(b, index, [&](int n, int step, unsigned flat) {
        const Holder held{statistics, kept[step]};
        const At here{b, index, held, n};
        float v[roots][width];  // all are computed before any is stored: a store may overwrite what another reads
        unroll<roots>([&](auto i) { evaluate<Task::roots.node[i]>(here, v[i]); });
        task.put(here, flat, v);
      });
    } else if (threadIdx.x == 0) {
      const Holder held{statistics, kept[0]};
      const PointOfOne<P, Holder> here{b, index, held, 1};
      float v[roots][1];
      unroll<roots>([&](auto i) { evaluate<Task::roots.node[i]>(here, v[i]); });
      task.put(here, 0, v);
    }
  }
  // index stands at the row; part: 32 floats of shared memory for each statistic
  WEFT_DEVICE void run(const Binding<P>& b, Index<P>& index, const Task& task, float* part) {
    unroll<F::statistics>([&](auto p) { reduce<p>(b, index, part); });
    finish(b, index, task);
  }
};

template <class Task, int steps, bool vectors>
__global__ void row_kernel(const Binding<typename Task::P> b, const Task task, unsigned rows) {
  using F = RowFacts<Task>;
  __shared__ float part[32 * F::passes];
  const unsigned number = blockIdx.x * blockDim.y + threadIdx.y;
  if (number >= rows) return;  // whole warps: a block of several rows has a warp for each
  unsigned row = number;
  if constexpr (requires { task.listed(number); }) {
    const int listed = task.listed(number);
    if (listed < 0) return;
    row = static_cast<unsigned>(listed);
  }
  Index<typename Task::P> index;
  decode<typename Task::P, typename F::Rows>(b, row, index);
  RowBody<Task, steps, vectors> body;
  body.run(b, index, task.at_row(number), part);
}

// ---- the launch
template <class Task> struct RowLaunch {
  using F = RowFacts<Task>;
  using P = typename Task::P;

  template <int p> static bool is_aligned_pass(const Binding<P>& b) {
    constexpr int lane = F::template Pass<p>::lane;
    bool aligned = true;
    if constexpr (lane >= 0) {
      unroll<F::template roots<p>.count>([&](auto i) {
        aligned = aligned && is_aligned_graph<P, F::template roots<p>.node[i], lane, F::width, RowHolder<Task, p, 0>>(b);
      });
      if constexpr (p == F::statistics) aligned = Task::template is_aligned<lane, F::width>(b) && aligned;
    }
    return aligned;
  }
  static bool is_aligned(const Binding<P>& b) {
    bool aligned = true;
    unroll<F::passes>([&](auto p) { aligned = aligned && is_aligned_pass<p>(b); });
    return aligned;
  }
  template <int p> static long vectors_of_pass(const Binding<P>& b) {
    using Pass = typename F::template Pass<p>;
    if constexpr (Pass::lane < 0)
      return 1;
    else
      return F::vectors_of(count_of<P, Pass, 0, Pass::list.count - 1>(b), extent_of<P, Pass::lane>(b));
  }
  static void run(const Binding<P>& b, const Task& task, cudaStream_t stream) { run(b, task, count_of<P, typename F::Rows>(b), stream); }
  static void run(const Binding<P>& b, const Task& task, long rows, cudaStream_t stream) {
    long most = 1;
    unroll<F::passes>([&](auto p) { most = vectors_of_pass<p>(b) > most ? vectors_of_pass<p>(b) : most; });
    if (rows == 0) return;
    const int threads = F::threads_for(most);
    if constexpr (known_vectors >= 0) {
      launch<static_steps>(b, task, rows, threads, stream);
    } else {
      constexpr int held = F::most_kept / F::width;
      if (F::steps_for(most) <= held)
        launch<held>(b, task, rows, threads, stream);
      else
        launch<0>(b, task, rows, threads, stream);
    }
  }
  template <int steps> static void launch(const Binding<P>& b, const Task& task, long rows, int threads, cudaStream_t stream) {
    const unsigned together = threads == 32 ? 4 : 1, count = static_cast<unsigned>(rows);  // a warp for each row, or a block
    const dim3 block(static_cast<unsigned>(threads), together);
    if (is_aligned(b))
      row_kernel<Task, steps, true><<<(count + together - 1) / together, block, 0, stream>>>(b, task, count);
    else  // reads the row again for each pass; the order of sums is the same
      row_kernel<Task, 0, false><<<(count + together - 1) / together, block, 0, stream>>>(b, task, count);
  }
  // where the extents are part of the type, so is the number of steps
  static constexpr long known_vectors = []<int... p>(std::integer_sequence<int, p...>) {
    long most = 1;
    for (const AxisList& list : {F::list_of_pass(p)...}) {
      long outer = 1, inner = 1;
      for (int i = 0; i < list.count; ++i) {
        const long e = F::plan.axis[list.axis[i]].record.extent;
        if (e == runtime) return -1L;
        (i + 1 < list.count ? outer : inner) *= e;
      }
      const long v = F::vectors_of(outer, inner);
      most = v > most ? v : most;
    }
    return most;
  }
  (std::make_integer_sequence<int, F::passes>{});
  static constexpr int static_steps = known_vectors < 0 || F::steps_for(known_vectors) * F::width > 2 * F::most_kept
                                          ? 0
                                          : static_cast<int>(F::steps_for(known_vectors));
};

}  // namespace weft::cuda
