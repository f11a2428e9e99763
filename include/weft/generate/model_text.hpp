// model_text: a model type in words. It needs no kernels and nobody waits for it, so it is compiled apart from them, without optimisation.
#pragma once
#include "weft/generate/language_model.hpp"
#include "weft/models/describe.hpp"
#include "weft/plan/explain.hpp"

namespace weft {

template <class Model, class Format> ModelText model_text() {
  ModelText text;
  text.describe = [](const DecoderDims& dims) { return describe<Model, Format>(dims); };
  text.explain = [] {
    std::string layers = "\n---- each layer\n" + explain<LayerProgram<Model, Format>>();
    if constexpr (Model::Blocks::kinds > 1)
      layers = "\n---- each layer with experts\n" + explain<LayerProgram<Model, Format>>() + "\n---- each other layer\n" +
               explain<OtherLayerProgram<Model, Format>>();
    return "---- from token ids to activations\n" + explain<EmbedProgram<Model, Format>>() + layers +
           "\n---- from activations to logits\n" + explain<HeadProgram<Model, Format>>();
  };
  return text;
}

}  // namespace weft
