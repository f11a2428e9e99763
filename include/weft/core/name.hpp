// name: text as part of a type. A Name is written where a template is used; a pack of characters (Chars) is what types carry, because nvcc
// cannot spell a class-type template argument in a kernel's stub. The address of Chars<...>::text identifies a name in constant evaluation.
#pragma once
#include <cstddef>
#include <utility>

namespace weft {

struct Name {
  static constexpr int capacity = 64;
  char text[capacity]{};

  constexpr Name() = default;
  template <std::size_t N> constexpr Name(const char (&literal)[N]) {
    static_assert(N <= capacity, "names have at most 63 characters");
    for (std::size_t i = 0; i < N; ++i) text[i] = literal[i];
  }
  constexpr explicit Name(const char* characters) {
    for (int i = 0; characters[i]; ++i) text[i] = characters[i];
  }
  constexpr int length() const {
    int n = 0;
    while (text[n]) ++n;
    return n;
  }
  constexpr bool empty() const { return text[0] == 0; }
};

constexpr bool same_text(const char* a, const char* b) {  // addresses of literals cannot be compared in constant evaluation
  for (; *a && *a == *b; ++a, ++b) {}
  return *a == *b;
}
constexpr bool operator==(const Name& a, const Name& b) { return same_text(a.text, b.text); }

constexpr Name operator/(const Name& outer, const Name& inner) {  // "self_attn" / "kv_head" is "self_attn.kv_head"
  if (outer.empty()) return inner;
  if (inner.empty()) return outer;
  Name joined = outer;
  int n = outer.length();
  joined.text[n++] = '.';
  for (int i = 0; inner.text[i]; ++i) joined.text[n++] = inner.text[i];
  return joined;
}

template <char... C> struct Chars {
  static constexpr char text[sizeof...(C) + 1] = {C..., 0};
};
template <Name name, class Sequence> struct chars_pack;
template <Name name, std::size_t... I> struct chars_pack<name, std::index_sequence<I...>> { using type = Chars<name.text[I]...>; };
template <Name name> struct chars_of {  // no decltype here: nvcc writes it out with unbound names
  static constexpr std::size_t length = static_cast<std::size_t>(name.length());
  using type = typename chars_pack<name, std::make_index_sequence<length>>::type;
};
template <Name name> using chars = typename chars_of<name>::type;

}  // namespace weft
