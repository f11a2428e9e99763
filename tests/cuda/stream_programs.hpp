// stream_programs: programs of the skeleton stream
#pragma once
#include "../support/formulas.hpp"
#include "../support/skeleton_programs.hpp"

namespace weft::streams {

using Small = formulas::Of<40, 36, 2, 3, 16, 50, bf16>;

// attention as models in bf16 have it: groups of 7 queries share keys; weights are rounded, so that tensor cores multiply them with values
template <long head_dim> struct InBf16 {
  using Token = Axis<"token">;
  using Key = Axis<"key">;
  using KvHead = Axis<"kv_head", 2>;
  using Group = Axis<"group", 7>;
  using HeadDim = Tile<"head_dim", head_dim>;
  static constexpr Input<"q", bf16, Token, KvHead, Group, HeadDim> q{};
  static constexpr Input<"k", bf16, Key, KvHead, HeadDim> keys{};
  static constexpr Input<"v", bf16, Key, KvHead, HeadDim> values{};
  static constexpr Input<"at", std::int32_t, Token> at_token{};
  static constexpr Output<"o", bf16, Token, KvHead, Group, HeadDim> o{};
  static constexpr auto attended() {
    auto s = where(position<Key> <= at_token, dot<HeadDim>(q, keys) * 0.125_c, minus_inf);
    auto p = exp(s - max<Key>(s));
    return dot<Key>(cast<bf16>(p) / sum<Key>(p), values);
  }
  struct Attention : decltype(program(assign(o, attended()))) {};
};

}  // namespace weft::streams
