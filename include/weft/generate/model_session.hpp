// model_session: a session that runs the programs of one model type on an executor. All memory is bound when it is made; a token only
// changes how many tokens and keys there are.
#pragma once
#include <algorithm>
#include <vector>

#include "weft/core/tensor.hpp"
#include "weft/generate/session.hpp"
#include "weft/generate/weights.hpp"
#include "weft/io/model_config.hpp"
#include "weft/models/causal_lm.hpp"
#include "weft/nn/inverse_frequencies.hpp"
#include "weft/plan/binding.hpp"

namespace weft {

// The width of a window that hides nothing, exact as a float: full attention is a wide window, so one kernel serves both.
inline constexpr std::int32_t everything_is_visible = 1 << 30;

// Format: a Stored<...>. Executor: reserve(binding), run(binding). Weights and executor are shared and must outlive the session; sessions
// that share an executor take turns.
template <class Model, class Format, class Executor> class ModelSession final : public Session {
 public:
  ModelSession(const ModelConfig& config, const typename Model::Dims& dims, const Weights& weights, Executor& executor,
               const SessionSettings& settings)
      : Session(settings.context, dims.vocab),
        executor_(executor),
        hidden_(dims.hidden),
        chunk_(std::min(settings.chunk, settings.context)) {
    if (settings.context < 1) throw Error("context: expected at least 1 token, found " + std::to_string(settings.context));
    if (settings.chunk < 1) throw Error("chunk: expected at least 1 token, found " + std::to_string(settings.chunk));
    const auto tokens = static_cast<std::size_t>(chunk_);
    for (auto& x : activations_) x = Memory(tokens * static_cast<std::size_t>(dims.hidden) * activation_bytes);
    ids_.resize(tokens);
    positions_.resize(tokens);
    epsilon_ = static_cast<float>(config.rms_norm_eps);
    frequencies_.resize(static_cast<std::size_t>(dims.head_dim / 2));
    inverse_frequencies(config.rope_theta, frequencies_);
    for (const long w : config.window)
      windows_.push_back(w == 0 ? everything_is_visible : static_cast<std::int32_t>(std::min<long>(w, everything_is_visible)));

    bind(embed_, dims, weights, 0);
    embed_.view[leaf_number<Embed>("y")].data = activations_[0].data();  // where the first layer reads
    layers_.resize(static_cast<std::size_t>(dims.layers));
    for (long l = 0; l < dims.layers; ++l) bind(layers_[static_cast<std::size_t>(l)], dims, weights, l);
    bind(head_, dims, weights, 0);

    // the largest call there can be
    set_tokens(embed_, chunk_, settings.context);
    set_tokens(layers_[0], chunk_, settings.context);
    set_tokens(head_, chunk_, settings.context);
    executor_.reserve(embed_);
    executor_.reserve(layers_[0]);
    executor_.reserve(head_);
  }

 private:
  using Embed = EmbedProgram<Model, Format>;
  using Layer = LayerProgram<Model, Format>;
  using Head = HeadProgram<Model, Format>;
  static constexpr std::size_t activation_bytes = static_cast<std::size_t>(bytes_of(Format::formats.activation));

  // binds what stays for the life of the session
  template <class P> void bind(Binding<P>& b, const typename Model::Dims& dims, const Weights& weights, long block) {
    const auto& table = Compiled<P>::table;
    for (int a = 0; a < table.axes; ++a) {
      const std::string_view axis = table.axis[a].name;
      const long extent = axis == "token" ? chunk_ : axis == "key" ? context() : dims.extent_of(axis);
      if (b.extent[a] == runtime) set_extent(b, a, extent, table.axis[a].name);
    }
    for (int l = 0; l < table.leaves; ++l) {
      const std::string_view path = text_of(table.leaf[l].path);
      const int row = weights.table().find(table.leaf[l].path);
      if (table.leaf[l].role == Role::parameter)  // programs do not write them
        bind_dense(b, l, const_cast<std::byte*>(weights.data(row, block)), weights.format(row, block), weights.layout(row, block));
      else if (table.leaf[l].role == Role::state)
        bind_dense(b, l, new_cache(weights.table().row[row]));
      else
        bind_dense(b, l, argument(path, block));
    }
  }
  void* new_cache(const ParameterRow& row) {
    caches_.emplace_back(static_cast<std::size_t>(bytes_for(row.dtype, context() * row.size())));
    return caches_.back().data();
  }
  // The layers write alternately to two buffers. What a call itself brings (logits) is bound by the call.
  void* argument(std::string_view path, long block) {
    if (path == "ids") return ids_.data();
    if (path == "position") return positions_.data();
    if (path == "rms_norm_eps") return &epsilon_;
    if (path == "inverse_frequency") return frequencies_.data();
    if (path == "window") return &windows_[static_cast<std::size_t>(block)];
    if (path == "x") return activations_[block % 2].data();
    if (path == "y") return activations_[(block + 1) % 2].data();
    return nullptr;
  }
  template <class P> static void set_tokens(Binding<P>& b, long tokens, long keys) {
    change_extent(b, "token", tokens);
    change_extent(b, "key", keys);
  }

  void append(std::span<const std::int32_t> ids, std::span<float> logits) override {
    const auto row = static_cast<std::size_t>(vocab());
    const bool wants_all = logits.size() > row;
    for (std::size_t begin = 0; begin < ids.size();) {
      const auto count = std::min(ids.size() - begin, static_cast<std::size_t>(chunk_));
      const long first = position() + static_cast<long>(begin), tokens = static_cast<long>(count);
      std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(begin), count, ids_.begin());
      for (std::size_t i = 0; i < count; ++i) positions_[i] = static_cast<std::int32_t>(first + static_cast<long>(i));
      set_tokens(embed_, tokens, 0);
      executor_.run(embed_);
      for (auto& layer : layers_) {
        set_tokens(layer, tokens, first + tokens);
        executor_.run(layer);
      }
      if (wants_all)
        run_head(0, tokens, logits.data() + begin * row);
      else if (!logits.empty() && begin + count == ids.size())
        run_head(tokens - 1, 1, logits.data());
      begin += count;
    }
  }
  // the logits after `tokens` tokens of the chunk, from number `first` on
  void run_head(long first, long tokens, float* logits) {
    constexpr int x = leaf_number<Head>("x"), out = leaf_number<Head>("logits");
    head_.view[x].data = activations_[layers_.size() % 2].data() + static_cast<std::size_t>(first * hidden_) * activation_bytes;
    head_.view[out].data = logits;
    set_tokens(head_, tokens, 0);
    executor_.run(head_);
  }

  Executor& executor_;
  long hidden_, chunk_;
  Memory activations_[2];
  std::vector<Memory> caches_;
  std::vector<std::int32_t> ids_, positions_, windows_;
  std::vector<float> frequencies_;
  float epsilon_ = 0;
  Binding<Embed> embed_;
  std::vector<Binding<Layer>> layers_;
  Binding<Head> head_;
};

}  // namespace weft
