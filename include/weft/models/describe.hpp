// describe: a model as text: the tree of its modules with the names, shapes, formats and counts of their parameters.
#pragma once
#include <weft/models/causal_lm.hpp>

namespace weft {

namespace detail {

inline std::string grouped(long n) {  // 494,032,768
  const std::string digits = std::to_string(n);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

inline std::string padded(std::string text, std::size_t width) {
  return text + std::string(text.size() < width ? width - text.size() : 1, ' ');
}

template <class P> std::string tree_of_program(const ParameterTable& parameters, int outermost, bool is_tied_head) {
  constexpr const auto& table = Compiled<P>::table;
  constexpr std::size_t name_width = 64, shape_width = 20;
  std::string text;
  for (int c = 1; c < table.calls; ++c) {
    std::string own;  // the parameters that this module itself declares
    int depth = outermost;
    for (int o = table.call[c].outer; o > 0; o = table.call[o].outer) ++depth;
    const auto indent = [&](int more) { return std::string(static_cast<std::size_t>(2 * (depth + more)), ' '); };
    for (int l = 0; l < table.leaves; ++l) {
      bool is_here = false;
      for (int r = 0; r < table.count; ++r)
        is_here |= table.record[r].kind == NodeKind::leaf && table.record[r].number == l && table.record[r].call == c;
      const int row = is_here ? parameters.find(table.leaf[l].path) : -1;
      if (row < 0) continue;
      const ParameterRow& p = parameters.row[row];
      const bool is_state = p.role == Role::state;
      own += padded(indent(1) + std::string(text_of(p.path)), name_width) + padded(shape_of(p), shape_width) + padded(name_of(p.dtype), 6);
      own += is_state ? "cache" : is_tied_head && p.rank == 2 ? "tied to the embedding" : grouped(p.size());
      own += "\n";
    }
    const std::string module = table.call[c].module;
    const bool has_place = !(table.call[c].path == table.call[table.call[c].outer].path);
    text += indent(0) + module + (has_place ? "  " + std::string(text_of(table.call[c].path)) : std::string()) + "\n" + own;
  }
  return text;
}

}  // namespace detail

// One line of totals, then one line per module and parameter; '#' stands for the number of the layer. `dims` completes what the type leaves
// open.
template <class Model, class Format = typename Model::storage> std::string describe(const typename Model::Dims& dims = Model::dims) {
  const ParameterTable table = Model::template parameters<Format>(dims);
  const ModelSize size = Model::template size<Format>(dims);
  using detail::grouped;
  const std::string active = size.active_parameters == size.parameters ? "" : ", " + grouped(size.active_parameters) + " for each token";
  std::string layers;
  const auto add_layers = [&]<class Layer>(std::type_identity<Layer>, int kind) {
    long times = 0;
    for (long l = 0; l < dims.layers; ++l) times += Model::Blocks::kinds == 1 || dims.kinds.of(l) == kind;
    if (times > 0) layers += "  " + std::to_string(times) + " times\n" + detail::tree_of_program<Layer>(table, 2, false);
  };
  add_layers(std::type_identity<LayerProgram<Model, Format>>{}, 0);
  if constexpr (Model::Blocks::kinds > 1) add_layers(std::type_identity<OtherLayerProgram<Model, Format>>{}, 1);
  return std::string(Model::name.text) + ": " + grouped(size.parameters) + " parameters (" + grouped(size.non_embedding) +
         " without the embedding" + active + "), " + grouped(size.weight_bytes) + " bytes of weights, " + grouped(size.kv_bytes_per_token) +
         " bytes of cache per token\n" + detail::tree_of_program<EmbedProgram<Model, Format>>(table, 1, false) + layers +
         detail::tree_of_program<HeadProgram<Model, Format>>(table, 1, dims.tied);
}

}  // namespace weft
