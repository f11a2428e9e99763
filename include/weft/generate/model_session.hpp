// model_session: a session that runs the programs of one model type in some place: on the host (host_place.hpp) or on a device
// (device_model.hpp). All memory is bound when it is made; a token only changes how many tokens and keys there are.
#pragma once
#include <algorithm>
#include <vector>

#include "weft/generate/routing.hpp"
#include "weft/generate/session.hpp"
#include "weft/generate/weights.hpp"
#include "weft/io/model_config.hpp"
#include "weft/models/causal_lm.hpp"
#include "weft/nn/inverse_frequencies.hpp"
#include "weft/plan/binding.hpp"

namespace weft {

// The width of a window that hides nothing, exact as a float: full attention is a wide window, so one kernel serves both.
inline constexpr std::int32_t everything_is_visible = 1 << 30;

// Format: a Stored<...>. Place:
//   static constexpr bool is_host      the host reads and writes its memory
//   std::byte* allocate(bytes)         memory, zeroed, that lives as long as the place
//   void write(to, from, bytes)        copies there from the host's memory
//   const std::byte* parameter(r, n)   where row r of the table of parameters lies, of block n
//   void* const* parts(r, n)           where its parts lie, if each is a tensor of its own; else nullptr
//   void reserve(binding), run(binding)
// and where it is not the host
//   void read(to, from, bytes)         copies from there, once all programs before have ended
//   void repeat(f)                     f(), or what it stands for: f runs the same programs on the same memory every time
template <class Model, class Format, class Place> class ModelSession final : public Session {
 public:
  ModelSession(const ModelConfig& config, const typename Model::Dims& dims, const Weights& weights, Place place,
               const SessionSettings& settings)
      : Session(settings.context, dims.vocab),
        place_(std::move(place)),
        routing_(settings.routing),
        hidden_(dims.hidden),
        chunk_(std::min(settings.chunk, settings.context)),
        rows_at_once_(Place::is_host ? chunk_ : std::min(chunk_, 32L)) {
    if (settings.context < 1) throw Error("context: expected at least 1 token, found " + std::to_string(settings.context));
    if (settings.chunk < 1) throw Error("chunk: expected at least 1 token, found " + std::to_string(settings.chunk));
    const auto tokens = static_cast<std::size_t>(chunk_);
    for (auto& x : activations_) x = place_.allocate(tokens * static_cast<std::size_t>(dims.hidden) * activation_bytes);
    new_positions_.resize(tokens);
    ids_ = allocate<std::int32_t>(tokens);
    positions_ = allocate<std::int32_t>(tokens);
    if constexpr (!Place::is_host) logits_ = allocate<float>(static_cast<std::size_t>(rows_at_once_ * dims.vocab));
    std::vector<float> frequencies(static_cast<std::size_t>(dims.head_dim / 2));
    inverse_frequencies(config.rope_theta, frequencies);
    std::vector<std::int32_t> windows;
    for (const long w : config.window)
      windows.push_back(w == 0 ? everything_is_visible : static_cast<std::int32_t>(std::min<long>(w, everything_is_visible)));
    const bool is_normalised = config.experts && config.experts->normalised;
    normalised_ = copy_of(std::vector<float>{is_normalised ? 1.f : 0.f});
    epsilon_ = copy_of(std::vector<float>{static_cast<float>(config.rms_norm_eps)});
    frequencies_ = copy_of(frequencies);
    windows_ = copy_of(windows);

    bind(embed_, dims, weights, 0);
    embed_.view[leaf_number<Embed>("y")].data = activations_[0];  // where the first layer reads
    for (long l = 0; l < dims.layers; ++l) {
      kind_of_layer_.push_back(kinds == 1 ? 0 : dims.kinds.of(l));
      in_layers_of_kind(kind_of_layer_.back(), [&](auto& layers) { bind(layers.emplace_back(), dims, weights, l); });
    }
    bind(head_, dims, weights, 0);

    // the largest call there can be
    set_tokens(embed_, chunk_, settings.context);
    const auto with_first_layer = [&](auto f) {
      for (int kind = 0; kind < kinds; ++kind)
        in_layers_of_kind(kind, [&](auto& layers) {
          if (!layers.empty()) f(layers[0]);
        });
    };
    with_first_layer([&](auto& layer) { set_tokens(layer, chunk_, settings.context); });
    set_tokens(head_, chunk_, settings.context);
    place_.reserve(embed_);
    with_first_layer([&](auto& layer) { place_.reserve(layer); });
    place_.reserve(head_);
  }

 private:
  using Embed = EmbedProgram<Model, Format>;
  using Layer = LayerProgram<Model, Format>;
  using OtherLayer = OtherLayerProgram<Model, Format>;
  static constexpr int kinds = Model::Blocks::kinds;
  using Head = HeadProgram<Model, Format>;
  static constexpr std::size_t activation_bytes = static_cast<std::size_t>(bytes_of(Format::formats.activation));

  template <class T> T* allocate(std::size_t count) { return reinterpret_cast<T*>(place_.allocate(count * sizeof(T))); }
  template <class T> T* copy_of(const std::vector<T>& values) {
    T* copy = allocate<T>(values.size());
    place_.write(copy, values.data(), values.size() * sizeof(T));
    return copy;
  }
  // f of the layers of a kind, in order
  template <class F> void in_layers_of_kind(int kind, F f) {
    if constexpr (kinds > 1) {
      if (kind == 1) return f(other_layers_);
    }
    f(layers_);
  }
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
      if (table.leaf[l].role == Role::parameter && place_.parts(row, block))
        bind_parts(b, l, place_.parts(row, block), weights.format(row, block), weights.layout(row, block));
      else if (table.leaf[l].role == Role::parameter)  // programs do not write them
        bind_dense(b, l, const_cast<std::byte*>(place_.parameter(row, block)), weights.format(row, block), weights.layout(row, block));
      else if (table.leaf[l].role == Role::state)
        bind_dense(b, l, new_cache(weights.table().row[row]));
      else
        bind_dense(b, l, argument(path, block));
    }
  }
  void* new_cache(const ParameterRow& row) {
    return place_.allocate(static_cast<std::size_t>(bytes_for(row.dtype, context() * row.size())));
  }
  // The layers write alternately to two buffers. What a call itself brings (logits) is bound by the call.
  void* argument(std::string_view path, long block) {
    if (path == "ids") return ids_;
    if (path == "position") return positions_;
    if (path == "rms_norm_eps") return epsilon_;
    if (path == "norm_topk_prob") return normalised_;
    if (path == "inverse_frequency") return frequencies_;
    if (path == "window") return windows_ + block;
    if (path == "x") return activations_[block % 2];
    if (path == "y") return activations_[(block + 1) % 2];
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
      first_token_ = first;
      for (std::size_t i = 0; i < count; ++i) new_positions_[i] = static_cast<std::int32_t>(first + static_cast<long>(i));
      place_.write(ids_, ids.data() + begin, count * sizeof(std::int32_t));
      place_.write(positions_, new_positions_.data(), count * sizeof(std::int32_t));
      const bool is_last = begin + count == ids.size();
      float* out = wants_all ? logits.data() + begin * row : is_last && !logits.empty() ? logits.data() : nullptr;
      if constexpr (Place::is_host) {
        run_layers(tokens, first + tokens);
        if (out) run_head(wants_all ? 0 : tokens - 1, wants_all ? tokens : 1, out);
      } else {
        run_on_device(tokens, out, wants_all ? 0 : tokens - 1);
      }
      begin += count;
    }
  }
  // The keys extend over the whole cache, so that a token is the same work wherever it stands: masks leave those that there are. `out`: the
  // host's memory for the logits after the tokens from number `first_row` on; nullptr: they are not wanted.
  void run_on_device(long tokens, float* out, long first_row) {
    if (tokens == 1 && out && !routing_) {
      place_.repeat([this] {
        run_layers(1, context());
        run_head(0, 1, logits_);
      });
      place_.read(out, logits_, static_cast<std::size_t>(vocab()) * sizeof(float));
      return;
    }
    run_layers(tokens, context());
    for (long at = first_row; out && at < tokens; at += rows_at_once_) {
      const long rows = std::min(rows_at_once_, tokens - at);
      run_head(at, rows, logits_);
      place_.read(out + (at - first_row) * vocab(), logits_, static_cast<std::size_t>(rows * vocab()) * sizeof(float));
    }
  }
  void run_layers(long tokens, long keys) {
    set_tokens(embed_, tokens, 0);
    place_.run(embed_);
    std::size_t next[kinds] = {};
    for (std::size_t l = 0; l < kind_of_layer_.size(); ++l)
      in_layers_of_kind(kind_of_layer_[l], [&](auto& layers) {
        auto& layer = layers[next[kind_of_layer_[l]]++];
        set_tokens(layer, tokens, keys);
        run_layer(static_cast<long>(l), layer);
        if (routing_) tell_choices(static_cast<long>(l), layer, tokens);
      });
  }
  // An error of a program that stands for all layers names this one, and where in the text its rows begin.
  template <class P> void run_layer(long number, Binding<P>& layer) {
    try {
      place_.run(layer);
    } catch (const Error& error) {
      constexpr std::string_view any = Model::Blocks::place.text;
      std::string text = error.what();
      if (const auto at = text.find(any); at != text.npos) text.replace(at + any.size() - 1, 1, std::to_string(number));
      throw Error("layer " + std::to_string(number) + ", tokens from " + std::to_string(first_token_) + " on: " + text);
    }
  }
  // The kernel that chooses has saved its choices for those that multiply: they are read where they lie, before the next layer's overwrite them.
  template <class P> void tell_choices(long number, const Binding<P>& layer, long tokens) {
    constexpr RoutedBy by = routed_by<P>();
    if constexpr (by.temporary >= 0) {
      static_assert(Compiled<P>::plan.temporary[by.temporary].dtype == DType::i32);
      const auto* choices = static_cast<const std::int32_t*>(layer.view[Binding<P>::leaves + by.temporary].data);
      const long count = elements_of_temporary(layer, by.temporary);
      if constexpr (!Place::is_host) {
        choices_.resize(static_cast<std::size_t>(count));
        place_.read(choices_.data(), choices, choices_.size() * sizeof(std::int32_t));
        choices = choices_.data();
      }
      routing_->on_choices(number, layer.extent[by.axis], count / tokens, {choices, static_cast<std::size_t>(count)});
    }
  }
  // the logits after `tokens` tokens of the chunk, from number `first` on
  void run_head(long first, long tokens, float* logits) {
    constexpr int x = leaf_number<Head>("x"), out = leaf_number<Head>("logits");
    head_.view[x].data = activations_[kind_of_layer_.size() % 2] + static_cast<std::size_t>(first * hidden_) * activation_bytes;
    head_.view[out].data = logits;
    set_tokens(head_, tokens, 0);
    place_.run(head_);
  }

  Place place_;
  RoutingObserver* routing_;
  std::vector<std::int32_t> choices_;   // of a device
  long first_token_ = 0;                // of the chunk that is being computed
  long hidden_, chunk_, rows_at_once_;  // rows of logits that the head computes together
  std::byte* activations_[2]{};
  std::vector<std::int32_t> new_positions_;
  std::int32_t *ids_ = nullptr, *positions_ = nullptr, *windows_ = nullptr;
  float *normalised_ = nullptr, *epsilon_ = nullptr, *frequencies_ = nullptr, *logits_ = nullptr;
  Binding<Embed> embed_;
  std::vector<Binding<Layer>> layers_;
  std::vector<std::conditional_t<kinds == 1, char, Binding<OtherLayer>>> other_layers_;
  std::vector<int> kind_of_layer_;
  Binding<Head> head_;
};

}  // namespace weft
