// profile_report: how long each kernel of the programs of an executor took, beside the bytes and FLOPs that its plan predicts for the extents and
// formats of every call, and beside what the machine allows: as rows, as a table and as JSON. And profile(executor, formula, out, in...), which
// measures one formula.
//
//   Profile profile;
//   executor.record(&profile);
//   ...                                               // run programs
//   executor.record(nullptr);
//   std::cout << table_of(rows_of(profile), measure_peaks(executor.pool()));
#pragma once
#include <weft/cpu/evaluate.hpp>
#include <weft/cpu/roofline.hpp>
#include <weft/plan/cost.hpp>

#include <cstdarg>
#include <cstdio>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace weft {
namespace cpu {

class Profile final : public Recorder {
 public:
  // all calls of one kernel together
  struct Entry {
    const ProgramFacts* program = nullptr;
    int kernel = 0;              // from 0
    std::vector<float> seconds;  // of each call
    double read = 0, written = 0, flops = 0;
  };
  const std::vector<Entry>& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  void clear() { entries_.clear(); }

  void add(const ProgramFacts& program, const long* extent, const DType* format, const Visible* visible, const long* clock) override {
    const PlanView& plan = program.plan;
    const std::vector<Cost>& cost = costs(program, format);
    const std::size_t first = first_entry(program);
    for (int k = 0; k < plan.kernels; ++k) {
      Entry& e = entries_[first + static_cast<std::size_t>(k)];
      const Cost& c = cost[static_cast<std::size_t>(k)];
      std::vector<long> hidden(extent, extent + plan.axes);  // as if nothing of a streamed axis were seen
      for (int a = 0; a < plan.axes; ++a)
        if (plan.kernel[k].skeleton == Skeleton::stream && (plan.kernel[k].bound & bit(a)))
          hidden[static_cast<std::size_t>(plan.axis[a].origin)] = 0;
      const auto seen = [&](const Polynomial& p, double part) {
        const auto none = static_cast<double>(p.evaluate(hidden.data())), all = static_cast<double>(p.evaluate(extent));
        return none + (all - none) * part;
      };
      e.seconds.push_back(static_cast<float>(clock[k + 1] - clock[k]) * 1e-9f);
      e.read += seen(c.read, visible[k].elements);
      e.written += static_cast<double>(c.written.evaluate(extent));
      e.flops += seen(c.flops, visible[k].pairs);
    }
  }

 private:
  struct Priced {
    const ProgramFacts* program;
    std::vector<DType> format;
    std::vector<Cost> cost;
  };
  std::size_t first_entry(const ProgramFacts& program) {
    for (std::size_t i = 0; i < entries_.size(); ++i)
      if (entries_[i].program == &program) return i;
    for (int k = 0; k < program.plan.kernels; ++k) {
      entries_.emplace_back();
      entries_.back().program = &program;
      entries_.back().kernel = k;
    }
    return entries_.size() - static_cast<std::size_t>(program.plan.kernels);
  }
  // of the kernels of a program with tensors in these formats; layers of one model may differ in them
  const std::vector<Cost>& costs(const ProgramFacts& program, const DType* format) {
    for (const Priced& p : priced_)
      if (p.program == &program && std::equal(p.format.begin(), p.format.end(), format)) return p.cost;
    Priced p{&program, {format, format + program.plan.leaves + program.plan.temporaries}, {}};
    const CostModel<PlanView> model{program.plan, program.leaf, p.format.data()};
    for (int k = 0; k < program.plan.kernels; ++k) p.cost.push_back(model.of(k));
    priced_.push_back(std::move(p));
    return priced_.back().cost;
  }
  std::vector<Entry> entries_;
  std::deque<Priced> priced_;
};

// All calls of one kernel. Bytes and FLOPs are predicted (plan/cost.hpp), at the extents and formats of each call; of a stream, what its mask leaves.
struct KernelProfile {
  std::string program;  // its place in a model, else its type
  std::string name;     // what it does, in short
  int number = 0;       // in its program, from 1, as explain counts
  DType multiplied{};   // the format of products: f32, bf16, or q8_0 for 8-bit whole numbers
  long calls = 0;
  double seconds = 0, median_seconds = 0;  // of all calls, of one call
  double read = 0, written = 0, flops = 0;

  double bytes() const { return read + written; }
  // the least time that all calls could take on a machine with these peaks, and the fraction of the measured time that this is
  double roofline_seconds(const Peaks& peaks) const { return peaks.least_seconds(bytes(), flops, multiplied); }
  double of_roofline(const Peaks& peaks) const { return seconds > 0 ? roofline_seconds(peaks) / seconds : 0; }
};

namespace detail {

// the words of explain for one kernel of a program
class KernelWords {
 public:
  KernelWords(const ProgramFacts& program, int kernel) : program_(program), plan_(program.plan), kernel_(plan_.kernel[kernel]) {}

