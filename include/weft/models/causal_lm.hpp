// causal_lm: a language model as three programs (embed the ids, one decoder layer that stands for all of them, the head), and what follows
// from reading them: the table of parameters and the counts. Whether a checkpoint's head is tied is decided when it is loaded, so the head
// always reads a leaf of its own, which may be bound to the embedding's memory.
#pragma once
#include <weft/models/dims.hpp>
#include <weft/models/model_size.hpp>
#include <weft/nn/layers.hpp>

namespace weft {

// A repeated layer is compiled once; its parameters have '#' in their paths for the number of the block. Layers may be of two kinds (LayerKinds in
// dims.hpp): Layer is kind 0, Other kind 1; void: there is one kind.
template <Name name, class Layer_, class Other_ = void> struct Repeat {
  static constexpr Name place = name / "#";
  static constexpr int kinds = std::is_void_v<Other_> ? 1 : 2;
  using Layer = Layer_;
  using Other = std::conditional_t<kinds == 1, Layer_, Other_>;
};

// dims_: the sizes, some of them perhaps `runtime`. Storage: how parameters, cache and activations are stored, a Stored<...>.
template <auto dims_, class Embed, class Blocks, class Norm, class Head, class Storage> struct CausalLM;

template <auto dims_, Name embed, class Vocab, class Hidden, class Blocks_, class Norm, Name head, class Storage>
struct CausalLM<dims_, Embedding<embed, Vocab, Hidden>, Blocks_, Norm, Linear<head, Vocab, Hidden>, Storage> {
  using self = CausalLM;
  using storage = Storage;
  using Dims = std::remove_const_t<decltype(dims_)>;
  using Blocks = Blocks_;
  static constexpr Dims dims = dims_;
  static constexpr bool is_closed = dims.is_closed();
  static constexpr Name embedding_path = embed / "weight", head_path = head / "weight";

  static constexpr Input<"ids", std::int32_t, Token> ids{};
  static constexpr Input<"x", Activation, Token, Hidden> x{};
  static constexpr Output<"y", Activation, Token, Hidden> y{};
  static constexpr Output<"logits", float, Token, Vocab> logits{};

  // here, so that a wrong model fails where it is declared
  using embed_program = decltype(program(assign(y, apply<Embedding<embed, Vocab, Hidden>>(ids))));
  using layer_program = decltype(program(assign(y, apply<typename Blocks::Layer>(x))));
  using other_layer_program = decltype(program(assign(y, apply<typename Blocks::Other>(x))));
  using head_program = decltype(program(assign(logits, apply<Linear<head, Vocab, Hidden>>(apply<Norm>(x)))));

  template <class Format> struct Embed : embed_program { using storage = Format; };
  template <class Format> struct Layer : layer_program {
    using storage = Format;
    static constexpr Name place = Blocks::place;
  };
  template <class Format> struct OtherLayer : other_layer_program {
    using storage = Format;
    static constexpr Name place = Blocks::place;
  };
  template <class Format> struct Logits : head_program { using storage = Format; };

  // Every parameter, in the order in which a token meets them, and then the states. A tied head has a row too.
  template <class Format = Storage> static constexpr ParameterTable parameters(const Dims& d = dims_) {
    ParameterTable table;
    table.kinds = d.kinds;
    add_parameters<Embed<Format>>(table, d, Role::parameter);
    add_layers<Format>(table, d, Role::parameter);
    add_parameters<Logits<Format>>(table, d, Role::parameter);
    add_layers<Format>(table, d, Role::state);
    return table;
  }
  template <class Format = Storage> static constexpr ModelSize size(const Dims& d = dims_) {
    return size_of_model(parameters<Format>(d), d, embedding_path, head_path);
  }

  template <class Format> static constexpr void add_layers(ParameterTable& table, const Dims& d, Role role) {
    if constexpr (Blocks::kinds == 1) {
      add_parameters<Layer<Format>>(table, d, role);
    } else {
      add_parameters<Layer<Format>>(table, d, role, 1u << 0);
      add_parameters<OtherLayer<Format>>(table, d, role, 1u << 1);
    }
  }

  // Constants of a model whose sizes are all part of its type.
  static constexpr ModelSize closed_size() {
    static_assert(is_closed, "the counts of a model with run-time sizes depend on them: ask size(dims)");
    return size<>();
  }
  static constexpr long parameter_count = closed_size().parameters;
  static constexpr long active_parameter_count = closed_size().active_parameters;
  static constexpr long kv_bytes_per_token = closed_size().kv_bytes_per_token;
  static constexpr long flops_per_token(long context) { return closed_size().flops_per_token(context); }
  static constexpr long bytes_per_token(long context) { return closed_size().bytes_per_token(context); }
};

// The programs of a model that runs: symbols and errors carry "LayerProgram<Qwen2_5_0_5B, ...>", no string, no tree.
template <class Model> constexpr bool has_a_class_of_its_own() {
  static_assert(!std::is_same_v<Model, typename Model::self>, "give the model a class of its own: struct MyModel : Qwen2<...> {};");
  return true;
}
template <class Model, class Format = typename Model::storage, bool = has_a_class_of_its_own<Model>()> struct EmbedProgram
    : Model::template Embed<Format> {};
template <class Model, class Format = typename Model::storage, bool = has_a_class_of_its_own<Model>()> struct LayerProgram
    : Model::template Layer<Format> {};
// of the layers of kind 1, where there are two kinds
template <class Model, class Format = typename Model::storage, bool = has_a_class_of_its_own<Model>()> struct OtherLayerProgram
    : Model::template OtherLayer<Format> {};
template <class Model, class Format = typename Model::storage, bool = has_a_class_of_its_own<Model>()> struct HeadProgram
    : Model::template Logits<Format> {};

}  // namespace weft
