// shapes: the sizes and formats that are measured, and who measures them, in one place.
#pragma once
#include <weft/models/qwen2.hpp>
#include <weft/models/qwen2_moe.hpp>

#include <string>
#include <vector>

namespace weft::benchmarks {

struct Size {
  const char* name;
  Qwen2Dims dims;
};
inline constexpr Size sizes[] = {{"0.5B", qwen2::b0_5}, {"1.5B", qwen2::b1_5}, {"3B", qwen2::b3},  {"7B", qwen2::b7},
                                 {"14B", qwen2::b14},   {"32B", qwen2::b32},   {"72B", qwen2::b72}};
struct ExpertSize {
  const char* name;
  Qwen2MoeDims dims;
};
inline constexpr ExpertSize expert_sizes[] = {{"A2.7B", qwen2_moe::a2_7b}, {"57B-A14B", qwen2_moe::a14b}};
inline constexpr DType block_formats[] = {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0,
                                          DType::q5_1, DType::q4_k, DType::q5_k, DType::q6_k};

inline constexpr long prefills[] = {512, 2048};
inline constexpr long depths[] = {256, 4096, 16384};  // of the cache when one token is decoded

// what the user asked for; empty lists: everything
struct Selection {
  std::vector<std::string> sizes, formats;
  bool has_size(const std::string& name) const { return has(sizes, name); }
  bool has_format(DType f) const { return has(formats, name_of(f)); }

 private:
  static bool has(const std::vector<std::string>& list, const std::string& name) {
    for (const auto& x : list)
      if (x == name) return true;
    return list.empty();
  }
};

// what registers the benchmarks; one file for each storage policy, so that they compile side by side
void add_bf16_layers(const Selection&);
void add_f32_layers(const Selection&);
void add_block_layers(const Selection&);
void add_expert_layers(const Selection&);
void add_skeletons(const Selection&);

}  // namespace weft::benchmarks
