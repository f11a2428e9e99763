// vocabulary: the tokenizer and the chat template of a model in the two ways in which they are kept.
#pragma once
#include <optional>
#include <string>

#include <weft/io/gguf_writer.hpp>
#include <weft/text/vocabulary_reader.hpp>

#include "model.hpp"

struct Vocabulary {
  weft::text::TokenizerDefinition definition;
  std::optional<std::int32_t> bos, eos, pad;  // what the model itself calls its beginning, end and padding
  std::optional<std::string> chat_template;
};

// Of a directory that holds a tokenizer.
Vocabulary read_vocabulary(const weft::ModelFiles& files);
// Tokens for a model that has none: the 256 bytes, and the ends of texts.
Vocabulary placeholder_vocabulary(const weft::ModelConfig& config);

// The metadata "tokenizer.*" for `rows` tokens: those that the vocabulary lacks are there as [PAD...]. Throws weft::Error when the
// tokenizer is none that GGUF has a name for.
void add_vocabulary(weft::GgufWriter& writer, const Vocabulary& vocabulary, long rows);

// tokenizer.json and tokenizer_config.json
void write_vocabulary(const std::filesystem::path& directory, const Vocabulary& vocabulary);
