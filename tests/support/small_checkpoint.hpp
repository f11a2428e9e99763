// small_checkpoint: a model of a few thousand parameters in a directory of its own, to be changed by a test before it is loaded.
#pragma once
#include "../unit/io_files.hpp"

#include <cstring>
#include <map>
#include <random>

#include <weft/io/safetensors.hpp>
#include <weft/models/dims.hpp>
#include <weft/models/parameters.hpp>

namespace weft::test {

struct SmallCheckpoint {
  static constexpr DecoderDims dims = {
      .hidden = 24, .intermediate = 40, .layers = 2, .heads = 6, .kv_heads = 2, .vocab = 50, .head_dim = 64, .tied = true};
  struct Tensor {
    StoredType type;
    std::vector<std::uint64_t> shape;
    std::vector<std::byte> bytes;
  };
  std::map<std::string, Tensor> tensors;
  TemporaryDirectory directory;

  // random f32 values for every parameter but a tied head
  explicit SmallCheckpoint(const ParameterTable& table) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0, 0.3f);
    for (int r = 0; r < table.rows; ++r) {
      const ParameterRow& row = table.row[r];
      if (row.role != Role::parameter || (dims.tied && text_of(row.path) == "lm_head.weight")) continue;
      const bool in_parts = row.may_lie_in_parts();
      const long parts = in_parts ? row.extent[0] : 1;
      for (long block = 0; block < row.blocks; ++block)
        for (long part = 0; part < parts && table.has(row, block); ++part) {
          std::vector<float> values(static_cast<std::size_t>(row.size() / parts));
          for (auto& v : values) v = normal(random);
          add(checkpoint_name(text_of(row.path), block, part), std::vector<std::uint64_t>(row.extent + in_parts, row.extent + row.rank),
              values);
        }
    }
  }
  void add(const std::string& name, std::vector<std::uint64_t> shape, std::span<const float> values) {
    const auto bytes = std::as_bytes(values);
    tensors[name] = {StoredType::f32, std::move(shape), {bytes.begin(), bytes.end()}};
  }
  std::filesystem::path write() const {
    std::vector<TensorInfo> list;
    for (const auto& [name, t] : tensors) list.push_back({name, t.type, t.shape, t.bytes});
    write_safetensors(directory.path() / "model.safetensors", list);
    return directory.path();
  }
};

}  // namespace weft::test