  // "contraction over hidden: gate_proj, up_proj": the modules that contract, else the tensors that are multiplied or written
  std::string title() const {
    std::string s = weft::name_of(kernel_.skeleton);
    if (kernel_.skeleton != Skeleton::map && kernel_.bound) s += " over " + axes(kernel_.bound);
    std::vector<std::string> known;
    const auto add = [&](const std::string& word) {
      if (!word.empty() && std::find(known.begin(), known.end(), word) == known.end()) known.push_back(word);
    };
    if (kernel_.skeleton == Skeleton::stream) add(subject(kernel_.stream.outer));
    for (int g = 0; g < kernel_.segments; ++g)
      for (int c = 0; c < kernel_.segment[g].contractions; ++c) add(subject(kernel_.segment[g].contraction[c]));
    for (int g = 0; g < kernel_.segments && known.empty(); ++g)
      for (int i = 0; i < kernel_.segment[g].stores; ++i) {
        const Store& store = plan_.store[kernel_.segment[g].store[i]];
        add(module(store.node).empty() ? tensor(store.leaf) : module(store.node));
      }
    for (std::size_t i = 0; i < known.size(); ++i) s += (i ? ", " : ": ") + known[i];
    return s;
  }
  DType multiplied() const {
    short n = kernel_.skeleton == Skeleton::stream ? kernel_.stream.inner : short{-1};
    for (int g = 0; g < kernel_.segments && n < 0; ++g)
      if (kernel_.segment[g].contractions) n = kernel_.segment[g].contraction[0];
    if (n < 0) return DType::f32;
    const Node &left = plan_.node[plan_.node[n].operand[0]], &right = plan_.node[plan_.node[n].operand[1]];
    if (left.kind == NodeKind::cast && is_block(left.dtype)) return DType::q8_0;
    const bool rounded = (left.kind == NodeKind::leaf || left.kind == NodeKind::cast) && left.dtype == DType::bf16;
    return rounded && (right.kind == NodeKind::leaf || is_routed(plan_.node, n)) && (right.dtype == DType::bf16 || is_block(right.dtype))
               ? DType::bf16
               : DType::f32;
  }
  static std::string program_name(const ProgramFacts& program) {
    if (!program.call[0].path.empty()) return program.call[0].path.text;
    std::string_view type = program.type;  // "... [with P = weft::Outer<...>::Inner<...>]": the last word outside of <>
    type.remove_prefix(std::min(type.find("P = ") + 4, type.size()));
    std::string words;
    int depth = 0;
    for (const char c : type.substr(0, type.find_last_of(']'))) {
      depth -= c == '>';
      if (depth == 0 && c != '<' && c != '>') words += c;
      depth += c == '<';
    }
    return words.substr(words.rfind(':') + 1);
  }

 private:
  const ProgramFacts& program_;
  const PlanView& plan_;
  const Kernel& kernel_;

  static std::string last_part(std::string_view path) { return std::string(path.substr(path.rfind('.') + 1)); }
  std::string axes(Mask m) const {
    std::string s;
    for (int a = 0; a < plan_.axes; ++a)
      if (m & bit(a)) s += (s.empty() ? "" : " x ") + last_part(plan_.axis[a].record.name);
    return s;
  }
  std::string tensor(int leaf) const {
    if (leaf >= plan_.leaves) return "%" + std::to_string(leaf - plan_.leaves);
    return last_part(program_.leaf[leaf].path.text);
  }
  // the last part of the path of the module in whose formula a node stands; empty where that has none
  std::string module(short node) const {
    const short call = program_.call_of[node];
    return call <= 0 ? std::string() : last_part(program_.call[call].path.text);
  }
  std::string subject(short contraction) const {
    if (const std::string m = module(contraction); !m.empty()) return m;
    const Node& right = plan_.node[plan_.node[contraction].operand[1]];
    return right.kind == NodeKind::leaf || is_routed(plan_.node, contraction) ? tensor(right.leaf) : "a product";
  }
};

[[gnu::format(printf, 1, 2)]] inline std::string print(const char* format, ...) {
  char text[256];
  va_list values;
  va_start(values, format);
  const int n = std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return {text, static_cast<std::size_t>(std::clamp(n, 0, static_cast<int>(sizeof text) - 1))};
}
inline std::string quoted(std::string_view text) {  // as JSON
  std::string s = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') s += '\\';
    s += c;
  }
  return s + "\"";
}

}  // namespace detail

// in the order in which kernels were first called
inline std::vector<KernelProfile> rows_of(const Profile& profile) {
  std::vector<KernelProfile> rows;
  for (const Profile::Entry& e : profile.entries()) {
    const detail::KernelWords words(*e.program, e.kernel);
    KernelProfile r;
    r.program = detail::KernelWords::program_name(*e.program);
    r.name = words.title();
    r.number = e.kernel + 1;
    r.multiplied = words.multiplied();
    r.calls = static_cast<long>(e.seconds.size());
    for (const float s : e.seconds) r.seconds += static_cast<double>(s);
    std::vector<float> sorted = e.seconds;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<long>(sorted.size() / 2), sorted.end());
    r.median_seconds = sorted.empty() ? 0 : static_cast<double>(sorted[sorted.size() / 2]);
    r.read = e.read;
    r.written = e.written;
    r.flops = e.flops;
    rows.push_back(r);
  }
  return rows;
}

