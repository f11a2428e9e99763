// model_files: what a model consists of on disk, whichever of the two ways it is kept: a directory in the layout of Hugging Face (or a
// .safetensors file in one), or one GGUF file.
#pragma once
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "weft/generate/gguf_tokenizer.hpp"
#include "weft/io/config.hpp"
#include "weft/io/gguf_source.hpp"
#include "weft/text/chat.hpp"

namespace weft {

class ModelFiles {
 public:
  // Throws Error that names the file and what is wrong with it. Tokenizer and chat template are read when they are asked for.
  static ModelFiles open(const std::filesystem::path& path) { return is_gguf(path) ? gguf(path) : directory(path); }

  const std::filesystem::path& path() const { return path_; }
  const ModelConfig& config() const { return config_; }
  const GenerationConfig& generation() const { return generation_; }
  const std::vector<std::string>& warnings() const { return warnings_; }
  const TensorSource& tensors() const { return tensors_; }
  const GgufFile* gguf_file() const { return gguf_ ? &gguf_->file() : nullptr; }  // nullptr for a directory
  // The memory of what the file of the tensors has beside them is given back; it is read again when it is asked for.
  TensorSource take_tensors() {
    if (gguf_) gguf_->file().file().not_needed(gguf_->file().metadata());
    return std::move(tensors_);
  }

  // The format of most bytes: f32, bf16, or any_block for all formats in blocks.
  DType format() const {
    std::uint64_t in_bf16 = 0, in_blocks = 0, all = 0;
    for (const auto& t : tensors_.tensors()) {
      all += t->data.size();
      if (t->format == DType::bf16) in_bf16 += t->data.size();
      if (t->format && is_block(*t->format)) in_blocks += t->data.size();
    }
    return 2 * in_blocks > all ? DType::any_block : 2 * in_bf16 > all ? DType::bf16 : DType::f32;
  }

  bool has_tokenizer() const {
    return gguf_ ? weft::has_tokenizer(gguf_->file())
                 : std::filesystem::exists(path_ / "tokenizer.json") || std::filesystem::exists(path_ / "vocab.json");
  }
  text::TokenizerDefinition tokenizer_definition() const {
    return gguf_ ? text::definition_of(gguf_vocabulary(gguf_->file())) : text::read_tokenizer(path_);
  }
  text::Tokenizer tokenizer() const { return text::Tokenizer(tokenizer_definition()); }
  text::ChatTemplate chat_template() const { return gguf_ ? gguf_chat_template(gguf_->file()) : text::ChatTemplate::load(path_); }

 private:
  static bool is_gguf(const std::filesystem::path& path) {
    if (!std::filesystem::is_regular_file(path)) return false;
    char magic[4] = {};
    std::ifstream(path, std::ios::binary).read(magic, sizeof magic);
    return path.extension() == ".gguf" || std::string_view(magic, sizeof magic) == "GGUF";
  }
  static ModelFiles directory(const std::filesystem::path& path) {
    ModelFiles files;
    auto checkpoint = Checkpoint::open(path);
    files.path_ = checkpoint.directory();
    files.config_ = read_model_config(files.path_);
    files.generation_ = read_generation_config(files.path_, files.config_);
    files.warnings_ = files.config_.warnings;
    files.tensors_ = TensorSource(std::move(checkpoint));
    for (const auto& warning : files.tensors_.warnings()) files.warnings_.push_back(warning);
    return files;
  }
  static ModelFiles gguf(const std::filesystem::path& path) {
    ModelFiles files;
    files.path_ = path;
    files.gguf_ = std::make_shared<const GgufModel>(GgufModel::open(path));
    files.config_ = files.gguf_->config();
    files.generation_ = files.gguf_->generation();
    if (files.has_tokenizer()) files.generation_.eos = gguf_end_tokens(files.gguf_->file());
    files.warnings_ = files.config_.warnings;
    files.tensors_ = tensors_of(files.gguf_);
    return files;
  }

  std::filesystem::path path_;  // the directory, or the file
  ModelConfig config_;
  GenerationConfig generation_;
  std::vector<std::string> warnings_;
  std::shared_ptr<const GgufModel> gguf_;
  TensorSource tensors_;
};

}  // namespace weft
