// gguf_source: the tensors of a GGUF file, under the names of Hugging Face transformers and with their order of rows.
#pragma once
#include <weft/io/gguf_model.hpp>
#include <weft/io/tensor_source.hpp>

namespace weft {

// The source keeps `model` alive.
inline TensorSource tensors_of(std::shared_ptr<const GgufModel> model) {
  const GgufFile& file = model->file();
  TensorSource source(file.path(), model, {&file.file()});
  for (const auto& t : file.tensors()) {
    const auto name = hugging_face_name_of(t.name);
    if (!name) continue;
    const RowOrder rows = model->rows(*name);
    source.add({*name, &file.file(), name_of(t.type), t.type, t.shape, t.data, rows.is_changed() ? rows.head_dim : 0});
  }
  return source;
}

}  // namespace weft
