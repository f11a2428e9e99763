// A whole model with random weights in bf16: a checkpoint is written below the temporary directory, loaded as any other, and timed: prefill, and
// decoding after it. Each figure is the median of some repetitions and stands beside what the machine's peaks would allow.
#include "model.hpp"

#include <weft/generate/compiled_model.hpp>
#include <weft/io/config.hpp>
#include <weft/models/qwen2.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "support.hpp"

namespace weft::benchmarks {
namespace {

struct Known {
  const char* name;
  Qwen2Dims dims;
};
constexpr Known known[] = {{"qwen2.5-0.5b", Qwen2_5_0_5B::dims},
                           {"qwen2.5-1.5b", Qwen2_5_1_5B::dims},
                           {"qwen2.5-3b", Qwen2_5_3B::dims},
                           {"qwen2.5-7b", Qwen2_5_7B::dims}};

// a directory that is removed at the end
struct TemporaryDirectory {
  std::filesystem::path path;
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weft-benchmark-XXXXXX").string();
    if (!mkdtemp(pattern.data())) throw Error("cannot make a directory " + pattern);
    path = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

void write_random_checkpoint(const std::filesystem::path& directory, const Qwen2Dims& d) {
  const ParameterTable table = Qwen2Runtime<64>::parameters<Stored<bf16>>(d);
  long largest = 0;
  for (int r = 0; r < table.rows; ++r) largest = std::max(largest, table.row[r].size());
  Memory values(static_cast<std::size_t>(largest) * sizeof(bf16));  // all tensors share one block of numbers
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.f, 0.02f);
  std::vector<bf16> some(65521);
  for (bf16& x : some) x = to_bf16(normal(random));
  for (long i = 0; i < largest; ++i) values.as<bf16>()[i] = some[static_cast<std::size_t>(i) % some.size()];
  std::vector<TensorInfo> tensors;
  for (int r = 0; r < table.rows; ++r) {
    const ParameterRow& row = table.row[r];
    if (row.role != Role::parameter || (d.tied && row.path == Qwen2_5_0_5B::head_path)) continue;
    for (long block = 0; block < row.blocks; ++block) {
      TensorInfo t;
      t.name = checkpoint_name(text_of(row.path), block);
      t.type = StoredType::bf16;
      for (int i = 0; i < row.rank; ++i) t.shape.push_back(static_cast<std::uint64_t>(row.extent[i]));
      t.data = {values.data(), static_cast<std::size_t>(row.size()) * sizeof(bf16)};
      tensors.push_back(t);
    }
  }
  write_safetensors(directory / "model.safetensors", tensors);
  char config[1024];
  std::snprintf(
      config, sizeof config,
      "{\"model_type\": \"qwen2\", \"architectures\": [\"Qwen2ForCausalLM\"], \"hidden_act\": \"silu\", \"hidden_size\": %ld, "
      "\"intermediate_size\": %ld, "
      "\"num_hidden_layers\": %ld, \"num_attention_heads\": %ld, \"num_key_value_heads\": %ld, \"head_dim\": %ld, \"vocab_size\": %ld, "
      "\"tie_word_embeddings\": %s, \"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000.0, \"max_position_embeddings\": 32768, "
      "\"torch_dtype\": \"bfloat16\"}",
      d.hidden, d.intermediate, d.layers, d.heads, d.kv_heads, d.head_dim, d.vocab, d.tied ? "true" : "false");
  AtomicFile file(directory / "config.json");
  file.write(std::string_view(config));
  file.commit();
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

}  // namespace

void run_model(const ModelRun& run) {
  const Known* chosen = nullptr;
  std::string names;
  for (const Known& k : known) {
    if (run.model == k.name) chosen = &k;
    names += (names.empty() ? "" : ", ") + std::string(k.name);
  }
  if (!chosen) throw Error("--model: expected one of " + names + ", found \"" + run.model + "\"");
  const CompiledModel compiled[] = {compiled_model<Qwen2_5_0_5B, Stored<bf16>>(), compiled_model<Qwen2Runtime<64>, Stored<bf16>>(),
                                    compiled_model<Qwen2Runtime<128>, Stored<bf16>>()};
  TemporaryDirectory directory;
  write_random_checkpoint(directory.path, chosen->dims);
  const ModelConfig config = read_model_config(directory.path);
  const CompiledModel& type = choose_model(compiled, config, DType::bf16);
  const auto model = load_model(type, config, Checkpoint::open(directory.path), machine().executor.threads());
  SessionSettings settings;
  settings.context = run.prefill + run.decode * run.repeat + 1;
  const auto session = model->start(settings);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(run.prefill));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i * 37 % 1000);
  std::vector<float> logits(static_cast<std::size_t>(session->vocab()));

  std::vector<double> prefill, decode;
  for (long r = 0; r <= run.repeat; ++r) {  // the first one warms up
    session->reset();
    const double start = seconds();
    session->forward(ids, logits);
    if (r > 0) prefill.push_back(seconds() - start);
  }
  for (long r = 0; r < run.repeat; ++r) {
    const double start = seconds();
    for (long i = 0; i < run.decode; ++i) session->forward(std::span(ids).first(1), logits);
    decode.push_back((seconds() - start) / static_cast<double>(run.decode));
  }
  const ModelSize size = type.size(chosen->dims);
  const double n = static_cast<double>(run.prefill), depth = n + static_cast<double>(run.decode * run.repeat) / 2;
  const double prefill_flops = n * static_cast<double>(size.prefill_flops_per_token(run.prefill / 2)) + 2. * static_cast<double>(size.head);
  const double decode_bytes = static_cast<double>(size.bytes_per_token(static_cast<long>(depth)));
  const cpu::Peaks& peaks = machine().peaks;
  std::printf("%s\n%s, random weights in bf16 (%s)\n", machine_line().c_str(), run.model.c_str(), type.type_text().c_str());
  std::printf("  prefill %4ld tokens   %8.1f tokens/s   %7.1f GFLOP/s   %5.1f %% of the bf16 peak\n", run.prefill, n / median(prefill),
              prefill_flops / median(prefill) / 1e9, 100 * prefill_flops / median(prefill) / peaks.bf16_flops);
  std::printf("  decode at depth %5.0f  %8.1f tokens/s   %7.1f GB/s      %5.1f %% of the read bandwidth\n", depth, 1 / median(decode),
              decode_bytes / median(decode) / 1e9, 100 * decode_bytes / median(decode) / peaks.read_bytes_per_second);
}

}  // namespace weft::benchmarks