inline std::string text_of(const Peaks& peaks) {
  return detail::print("%.1f GB/s read, %.0f GFLOP/s in f32, %.0f in bf16, %.0f in int8", peaks.read_bytes_per_second / 1e9,
                       peaks.f32_flops / 1e9, peaks.bf16_flops / 1e9, peaks.int8_flops / 1e9);
}

// A line per kernel, as one step sees it when `steps` of them were recorded: calls, time of a call, share of the step, the least time that the
// roofline allows and its fraction of the measured one, bytes and FLOPs of a call. Numbers beside "total" are those of the whole step.
inline std::string table_of(const std::vector<KernelProfile>& rows, const Peaks& peaks, long steps = 1) {
  double seconds = 0, least = 0, bytes = 0, flops = 0;
  for (const KernelProfile& r : rows) {
    seconds += r.seconds;
    least += r.roofline_seconds(peaks);
    bytes += r.bytes();
    flops += r.flops;
  }
  const auto n = static_cast<double>(steps);
  std::string text = "  calls     us/call    share     roofline us       of it         MB     GB/s     MFLOP   GFLOP/s\n";
  const auto line = [&](double calls, double s, double part, double roofline, double b, double f) {
    return detail::print("%7.0f %11.1f  %6.1f %% %15.1f    %6.1f %% %10.3f %8.1f %9.2f %9.1f", calls / n, s / calls * 1e6, 100 * part,
                         roofline / calls * 1e6, s > 0 ? 100 * roofline / s : 0., b / calls / 1e6, s > 0 ? b / s / 1e9 : 0.,
                         f / calls / 1e6, s > 0 ? f / s / 1e9 : 0.);
  };
  std::string program;
  for (const KernelProfile& r : rows) {
    if (r.program != program) text += r.program + "\n";
    program = r.program;
    text += line(static_cast<double>(r.calls), r.seconds, seconds > 0 ? r.seconds / seconds : 0, r.roofline_seconds(peaks), r.bytes(),
                 r.flops) +
            "  " + std::to_string(r.number) + " " + r.name + "\n";
  }
  return text + line(n, seconds, 1, least, bytes, flops) + "  total\n";
}

// an array of objects, one for each row; seconds, bytes and FLOPs are those of all calls
inline std::string json_of(const std::vector<KernelProfile>& rows, const Peaks& peaks) {
  std::string text = "[";
  for (const KernelProfile& r : rows)
    text += (text.size() > 1 ? ", " : "") + ("{\"program\": " + detail::quoted(r.program)) + ", \"kernel\": " + std::to_string(r.number) +
            ", \"name\": " + detail::quoted(r.name) + ", \"multiplied\": \"" + weft::name_of(r.multiplied) + "\"" +
            detail::print(
                ", \"calls\": %ld, \"seconds\": %.9g, \"median_seconds\": %.9g, \"bytes_read\": %.0f, \"bytes_written\": %.0f, "
                "\"flops\": %.0f, \"of_roofline\": %.4g}",
                r.calls, r.seconds, r.median_seconds, r.read, r.written, r.flops, r.of_roofline(peaks));
  return text + "]";
}

}  // namespace cpu

// What profile(...) gives; `kernels` are rows for a machine, text() is the table.
struct FormulaProfile {
  std::vector<cpu::KernelProfile> kernels;
  cpu::Peaks peaks;
  long runs = 0;
  std::string text() const { return "roofline: " + cpu::text_of(peaks) + "\n" + cpu::table_of(kernels, peaks, runs); }
};

// Runs a formula again and again for about `seconds` (at least five times, after one run that is not counted), as evaluate does. Each kernel's
// time is the median of its calls. Tensors that fit the caches stay there: a kernel may then move more bytes than the memory could.
template <class F, class Out, class... In> FormulaProfile profile(cpu::Executor& executor, F f, const Out& out, const In&... in) {
  constexpr double seconds = 0.2;
  evaluate(executor, f, out, in...);
  cpu::Profile measured;
  FormulaProfile result;
  executor.record(&measured);
  try {
    for (const long end = cpu::nanoseconds_now() + static_cast<long>(seconds * 1e9); result.runs < 5 || cpu::nanoseconds_now() < end;
         ++result.runs)
      evaluate(executor, f, out, in...);
  } catch (...) {
    executor.record(nullptr);
    throw;
  }
  executor.record(nullptr);
  result.kernels = cpu::rows_of(measured);
  for (cpu::KernelProfile& k : result.kernels) k.seconds = k.median_seconds * static_cast<double>(k.calls);
  result.peaks = cpu::measure_peaks(executor.pool());
  return result;
}
template <class F, class Out, class... In> FormulaProfile profile(cpu::Default, F f, const Out& out, const In&... in) {
  const std::lock_guard lock(cpu::Default::turn());
  return profile(cpu::Default::executor(), f, out, in...);
}

}  // namespace weft
