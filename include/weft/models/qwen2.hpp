// qwen2: the dense models of Qwen2 (arXiv 2407.10671) and Qwen2.5 (arXiv 2412.15115): one composition, eleven sizes, and the same with
// sizes that are read when a model is loaded.
#pragma once
#include <weft/models/decoder.hpp>

namespace weft {

using Qwen2Dims = DecoderDims;
template <Qwen2Dims d, class Storage = Stored<bf16>> using Qwen2 = Decoder<d, Bias::yes, Storage>;

// clang-format off
// the published sizes; the three smallest share embedding and head
namespace qwen2 {
inline constexpr Qwen2Dims
  b0_5 = {.hidden =  896, .intermediate =  4864, .layers = 24, .heads = 14, .kv_heads = 2, .vocab = 151936, .head_dim =  64, .tied = true},
  b1_5 = {.hidden = 1536, .intermediate =  8960, .layers = 28, .heads = 12, .kv_heads = 2, .vocab = 151936, .head_dim = 128, .tied = true},
  b3   = {.hidden = 2048, .intermediate = 11008, .layers = 36, .heads = 16, .kv_heads = 2, .vocab = 151936, .head_dim = 128, .tied = true},
  b7   = {.hidden = 3584, .intermediate = 18944, .layers = 28, .heads = 28, .kv_heads = 4, .vocab = 152064, .head_dim = 128},
  b14  = {.hidden = 5120, .intermediate = 13824, .layers = 48, .heads = 40, .kv_heads = 8, .vocab = 152064, .head_dim = 128},
  b32  = {.hidden = 5120, .intermediate = 27648, .layers = 64, .heads = 40, .kv_heads = 8, .vocab = 152064, .head_dim = 128},
  b72  = {.hidden = 8192, .intermediate = 29568, .layers = 80, .heads = 64, .kv_heads = 8, .vocab = 152064, .head_dim = 128};
}  // namespace qwen2

struct Qwen2_5_0_5B : Qwen2<qwen2::b0_5> { static constexpr Name name = "Qwen2.5-0.5B"; };
struct Qwen2_5_1_5B : Qwen2<qwen2::b1_5> { static constexpr Name name = "Qwen2.5-1.5B"; };
struct Qwen2_5_3B : Qwen2<qwen2::b3> { static constexpr Name name = "Qwen2.5-3B"; };
struct Qwen2_5_7B : Qwen2<qwen2::b7> { static constexpr Name name = "Qwen2.5-7B"; };
struct Qwen2_5_14B : Qwen2<qwen2::b14> { static constexpr Name name = "Qwen2.5-14B"; };
struct Qwen2_5_32B : Qwen2<qwen2::b32> { static constexpr Name name = "Qwen2.5-32B"; };
struct Qwen2_5_72B : Qwen2<qwen2::b72> { static constexpr Name name = "Qwen2.5-72B"; };
struct Qwen2_0_5B : Qwen2<qwen2::b0_5> { static constexpr Name name = "Qwen2-0.5B"; };
struct Qwen2_1_5B : Qwen2<qwen2::b1_5> { static constexpr Name name = "Qwen2-1.5B"; };
struct Qwen2_7B : Qwen2<qwen2::b7> { static constexpr Name name = "Qwen2-7B"; };
struct Qwen2_72B : Qwen2<qwen2::b72> { static constexpr Name name = "Qwen2-72B"; };

// any other size: config.json says which; only head_dim is part of the type
template <long head_dim> struct Qwen2Runtime : Qwen2<Qwen2Dims{.head_dim = head_dim}> { static constexpr Name name = "Qwen2"; };
// clang-format on

}  // namespace weft
