// llama: Llama (arXiv 2302.13971, 2307.09288) from the parts of Qwen2: the query, key and value projections have no bias.
#pragma once
#include <weft/models/decoder.hpp>

namespace weft {

using LlamaDims = DecoderDims;
template <LlamaDims d, class Storage = Stored<bf16>> using Llama = Decoder<d, Bias::none, Storage>;

// clang-format off
inline constexpr LlamaDims
  tiny_llama_1_1b = {.hidden = 2048, .intermediate =  5632, .layers = 22, .heads = 32, .kv_heads =  4, .vocab = 32000, .head_dim =  64},
  llama2_7b       = {.hidden = 4096, .intermediate = 11008, .layers = 32, .heads = 32, .kv_heads = 32, .vocab = 32000, .head_dim = 128};

struct TinyLlama_1_1B : Llama<tiny_llama_1_1b> { static constexpr Name name = "TinyLlama-1.1B"; };
struct Llama2_7B : Llama<llama2_7b> { static constexpr Name name = "Llama-2-7B"; };

// any other size: config.json says which; only head_dim is part of the type
template <long head_dim> struct LlamaRuntime : Llama<LlamaDims{.head_dim = head_dim}> { static constexpr Name name = "Llama"; };
// clang-format on

}  // namespace weft
