#include "report.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

long weight_bytes(const weft::Weights& weights, const std::string& head) {
  long bytes = 0;
  for (int r = 0; r < weights.table().rows; ++r) {
    const auto& row = weights.table().row[r];
    if (row.role != weft::Role::parameter || (weights.head_is_tied() && text_of(row.path) == head)) continue;
    for (long block = 0; block < row.blocks; ++block) bytes += weft::bytes_for(weights.format(r, block), row.size());
  }
  return bytes;
}

long peak_memory_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024L;
}

std::string json_of(const Report& report) {
  nlohmann::ordered_json json = {
      {"text", report.text},
      {"ids", report.ids},
      {"prompt_ids", report.prompt_ids},
      {"finish_reason", weft::name_of(report.finish_reason)},
      {"load_s", report.load_seconds},
      {"prefill_tokens", report.prefill_tokens},
      {"prefill_s", report.prefill_seconds},
      {"decode_tokens", report.decode_tokens},
      {"decode_s", report.decode_seconds},
      {"weight_bytes", report.weight_bytes},
      {"cache_bytes", report.cache_bytes},
      {"peak_memory_bytes", peak_memory_bytes()},
  };
  if (report.routing) {
    auto& layers = json["routing"] = nlohmann::ordered_json::array();
    for (const auto& layer : report.routing->layers())
      layers.push_back({{"layer", layer.number},
                        {"experts", layer.count.size()},
                        {"experts_per_token", layer.each},
                        {"tokens", layer.tokens()},
                        {"entropy", layer.entropy()},
                        {"counts", layer.count}});
  }
  return json.dump();
}

namespace {

template <class... T> std::string print(const char* format, T... values) {
  char line[256];
  std::snprintf(line, sizeof line, format, values...);
  return line;
}
std::string speed(const char* what, long tokens, double seconds) {
  return print("%-12s %ld tokens in %.3f s", what, tokens, seconds) +
         (seconds > 0 ? print(", %.1f tokens/s\n", static_cast<double>(tokens) / seconds) : "\n");
}

// A column for each expert, as high as its share beside the largest of the layer; nothing for one that nobody chose.
std::string histogram_of(const weft::RoutingCounts::Layer& layer) {
  constexpr const char* bar[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const long most = layer.count[layer.busiest()];
  std::string text;
  for (const long n : layer.count) text += bar[most > 0 ? (8 * n + most - 1) / most : 0];
  return text;
}
std::string routing_text(const weft::RoutingCounts& routing) {
  if (routing.layers().empty()) return "routing      none: the model is dense, every token passes through all of it\n";
  const auto& first = routing.layers().front();
  std::string text = print("routing      each token through %ld of %zu experts, in %zu layers; ", first.each, first.count.size(),
                           routing.layers().size()) +
                     print("entropy of the shares at most %.3f\n", first.largest_entropy());
  text += "  layer   tokens  entropy  never chosen    most chosen   least chosen   share of each expert\n";
  for (const auto& layer : routing.layers()) {
    const auto extreme = [&](std::size_t expert) { return print("%4zu %7.2f %%", expert, 100 * layer.share(expert)); };
    text += print("  %5ld %8ld %8.3f %13ld", layer.number, layer.tokens(), layer.entropy(), layer.never_chosen()) + "  " +
            extreme(layer.busiest()) + "  " + extreme(layer.idlest()) + "  |" + histogram_of(layer) + "|\n";
  }
  return text;
}

}  // namespace

std::string statistics_of(const Report& report) {
  std::string text = "model        " + report.model + ", " + report.format + "\n";
  text += print("parameters   %ld\n", report.parameters);
  if (report.device.empty())
    text += print("threads      %d, %s\n", report.threads, report.instruction_set.c_str());
  else
    text += "device       " + report.device + "\n";
  text += print("context      %ld tokens in %s\n", report.context, report.cache.c_str());
  if (report.is_sampled) text += print("seed         %llu\n", static_cast<unsigned long long>(report.seed));
  text += print("load         %.3f s\n", report.load_seconds);
  text += speed("prefill", report.prefill_tokens, report.prefill_seconds);
  text += speed("decode", report.decode_tokens, report.decode_seconds);
  text += print("generated    %zu tokens, finish reason: %s\n", report.ids.size(), weft::name_of(report.finish_reason));
  const auto mebibytes = [](long bytes) { return static_cast<double>(bytes) / (1 << 20); };
  text += print("peak memory  %.1f MiB; weights %.1f, keys and values %.1f\n", mebibytes(peak_memory_bytes()),
                mebibytes(report.weight_bytes), mebibytes(report.cache_bytes));
  if (report.routing) text += routing_text(*report.routing);
  return text;
}

weft::LoadProgress progress_bar() {
  if (!::isatty(STDERR_FILENO)) return {};
  return [shown = -1](std::uint64_t done, std::uint64_t total) mutable {
    const int percent = total == 0 ? 100 : static_cast<int>(static_cast<double>(done) / static_cast<double>(total) * 100);
    if (percent == shown) return;
    shown = percent;
    constexpr int width = 40;
    const std::string bar(static_cast<std::size_t>(percent * width / 100), '=');
    std::fprintf(stderr, percent == 100 ? "\r\033[K" : "\rloading [%-40s] %3d %%", bar.c_str(), percent);
    std::fflush(stderr);
  };
}
