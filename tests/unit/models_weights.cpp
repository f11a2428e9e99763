// Weights against the type of a model: in place, converted, tied, and every misfit named.
#include <doctest/doctest.h>

#include "../support/small_checkpoint.hpp"

#include <fstream>

#include <weft/generate/weights.hpp>
#include <weft/models/qwen2.hpp>
#include <weft/models/qwen2_moe.hpp>

using namespace weft;
using weft::test::SmallCheckpoint;

namespace {

constexpr DecoderDims dims = SmallCheckpoint::dims;
const std::string embedding = "model.embed_tokens.weight", head = "lm_head.weight", up = "model.layers.#.mlp.up_proj.weight";

template <class Format = Stored<float>> ParameterTable table() { return Qwen2Runtime<64>::parameters<Format>(dims); }
template <class Format = Stored<float>> Weights load(const SmallCheckpoint& checkpoint, bool tied = true) {
  return Weights::load(Checkpoint::open(checkpoint.write()), table<Format>(), {embedding, head, tied});
}
const std::byte* data(const Weights& weights, const std::string& path, long block = 0) {
  return weights.data(weights.table().find(Name(path.c_str())), block);
}
float element(const SmallCheckpoint& checkpoint, const std::string& name, std::size_t i) {
  float value;
  std::memcpy(&value, checkpoint.tensors.at(name).bytes.data() + i * sizeof(float), sizeof value);
  return value;
}
std::string refusal(const SmallCheckpoint& checkpoint, bool tied = true) {
  try {
    load(checkpoint, tied);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}
bool holds(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("a tensor in the model's own format is used in place, per block") {
  const SmallCheckpoint checkpoint(table());
  const auto weights = load(checkpoint);
  CHECK(weights.converted_bytes() == 0);
  for (const long block : {0L, 1L}) {
    const auto name = checkpoint_name(up, block);
    const auto& bytes = checkpoint.tensors.at(name).bytes;
    CHECK(std::memcmp(data(weights, up, block), bytes.data(), bytes.size()) == 0);
  }
}

TEST_CASE("other formats are converted, rounded to nearest even") {
  SmallCheckpoint checkpoint(table());
  SUBCASE("f32 to bf16") {
    const auto weights = load<Stored<bf16>>(checkpoint);
    CHECK(weights.converted_bytes() == static_cast<std::uint64_t>(Qwen2Runtime<64>::size(dims).weight_bytes));
    const auto* converted = reinterpret_cast<const bf16*>(data(weights, up, 1));
    for (std::size_t i = 0; i < 40 * 24; ++i) REQUIRE(converted[i].bits == to_bf16(element(checkpoint, checkpoint_name(up, 1), i)).bits);
  }
  SUBCASE("f16 to f32, one tensor of many") {
    const auto name = checkpoint_name(up, 0);
    std::vector<f16> halves;
    for (std::size_t i = 0; i < 40 * 24; ++i) halves.push_back(to_f16(element(checkpoint, name, i)));
    const auto bytes = std::as_bytes(std::span(halves));
    checkpoint.tensors[name].type = StoredType::f16;
    checkpoint.tensors[name].bytes.assign(bytes.begin(), bytes.end());
    const auto weights = load(checkpoint);
    CHECK(weights.converted_bytes() == 40 * 24 * 4);
    for (std::size_t i = 0; i < halves.size(); ++i) REQUIRE(reinterpret_cast<const float*>(data(weights, up, 0))[i] == to_float(halves[i]));
  }
}

TEST_CASE("progress ends with all bytes of the checkpoint") {
  const SmallCheckpoint checkpoint(table());
  const auto calls_of = [&](const ParameterTable& wanted) {
    std::uint64_t last = 0, total = 0, calls = 0;
    Weights::load(Checkpoint::open(checkpoint.write()), wanted, {embedding, head, true}, [&](std::uint64_t done, std::uint64_t all) {
      CHECK(done >= last);
      last = done;
      total = all;
      ++calls;
    });
    CHECK(total > 0);
    CHECK(last == total);
    return calls;
  };
  CHECK(calls_of(table()) > 0);                 // in place
  CHECK(calls_of(table<Stored<bf16>>()) > 20);  // converted one by one
}

TEST_CASE("tied heads") {
  SmallCheckpoint checkpoint(table());
  const auto weight = checkpoint.tensors.at(embedding);
  SUBCASE("without a head in the file") {
    const auto weights = load(checkpoint);
    CHECK(weights.head_is_tied());
    CHECK(data(weights, head) == data(weights, embedding));
  }
  SUBCASE("with an equal head in the file") {
    checkpoint.tensors[head] = weight;
    const auto weights = load(checkpoint);
    CHECK(weights.head_is_tied());
    CHECK(data(weights, head) == data(weights, embedding));
  }
  SUBCASE("with another head in the file: it is used, and that is said") {
    checkpoint.tensors[head] = weight;
    checkpoint.tensors[head].bytes[0] ^= std::byte{1};
    const auto weights = load(checkpoint);
    CHECK_FALSE(weights.head_is_tied());
    CHECK(std::memcmp(data(weights, head), checkpoint.tensors[head].bytes.data(), weight.bytes.size()) == 0);
    CHECK(std::memcmp(data(weights, embedding), weight.bytes.data(), weight.bytes.size()) == 0);
    CHECK(weights.warnings().size() == 1);
  }
  SUBCASE("with only the head in the file: it serves as both, converted once") {
    checkpoint.tensors[head] = weight;
    checkpoint.tensors.erase(embedding);
    const auto weights = load<Stored<bf16>>(checkpoint);
    CHECK(weights.head_is_tied());
    CHECK(data(weights, head) == data(weights, embedding));
    CHECK(weights.converted_bytes() == static_cast<std::uint64_t>(Qwen2Runtime<64>::size(dims).weight_bytes));
  }
  SUBCASE("neither in the file") {
    checkpoint.tensors.erase(embedding);
    CHECK(holds(refusal(checkpoint), "\"model.embed_tokens.weight\""));
  }
  SUBCASE("untied in the config, but no head in the file") {
    const auto message = refusal(checkpoint, false);
    CHECK(holds(message,
                "one tensor does not fit the model: tensor \"lm_head.weight\": expected [50, 24], but the checkpoint does not have it"));
  }
}

TEST_CASE("weights without a checkpoint are made tensor by tensor, a tied head once") {
  long tensors = 0;
  std::uint64_t bytes_made = 0;
  const auto fill = [&](const ParameterRow& row, long block, std::span<std::byte> bytes) {
    CHECK(bytes.size() == static_cast<std::size_t>(row.size() * bytes_of(row.dtype)));
    ++tensors;
    bytes_made += bytes.size();
    bytes[0] = static_cast<std::byte>(block + 1);
  };
  const auto weights = Weights::make(table(), {embedding, head, true}, fill);
  CHECK(tensors == 2 + 2 * 12);
  CHECK(bytes_made == static_cast<std::uint64_t>(Qwen2Runtime<64>::size<Stored<float>>(dims).weight_bytes));
  CHECK(data(weights, up, 1)[0] == std::byte{2});
  CHECK(data(weights, head) == data(weights, embedding));
  CHECK(weights.head_is_tied());
  const auto untied = Weights::make(table(), {embedding, head, false}, fill);
  CHECK(data(untied, head) != data(untied, embedding));
}

namespace {

// A model whose matrices have whole blocks: every tensor is a piece of one file of random bytes.
struct SmallBlocks {
  static constexpr DecoderDims dims = {
      .hidden = 64, .intermediate = 96, .layers = 1, .heads = 2, .kv_heads = 1, .vocab = 48, .head_dim = 64, .tied = true};
  TemporaryDirectory directory;
  std::vector<std::byte> bytes;

  explicit SmallBlocks(long size) : bytes(static_cast<std::size_t>(size)) {
    std::mt19937 random(1);
    for (auto& b : bytes) b = static_cast<std::byte>(random());
    std::ofstream(directory.path() / "blob", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  // the tensors of the table in turn; q_proj with the rows of its heads in the order of llama.cpp
  TensorSource source(const ParameterTable& table) const {
    auto file = std::make_shared<const MappedFile>(directory.path() / "blob");
    TensorSource source(file->path(), file, {file.get()});
    std::size_t at = 0;
    for (int r = 0; r < table.rows; ++r) {
      const ParameterRow& row = table.row[r];
      if (row.role != Role::parameter || text_of(row.path) == head) continue;
      const DType format = row.dtype == DType::any_block ? DType::q8_0 : row.dtype;
      const auto size = static_cast<std::size_t>(bytes_for(format, row.size()));
      const std::string name = checkpoint_name(text_of(row.path), 0);
      source.add({name, file.get(), name_of(format), format, std::vector<std::uint64_t>(row.extent, row.extent + row.rank),
                  file->bytes().subspan(at, size), is_query(name) ? 64 : 0});
      at += size;
    }
    return source;
  }
  static bool is_query(const std::string& name) { return name.find("q_proj.weight") != name.npos; }
};

// is row `r` of a matrix in panels this one?
bool is_row(const std::byte* panels, long r, const std::byte* row, long blocks) {
  for (long b = 0; b < blocks; ++b) {
    const q8_0 block = Panel<q8_0>::take(panels + (r / panel_rows * blocks + b) * Panel<q8_0>::record, static_cast<int>(r % panel_rows));
    if (std::memcmp(&block, row + b * static_cast<long>(sizeof block), sizeof block) != 0) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("matrices in blocks that are multiplied are put into panels") {
  const auto rows = Qwen2Runtime<64>::parameters<Stored<any_block>>(SmallBlocks::dims);
  const SmallBlocks model(400'000);
  const auto weights = Weights::load(model.source(rows), rows, {embedding, head, true});
  const auto found = model.source(rows);
  long matrices = 0;
  for (int r = 0; r < rows.rows; ++r) {
    const ParameterRow& row = rows.row[r];
    if (row.role != Role::parameter) continue;
    const std::string name = checkpoint_name(text_of(row.path), 0);
    CAPTURE(name);
    const std::byte* file = found.find(name == head ? embedding : name)->data.data();
    if (row.rank < 2) {
      CHECK(weights.layout(r, 0) == RowLayout::plain);
      CHECK(std::memcmp(weights.data(r, 0), file, static_cast<std::size_t>(bytes_for(row.dtype, row.size()))) == 0);
      continue;
    }
    ++matrices;
    CHECK(weights.layout(r, 0) == RowLayout::panels);
    const long length = row.extent[row.rank - 1], count = row.size() / length, bytes = bytes_for(DType::q8_0, length);
    bool same = true;
    for (long i = 0; i < count; ++i) {
      const long in_file = SmallBlocks::is_query(name) ? i / 64 * 64 + i % 32 * 2 + i % 64 / 32 : i;
      same = same && is_row(weights.data(r, 0), i, file + in_file * bytes, length / 32);
    }
    CHECK(same);
  }
  CHECK(matrices == 9);
  CHECK(data(weights, head) == data(weights, embedding));

  const auto fill = [&](const ParameterRow& row, long, std::span<std::byte> bytes) {  // the same without a file
    std::memcpy(bytes.data(), found.find(checkpoint_name(text_of(row.path), 0))->data.data(), bytes.size());
  };
  const auto made = Weights::make(rows, {embedding, head, true}, fill, {DType::q8_0});
  CHECK(std::memcmp(data(made, head), data(weights, head), static_cast<std::size_t>(bytes_for(DType::q8_0, 48 * 64))) == 0);
  CHECK(std::memcmp(data(made, up), data(weights, up), static_cast<std::size_t>(bytes_for(DType::q8_0, 96 * 64))) == 0);
}

TEST_CASE("matrices in blocks stay in the file where panels are not wanted, or memory is short") {
  const auto rows = Qwen2Runtime<64>::parameters<Stored<any_block>>(SmallBlocks::dims);
  const SmallBlocks model(400'000);
  const auto source = model.source(rows);
  const int row = rows.find(Name(embedding.c_str()));
  const auto bytes = static_cast<std::uint64_t>(bytes_for(DType::q8_0, rows.row[row].size()));
  LoadSettings settings;
  SUBCASE("not wanted") { settings.panels = false; }
  SUBCASE("not enough memory") { settings.memory = bytes; }
  const auto weights = Weights::load(model.source(rows), rows, {embedding, head, true}, {}, settings);
  CHECK(weights.layout(row, 0) == RowLayout::plain);
  CHECK(std::memcmp(weights.data(row, 0), source.find(embedding)->data.data(), bytes) == 0);
  CHECK(weights.converted_bytes() < bytes_for(DType::q8_0, 3 * 64 * 64));  // q_proj, whose rows are in another order in the file
}

TEST_CASE("what is read of a file keeps its address and its bytes, in huge pages or not") {
  TemporaryDirectory directory;
  constexpr std::size_t window = FilePages::window_bytes, part_begin = 1000, part_bytes = 9 * window / 2;
  std::string content(6 * window, '\0');
  std::mt19937 random(7);
  for (std::size_t i = 0; i < content.size(); i += 64) content[i] = static_cast<char>(random());
  const auto path = directory.write("blob", content);
  cpu::Threads threads(2);
  const auto bring = [&](HugePages wanted, bool is_read_often, long patience, std::uint64_t most) {
    const MappedFile file(path);
    FilePages pages(wanted, patience);
    pages.add(file, file.bytes().subspan(part_begin, part_bytes), is_read_often);
    CHECK(pages.bytes() >= (is_read_often ? part_bytes : 0));
    double last = 0;
    const auto taken = pages.bring(threads, [&](double share) {
      CHECK(share > last);
      last = share;
    });
    CHECK(last <= 1);
    CHECK(taken % window == 0);
    CHECK(taken <= most);
    file.not_needed(file.bytes());
    CHECK(file.text() == content);
    const MappedFile again(path);  // the file itself is not written
    CHECK(again.text() == content);
  };
  bring(HugePages::always, true, 0, 5 * window);
  bring(HugePages::quick, true, 1'000'000'000, 5 * window);
  bring(HugePages::quick, true, 0, 0);
  bring(HugePages::always, false, 0, 0);
  bring(HugePages::never, true, 1'000'000'000, 0);
}

TEST_CASE("available memory: what the system says, and what a control group leaves") {
  TemporaryDirectory directory;
  const auto write = [&](const std::string& name, const std::string& text) {
    const auto path = directory.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  };
  CHECK(available_memory(directory.path()) > 0);  // no files: half of what there is
  write("proc/meminfo", "MemTotal:       4000 kB\nMemFree:         100 kB\nMemAvailable:   3000 kB\nBuffers:          1 kB\n");
  CHECK(available_memory(directory.path()) == 3000 * 1024);
  const std::string group = "sys/fs/cgroup/";
  SUBCASE("version 2") {
    write(group + "memory.max", "max\n");
    write(group + "memory.current", "1000000\n");
    CHECK(available_memory(directory.path()) == 3000 * 1024);
    write(group + "memory.max", "1500000\n");
    CHECK(available_memory(directory.path()) == 500'000);
    write(group + "memory.stat", "anon 300000\nfile 700000\n");
    CHECK(available_memory(directory.path()) == 1'200'000);
    write(group + "memory.max", "200000\n");
    CHECK(available_memory(directory.path()) == 0);
  }
  SUBCASE("version 1") {
    write(group + "memory/memory.limit_in_bytes", "9223372036854771712\n");
    write(group + "memory/memory.usage_in_bytes", "1000000\n");
    CHECK(available_memory(directory.path()) == 3000 * 1024);
    write(group + "memory/memory.limit_in_bytes", "1500000\n");
    write(group + "memory/memory.stat", "cache 1\ntotal_cache 900000\n");
    CHECK(available_memory(directory.path()) == 1'400'000);
  }
}

TEST_CASE("misfits are collected: file, tensor, expected, found") {
  SmallCheckpoint checkpoint(table());
  SUBCASE("a shape") {
    checkpoint.tensors.at("model.layers.1.mlp.up_proj.weight").shape = {24, 40};
    const auto message = refusal(checkpoint);
    CHECK(holds(message,
                "model.safetensors: one tensor does not fit the model: tensor \"model.layers.1.mlp.up_proj.weight\": expected [40, 24], "
                "found [24, 40] in "));
    CHECK_FALSE(holds(message, "\n"));
  }
  SUBCASE("a rank") {
    checkpoint.tensors.at("model.norm.weight").shape = {24, 1};
    CHECK(holds(refusal(checkpoint), "tensor \"model.norm.weight\": expected [24], found [24, 1] in "));
    checkpoint.tensors.at("model.norm.weight").shape = {1, 24};
    CHECK(refusal(checkpoint).empty());
  }
  SUBCASE("a type") {
    checkpoint.tensors.at("model.norm.weight").type = StoredType::i32;
    CHECK(holds(refusal(checkpoint), "tensor \"model.norm.weight\": expected F32, F16, BF16 or a block format, found I32 in "));
  }
  SUBCASE("several, of which ten are listed") {
    for (auto it = checkpoint.tensors.begin(); it != checkpoint.tensors.end();)
      it = it->first.starts_with("model.layers.0.") ? checkpoint.tensors.erase(it) : std::next(it);
    const auto message = refusal(checkpoint);
    CHECK(holds(message, "12 tensors do not fit the model:\n"));
    CHECK(holds(message, "tensor \"model.layers.0.self_attn.q_proj.bias\": expected [384], but the checkpoint does not have it"));
    CHECK(holds(message, "and 2 more"));
    CHECK(std::count(message.begin(), message.end(), '\n') == 11);
  }
  SUBCASE("tensors that the model does not have are ignored") {
    checkpoint.add("rotary_emb.inv_freq", {2}, std::vector<float>{1, 2});
    CHECK(refusal(checkpoint).empty());
  }
}

namespace {

// layer 0 is dense, layer 1 has experts
constexpr DecoderDims mixed_dims = [] {
  DecoderDims d = dims;
  d.experts = 4;
  d.chosen = 2;
  d.expert_intermediate = 16;
  d.shared_intermediate = 24;
  d.kinds.step = 2;
  return d;
}();
const std::string expert_up = "model.layers.#.mlp.experts.#.up_proj.weight", query_bias = "model.layers.#.self_attn.q_proj.bias";
ParameterTable mixed_table() { return Qwen2MoeRuntime<64, 4, 2>::parameters<Stored<float>>(mixed_dims); }
std::string refusal_of_mixed(const SmallCheckpoint& checkpoint) {
  try {
    Weights::load(Checkpoint::open(checkpoint.write()), mixed_table(), {embedding, head, true});
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("experts are used where each lies, in the layers that have them") {
  SmallCheckpoint checkpoint(mixed_table());
  const auto weights = Weights::load(Checkpoint::open(checkpoint.write()), mixed_table(), {embedding, head, true});
  const int row = weights.table().find(Name(expert_up.c_str())), dense = weights.table().find(Name(up.c_str()));
  CHECK(weights.converted_bytes() == 0);
  CHECK(weights.data(row, 0) == nullptr);
  CHECK(weights.parts(row, 0) == nullptr);
  CHECK(weights.data(dense, 0) != nullptr);
  CHECK(weights.data(dense, 1) == nullptr);
  REQUIRE(weights.parts(row, 1) != nullptr);
  for (const long expert : {0L, 1L, 3L}) {
    const auto& bytes = checkpoint.tensors.at(checkpoint_name(expert_up, 1, expert)).bytes;
    CHECK(std::memcmp(weights.parts(row, 1)[expert], bytes.data(), bytes.size()) == 0);
  }
}

TEST_CASE("an expert that is missing, misshaped or stored in another way is named") {
  SmallCheckpoint checkpoint(mixed_table());
  const std::string name = checkpoint_name(expert_up, 1, 2);
  auto& tensor = checkpoint.tensors.at(name);
  SUBCASE("missing") {
    checkpoint.tensors.erase(name);
    CHECK(holds(refusal_of_mixed(checkpoint), "tensor \"" + name + "\": expected [16, 24], but the checkpoint does not have it"));
  }
  SUBCASE("misshaped") {
    tensor.shape = {24, 16};
    CHECK(holds(refusal_of_mixed(checkpoint), "tensor \"" + name + "\": expected [16, 24], found [24, 16]"));
  }
  SUBCASE("stored in another way") {
    tensor.type = StoredType::bf16;
    tensor.bytes.resize(tensor.bytes.size() / 2);
    CHECK(holds(refusal_of_mixed(checkpoint), "tensor \"" + name + "\": expected f32, as the others of its layer, found BF16"));
  }
  SUBCASE("one more than the model has") {
    const std::string fifth = checkpoint_name(expert_up, 1, 4);
    checkpoint.tensors[fifth] = tensor;
    CHECK(holds(refusal_of_mixed(checkpoint), "tensor \"" + fifth + "\": expected parts 0 to 3, but there are more in "));
  }
  SUBCASE("all in one tensor, as GGUF has them, with one too many") {
    const std::string all = checkpoint_name(expert_up, 1);
    auto merged = tensor;
    merged.shape.insert(merged.shape.begin(), 5);
    merged.bytes.resize(5 * tensor.bytes.size());
    for (long part = 0; part < 4; ++part) checkpoint.tensors.erase(checkpoint_name(expert_up, 1, part));
    checkpoint.tensors[all] = merged;
    CHECK(holds(refusal_of_mixed(checkpoint), "tensor \"" + all + "\": expected [4, 16, 24], found [5, 16, 24] in "));
  }
}

TEST_CASE("biases that a config says are not there are zero") {
  SmallCheckpoint checkpoint(table());
  for (const long block : {0L, 1L}) checkpoint.tensors.erase(checkpoint_name(query_bias, block));
  LoadSettings settings;
  CHECK(holds(refusal(checkpoint), checkpoint_name(query_bias, 0)));
  settings.zeros = {query_bias};
  const auto weights = Weights::load(Checkpoint::open(checkpoint.write()), table(), {embedding, head, true}, {}, settings);
  const auto* bias = reinterpret_cast<const float*>(data(weights, query_bias, 1));
  CHECK(std::all_of(bias, bias + 6 * 64, [](float b) { return b == 0; }));
}
