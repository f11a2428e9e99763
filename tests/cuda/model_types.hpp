// model_types: a small Qwen2 whose programs run on the device
#pragma once
#include <weft/models/qwen2.hpp>

namespace weft::tiny {

struct Group7 : Qwen2<Qwen2Dims{.hidden = 72, .intermediate = 200, .layers = 3, .heads = 7, .kv_heads = 1, .vocab = 257, .head_dim = 64}> {
  static constexpr Name name = "Group7";
};

}  // namespace weft::tiny
