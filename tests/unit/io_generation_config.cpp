// generation_config.json: what it says wins over config.json, what it does not say is greedy or transformers' default.
#include <doctest/doctest.h>

#include "io_files.hpp"
#include <weft/io/config.hpp>

using namespace weft;

namespace {

ModelConfig model_with_ids() {
  ModelConfig model;
  model.eos = {3};
  model.bos = 1;
  return model;
}
GenerationConfig read(const char* content) {
  const TemporaryDirectory directory;
  directory.write("generation_config.json", content);
  return read_generation_config(directory.path(), model_with_ids());
}
using Ids = std::vector<std::int32_t>;

}  // namespace

TEST_CASE("the defaults of an instruct model") {
  const auto config = read(R"({"bos_token_id": 151643, "pad_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643],
    "repetition_penalty": 1.1, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "transformers_version": "4.37.0"})");
  CHECK(config.do_sample);
  CHECK(config.temperature == 0.7);
  CHECK(config.top_k == 20);
  CHECK(config.top_p == 0.8);
  CHECK(config.min_p == 0);
  CHECK(config.repetition_penalty == 1.1);
  CHECK(config.eos == Ids{151645, 151643});
  CHECK(config.bos == 151643);
  CHECK(config.pad == 151643);
  CHECK_FALSE(config.max_new_tokens);
}

TEST_CASE("the defaults of a base model, and values without a fraction") {
  const auto config = read(R"({"do_sample": false, "max_new_tokens": 2048, "eos_token_id": 151643, "temperature": 1, "min_p": 0.05})");
  CHECK_FALSE(config.do_sample);
  CHECK(config.max_new_tokens == 2048);
  CHECK(config.eos == Ids{151643});
  CHECK(config.temperature == 1);
  CHECK(config.min_p == 0.05);
  CHECK(config.bos == 1);
}

TEST_CASE("without the file, and with missing or null fields, generation is greedy with the ids of the model's config") {
  const TemporaryDirectory empty;
  const auto check = [](const GenerationConfig& config) {
    CHECK_FALSE(config.do_sample);
    CHECK(config.temperature == 1);
    CHECK(config.top_k == 50);
    CHECK(config.top_p == 1);
    CHECK(config.min_p == 0);
    CHECK(config.repetition_penalty == 1);
    CHECK(config.eos == Ids{3});
    CHECK(config.bos == 1);
    CHECK_FALSE(config.pad);
  };
  check(read_generation_config(empty.path(), model_with_ids()));
  check(read("{}"));
  check(read(R"({"_from_model_config": true, "use_cache": true, "transformers_version": "5.23.0"})"));
  check(read(R"({"do_sample":null,"temperature":null,"top_k":null,"top_p":null,"min_p":null,"repetition_penalty":null,"eos_token_id":null,
    "bos_token_id":null,"pad_token_id":null,"max_new_tokens":null})"));
  CHECK(read(R"({"do_sample":true})").top_k == 50);
}

TEST_CASE("wrong types are refused by the field's name") {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"do_sample":1})", "\"do_sample\""},
      {R"({"temperature":"0.7"})", "\"temperature\""},
      {R"({"top_k":20.0})", "\"top_k\""},
      {R"({"top_k":-1})", "\"top_k\""},
      {R"({"top_p":[0.8]})", "\"top_p\""},
      {R"({"min_p":true})", "\"min_p\""},
      {R"({"repetition_penalty":{}})", "\"repetition_penalty\""},
      {R"({"eos_token_id":"x"})", "\"eos_token_id\""},
      {R"({"max_new_tokens":0})", "\"max_new_tokens\""},
      {"[]", "an object"},
      {"{", "not valid JSON"},
  };
  const TemporaryDirectory directory;
  for (const auto& [content, expected] : cases) {
    const auto path = directory.write("generation_config.json", content);
    CHECK(missing(error_of([&] { read_generation_config(directory.path(), {}); }), {path.string(), expected}) == "");
  }
}
