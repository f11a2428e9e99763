// golden: a case of tests/golden/data: a small random checkpoint and what Hugging Face transformers computes with it.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include <weft/io/checkpoint.hpp>
#include <weft/io/config.hpp>

namespace weft::test {

struct Golden {
  std::filesystem::path directory;
  ModelConfig config;
  std::vector<std::int32_t> prompt, greedy;
  std::vector<float> logits;       // [prompt, vocab], float32
  std::vector<float> logits_bf16;  // the same in bfloat16, where the checkpoint is bfloat16; else empty

  explicit Golden(const std::string& name) : directory(std::filesystem::path(WEFT_SOURCE_DIR) / "tests/golden/data" / name) {
    config = read_model_config(directory);
    const auto file = SafetensorsFile::open(directory / "golden.safetensors");
    prompt = read<std::int32_t>(file, "prompt_ids");
    greedy = read<std::int32_t>(file, "greedy_ids");
    logits = read<float>(file, "logits_f32");
    if (file.find("logits_bf16"))
      for (const bf16 x : read<bf16>(file, "logits_bf16")) logits_bf16.push_back(to_float(x));
  }

 private:
  template <class T> static std::vector<T> read(const SafetensorsFile& file, const char* name) {
    const TensorInfo* tensor = file.find(name);
    if (!tensor) throw Error(file.path().string() + ": tensor " + name + " is missing");
    std::vector<T> values(tensor->data.size() / sizeof(T));
    std::memcpy(values.data(), tensor->data.data(), tensor->data.size());
    return values;
  }
};

// |a - b| / |b|
inline double relative_error(std::span<const float> a, std::span<const float> b) {
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return a.size() == b.size() ? std::sqrt(difference / norm) : HUGE_VAL;
}

}  // namespace weft::test
