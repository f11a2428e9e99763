// The generator as a user meets it: what it computes, what it prints, and how it refuses.
#include <doctest/doctest.h>

#include "../support/golden.hpp"
#include "../support/run_program.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <span>
#include <weft/io/safetensors.hpp>
#include <weft/text/tokenizer.hpp>

using weft::test::Golden;
using weft::test::Outcome;
using weft::test::run;

namespace {

Outcome generate(std::vector<std::string> arguments, const std::string& input = "", bool is_interrupted = false) {
  return run(WEFT_GENERATOR, std::move(arguments), input, is_interrupted);
}

std::string list_of(const std::vector<std::int32_t>& ids) {
  std::string text;
  for (const auto id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}
const std::string golden_directory = std::string(WEFT_SOURCE_DIR) + "/tests/golden/data/",
                  equations = std::string(WEFT_SOURCE_DIR) + "/examples/models/equations";

// a refusal: exit status 1, one message, nothing on standard output
std::string refused(const std::vector<std::string>& arguments, const std::string& input = "") {
  const auto outcome = generate(arguments, input);
  CAPTURE(outcome.err);
  CHECK(outcome.status == 1);
  CHECK(outcome.out.empty());
  CHECK(outcome.err.starts_with("generate: "));
  return outcome.err;
}

// a copy of a model whose files a test may change
struct Copy {
  TemporaryDirectory directory;
  explicit Copy(const std::filesystem::path& model) {
    for (const auto& entry : std::filesystem::directory_iterator(model)) std::filesystem::copy(entry.path(), directory.path());
  }
  void replace_in(const char* file, const std::string& from, const std::string& to) const {
    std::string text = content_of(directory / file);
    const auto at = text.find(from);
    REQUIRE(at != text.npos);
    directory.write(file, text.replace(at, from.size(), to));
  }
  // the first element of a tensor of model.safetensors
  void put_nan(std::string_view name, std::span<const std::byte> nan) const {
    const auto path = directory / "model.safetensors";
    std::ptrdiff_t at = 0;
    {
      const auto file = weft::SafetensorsFile::open(path);
      at = file.find(name)->data.data() - file.file().bytes().data();
    }
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(at).write(reinterpret_cast<const char*>(nan.data()), static_cast<std::streamsize>(nan.size()));
  }
  std::string path() const { return directory.path().string(); }
};

}  // namespace

TEST_CASE("greedy ids, logits and JSON of a golden checkpoint, without a tokenizer") {
  for (const char* name : {"group8_window", "group5_head128_bf16", "llama", "sharded_bf16"}) {
    CAPTURE(name);
    const Golden golden(name);
    const TemporaryDirectory directory;
    const auto npy = (directory / "logits.npy").string();
    const auto outcome = generate({"--model", golden.directory.string(), "--ids", list_of(golden.prompt), "--dtype", "f32", "--max-tokens",
                                   std::to_string(golden.greedy.size()), "--logits", npy, "--json", "--threads", "2"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.status == 0);
    CHECK(outcome.err.empty());
    const auto json = outcome.json();
    CHECK(json["ids"].get<std::vector<std::int32_t>>() == golden.greedy);
    CHECK(json["prompt_ids"].get<std::vector<std::int32_t>>() == golden.prompt);
    CHECK(json["finish_reason"] == "length");
    CHECK(json["text"] == list_of(golden.greedy));
    CHECK(outcome.before_json() == list_of(golden.greedy) + "\n");
    CHECK(json["prefill_tokens"] == golden.prompt.size());
    CHECK(json["decode_tokens"] == golden.greedy.size() - 1);
    CHECK(json["peak_memory_bytes"] > 1'000'000);
    const auto& c = golden.config;
    CHECK(json["cache_bytes"] ==
          2 * 4 * c.layers * c.kv_heads * c.head_dim * static_cast<long>(golden.prompt.size() + golden.greedy.size()));
    const long matrices = c.layers * (2 * (c.heads + c.kv_heads) * c.head_dim + 3 * c.intermediate) * c.hidden;
    CHECK(json["weight_bytes"] > 4 * (matrices + (c.tied ? 1 : 2) * c.vocab * c.hidden));
    CHECK(json["weight_bytes"] < 4 * (matrices + (c.tied ? 1 : 2) * c.vocab * c.hidden) * 1.05);
    std::vector<std::string> keys;
    for (const auto& [key, value] : json.items()) keys.push_back(key);
    CHECK(keys == std::vector<std::string>{"cache_bytes", "decode_s", "decode_tokens", "finish_reason", "ids", "load_s",
                                           "peak_memory_bytes", "prefill_s", "prefill_tokens", "prompt_ids", "text", "weight_bytes"});

    const std::string file = content_of(npy);
    const std::string shape = "(" + std::to_string(golden.prompt.size()) + ", " + std::to_string(golden.config.vocab) + ")";
    CHECK(file.substr(0, 128).find(shape) != file.npos);
    std::vector<float> logits(golden.logits.size());
    REQUIRE(file.size() > logits.size() * sizeof(float));
    std::memcpy(logits.data(), file.data() + file.size() - logits.size() * sizeof(float), logits.size() * sizeof(float));
    CHECK(weft::test::relative_error(logits, golden.logits) <= 1e-5);
  }
}

TEST_CASE("the embedded model says what transformers makes it say") {
  const auto expected = nlohmann::json::parse(content_of(equations + "/expected.json"));
  REQUIRE(expected["greedy"].size() >= 8);
  for (const auto& item : expected["greedy"]) {
    const std::string prompt = item["prompt"];
    CAPTURE(prompt);
    const auto outcome = generate({"--model", equations, "--prompt", prompt, "--dtype", "f32", "--json"});
    REQUIRE(outcome.status == 0);
    const auto json = outcome.json();
    CHECK(json["prompt_ids"] == item["prompt_ids"]);
    CHECK(json["ids"] == item["ids"]);
    CHECK(json["text"] == item["text"]);
    CHECK(json["finish_reason"] == "stop");
  }
  const TemporaryDirectory directory;
  const auto npy = (directory / "logits.npy").string();
  const auto wanted = expected["last_logits_of_first_prompt"].get<std::vector<float>>();
  REQUIRE(generate({"--model", equations, "--prompt", expected["greedy"][0]["prompt"], "--dtype", "f32", "--logits", npy}).status == 0);
  const std::string file = content_of(npy);
  std::vector<float> logits(wanted.size());
  REQUIRE(file.size() > logits.size() * sizeof(float));
  std::memcpy(logits.data(), file.data() + file.size() - logits.size() * sizeof(float), logits.size() * sizeof(float));
  CHECK(weft::test::relative_error(logits, wanted) <= 1e-5);
}

TEST_CASE("keys and values in 8 bits beside weights in blocks") {
  const auto outcome =
      generate({"--model", equations, "--prompt", "2x + 3 = 7", "--dtype", "q8_0", "--cache", "q8_0", "--json", "--stats"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.status == 0);
  CHECK(outcome.json()["text"].get<std::string>().ends_with("x = 2"));
  CHECK(missing(outcome.err, {", q8_0\n", "tokens in q8_0"}) == "");
  CHECK(outcome.json()["cache_bytes"].get<long>() % (2 * 4 * 64 / 32 * 34) == 0);  // keys and values of 4 layers with a head of 64 elements
}

namespace {

// a model with random weights like Qwen2-57B-A14B, but for its size: groups of seven heads, 8 of 64 experts
constexpr const char* like_a14b = R"({"model_type": "qwen2_moe", "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2,
  "num_attention_heads": 7, "num_key_value_heads": 1, "head_dim": 128, "vocab_size": 300, "num_experts": 64, "num_experts_per_tok": 8,
  "moe_intermediate_size": 32, "shared_expert_intermediate_size": 96, "max_position_embeddings": 512, "rope_theta": 1000000.0})";

std::string converted(std::vector<std::string> arguments, const std::filesystem::path& to) {
  arguments.insert(arguments.begin() + static_cast<std::ptrdiff_t>(arguments[0] == "--random" ? 2 : 1), to.string());
  const auto outcome = run(WEFT_CONVERTER, std::move(arguments));
  CAPTURE(outcome.err);
  REQUIRE(outcome.status == 0);
  return to.string();
}
nlohmann::json ids_of(std::vector<std::string> arguments) {
  for (const char* more : {"--max-tokens", "16", "--json"}) arguments.push_back(more);
  const auto outcome = generate(std::move(arguments));
  CAPTURE(outcome.err);
  REQUIRE(outcome.status == 0);
  return outcome.json()["ids"];
}

}  // namespace

TEST_CASE("models with experts, from a directory and from GGUF") {
  const TemporaryDirectory directory;
  SUBCASE("4 of 60, as transformers continues") {
    const Golden golden("experts");
    const auto gguf = converted({golden.directory.string()}, directory / "experts.gguf");
    CHECK(generate({"--model", gguf, "--experts"}).out == "128:60:4:f32\n");  // what examples/run asks
    for (const std::string& model : {golden.directory.string(), gguf})
      CHECK(generate({"--model", model, "--ids", list_of(golden.prompt), "--dtype", "f32", "--json", "--max-tokens", "64"}).json()["ids"] ==
            golden.greedy);
  }
  SUBCASE("4 of 60 in some layers") {
    const Golden golden("experts_mixed_bf16");
    CHECK(ids_of({"--model", golden.directory.string(), "--ids", list_of(golden.prompt), "--dtype", "f32"}) ==
          std::vector(golden.greedy.begin(), golden.greedy.begin() + 16));
  }
  SUBCASE("8 of 64, in bf16 and in blocks") {
    const auto config = directory.write("config.json", like_a14b).string();
    const auto folder = converted({"--random", config, "--seed", "3"}, directory / "folder"),
               gguf = converted({folder}, directory / "model.gguf"), blocks = converted({folder, "--to", "q8_0"}, directory / "q8_0.gguf");
    const auto plain = ids_of({"--model", folder, "--ids", "5,6,7,280,1"});
    CHECK(ids_of({"--model", gguf, "--ids", "5,6,7,280,1", "--threads", "1"}) == plain);
    const auto quantised = ids_of({"--model", folder, "--ids", "5,6,7,280,1", "--dtype", "q8_0"});
    CHECK(ids_of({"--model", blocks, "--ids", "5,6,7,280,1"}) == quantised);
    CHECK(plain.size() == 16);
    const auto other =
        missing(refused({"--model", folder, "--ids", "5", "--dtype", "f32"}),
                {"head_dim is 128, num_experts 64, num_experts_per_tok 8", "in f32 there is head_dim 128 with 4 of 60 experts",
                 "cmake \"-DWEFT_EXPERTS=128:60:4;128:64:8\" BUILD && cmake --build BUILD"});
    CHECK(other == "");
  }
}

TEST_CASE("statistics of routing") {
  const Golden golden("experts_mixed_bf16");
  const std::vector<std::string> arguments = {
      "--model", golden.directory.string(), "--ids", list_of(golden.prompt), "--dtype", "f32", "--json", "--max-tokens", "9"};
  auto with_statistics = arguments;
  with_statistics.push_back("--stats");
  const auto silent = generate(arguments), told = generate(with_statistics);
  REQUIRE(told.status == 0);
  CHECK(missing(told.err, {"routing      each token through 4 of 60 experts, in 2 layers; entropy of the shares at most 4.094\n",
                           "  layer   tokens  entropy  never chosen", "\n      1       37 ", "\n      5       37 "}) == "");
  CHECK(told.json()["ids"] == silent.json()["ids"]);
  CHECK_FALSE(silent.json().contains("routing"));
  const auto layers = told.json()["routing"];
  REQUIRE(layers.size() == 2);
  for (const auto& layer : layers) {  // of the prompt's 29 tokens and of 8 of those that were generated
    const auto counts = layer["counts"].get<std::vector<long>>();
    CHECK(counts.size() == layer["experts"]);
    CHECK(std::accumulate(counts.begin(), counts.end(), 0L) == 4 * 37);
    CHECK(layer["tokens"] == 37);
    double entropy = 0;
    for (const long n : counts) entropy -= n > 0 ? n / 148. * std::log(n / 148.) : 0;
    CHECK(layer["entropy"].get<double>() == doctest::Approx(entropy));
  }
  const auto dense = generate({"--model", equations, "--prompt", "2x", "--stats", "--max-tokens", "2"});
  CHECK(missing(dense.err, {"routing      none: the model is dense, every token passes through all of it\n"}) == "");
}

TEST_CASE("text in, text out: prompt, standard input, stop strings, sampling") {
  const auto solved = generate({"--model", equations, "--prompt", "2x + 3 = 7"});
  CHECK(solved.status == 0);
  CHECK(solved.err.empty());
  CHECK(solved.out.ends_with("x = 2\n"));
  CHECK(generate({"--model", equations}, "2x + 3 = 7\n").out == solved.out);
  CHECK(generate({"--model", equations, "--prompt", "2x + 3 = 7", "--threads", "1"}).out == solved.out);

  const auto stopped = generate({"--model", equations, "--prompt", "2x + 3 = 7", "--stop", "divide", "--stop", "never", "--json"});
  CHECK(stopped.json()["finish_reason"] == "stop");
  CHECK(stopped.json()["text"] == solved.out.substr(0, solved.out.find("divide")));

  const auto cut = generate({"--model", equations, "--prompt", "2x + 3 = 7", "--context", "12", "--json"}).json();
  CHECK(cut["finish_reason"] == "length");
  CHECK(cut["ids"].size() + cut["prompt_ids"].size() == 13);  // the last one is chosen, but has no room to be read

  const std::vector<std::string> sampling = {"--model", equations, "--prompt", "2x",   "--temperature",        "1.5",  "--top-k", "40",
                                             "--top-p", "0.95",    "--min-p",  "0.01", "--repetition-penalty", "1.05", "--seed"};
  const auto with_seed = [&](const char* seed) {
    auto arguments = sampling;
    arguments.push_back(seed);
    return generate(arguments).out;
  };
  CHECK(with_seed("7") == with_seed("7"));
  CHECK(with_seed("7") != with_seed("8"));
}

TEST_CASE("a chat is what the template makes of it") {
  const Copy copy(equations);
  copy.directory.write(
      "chat_template.jinja",
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
      "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
  const auto answer = generate({"--model", copy.path(), "--chat", "2x = 4", "--system", "Solve.", "--max-tokens", "1", "--json"});
  CAPTURE(answer.err);
  REQUIRE(answer.status == 0);
  const auto tokenizer = weft::text::Tokenizer::load(copy.directory.path());
  CHECK(tokenizer.decode(answer.json()["prompt_ids"].get<std::vector<std::int32_t>>()) ==
        "<|im_start|>system\nSolve.<|im_end|>\n<|im_start|>user\n2x = 4<|im_end|>\n<|im_start|>assistant\n");
  CHECK(missing(refused({"--model", equations, "--chat", "2x = 4"}), {"no chat template"}) == "");
}

TEST_CASE("Ctrl-C ends the text, with statistics and success") {
  const Golden golden("group8_window");
  const auto outcome = generate(
      {"--model", golden.directory.string(), "--ids", list_of(golden.prompt), "--max-tokens", "1000000", "--context", "100000", "--json"},
      "", true);
  CHECK(outcome.status == 0);
  CHECK(outcome.json()["finish_reason"] == "interrupted");
  CHECK_FALSE(outcome.json()["ids"].empty());
  CHECK(missing(outcome.err, {"finish reason: interrupted", "tokens/s"}) == "");
}

TEST_CASE("statistics, describe and explain") {
  const auto stats = generate({"--model", equations, "--prompt", "2x + 3 = 7", "--stats"});
  CHECK(missing(stats.err, {"model        Qwen2, head_dim 64 in the type, other sizes at run time, bf16", "parameters   1342016", "threads",
                            "prefill      8 tokens", "decode", "in bf16", "peak memory", "weights 2.6, keys and values"}) == "");
  const auto described = generate({"--model", equations, "--describe"});
  CHECK(described.status == 0);
  CHECK(missing(described.out, {"SelfAttention  model.layers.#.self_attn", "4 times", "[318, 192]"}) == "");
  const auto explained = generate({"--model", equations, "--explain"});
  CHECK(explained.status == 0);
  CHECK(missing(explained.out, {"---- each layer\n5 kernels", "stream", "FLOPs"}) == "");
  CHECK(generate({"--help"}).status == 0);
}

TEST_CASE("mistakes in the options are usage errors") {
  const std::vector<std::vector<std::string>> mistakes = {
      {},
      {"--model", equations, "--no-such-option"},
      {"--model", equations, "positional"},
      {"--model", equations, "--prompt", "a", "--ids", "1"},
      {"--model", equations, "--prompt", "a", "--chat", "b"},
      {"--model", equations, "--system", "a", "--prompt", "b"},
      {"--model", equations, "--ids", "1,two"},
      {"--model", equations, "--ids", "1,"},
      {"--model", equations, "--ids", "99999999999"},
      {"--model", equations, "--prompt", "a", "--temperature", "-1"},
      {"--model", equations, "--prompt", "a", "--temperature", "nan"},
      {"--model", equations, "--prompt", "a", "--top-p", "2"},
      {"--model", equations, "--prompt", "a", "--max-tokens", "-1"},
      {"--model", equations, "--prompt", "a", "--max-tokens", "many"},
      {"--model", equations, "--prompt", "a", "--context", "0"},
      {"--model", equations, "--prompt", "a", "--threads", "0"},
      {"--model", equations, "--prompt", "a", "--dtype", "f16"},
      {"--model", equations, "--prompt", "a", "--device", "tpu"},
      {"--model", equations, "--profile", "--device", "cuda"},
      {"--model", equations, "--prompt", "a", "--cache", "q4_0"},
  };
  for (const auto& arguments : mistakes) {
    const auto outcome = generate(arguments);
    CAPTURE(outcome.err);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    CHECK(outcome.err.starts_with("generate: "));
  }
}

TEST_CASE("bad input is refused with one message") {
  const std::string group8 = golden_directory + "group8_window";
  CHECK(missing(refused({"--model", "/nowhere", "--prompt", "a"}), {"/nowhere"}) == "");
  CHECK(missing(refused({"--model", equations, "--prompt", "a", "--cache", "f16"}),
                {"keys and values in f16 beside weights in bf16", "compiled in: bf16"}) == "");
  CHECK(missing(refused({"--model", equations, "--prompt", "a\xff"}), {"not UTF-8"}) == "");
  CHECK(missing(refused({"--model", equations, "--prompt", ""}), {"prompt", "empty"}) == "");
  CHECK(missing(refused({"--model", equations}), {"prompt", "empty"}) == "");
  CHECK(missing(refused({"--model", group8, "--ids", ""}), {"prompt", "empty"}) == "");
  CHECK(missing(refused({"--model", group8, "--ids", "5,331"}), {"331", "0 to 330"}) == "");
  CHECK(missing(refused({"--model", group8, "--ids", "-1"}), {"-1", "0 to 330"}) == "");
  CHECK(missing(refused({"--model", group8, "--ids", "1,2,3,4", "--context", "3"}), {"4 tokens", "context holds 3"}) == "");
  CHECK(missing(refused({"--model", group8, "--prompt", "a"}), {"tokenizer.json"}) == "");
  CHECK(missing(refused({"--model", equations, "--prompt", "a", "--stop", ""}), {"stop"}) == "");
  CHECK(missing(refused({"--model", equations, "--prompt", "a", "--logits", "/nowhere/x.npy"}), {"/nowhere/x.npy"}) == "");
}

TEST_CASE("a checkpoint that does not fit is refused, and nothing is left behind") {
  SUBCASE("a shape") {
    const Copy copy(golden_directory + "group8_window");
    copy.replace_in("config.json", "\"intermediate_size\": 120", "\"intermediate_size\": 128");
    CHECK(missing(refused({"--model", copy.path(), "--ids", "1"}),
                  {"9 tensors do not fit", "model.layers.0.mlp.gate_proj.weight", "expected [128, 64], found [120, 64]"}) == "");
  }
  SUBCASE("a head_dim that no kernel knows") {
    const Copy copy(golden_directory + "group8_window");
    copy.replace_in("config.json", "\"head_dim\": 64", "\"head_dim\": 96");
    CHECK(missing(refused({"--model", copy.path(), "--ids", "1"}), {"head_dim is 96", "64, 128"}) == "");
  }
  SUBCASE("a truncated file") {
    const Copy copy(golden_directory + "group8_window");
    std::filesystem::resize_file(copy.directory / "model.safetensors", 1000);
    CHECK(missing(refused({"--model", copy.path(), "--ids", "1"}), {"model.safetensors"}) == "");
  }
  SUBCASE("a missing shard") {
    const Copy copy(golden_directory + "sharded_bf16");
    std::filesystem::remove(copy.directory / "model-00002-of-00004.safetensors");
    CHECK(missing(refused({"--model", copy.path(), "--ids", "1"}), {"model-00002-of-00004.safetensors"}) == "");
  }
  SUBCASE("a router that is not a number") {
    const Copy copy(golden_directory + "experts_ties_bf16");
    copy.put_nan("model.layers.1.mlp.gate.weight", std::array{std::byte{0xc0}, std::byte{0x7f}});
    CHECK(missing(refused({"--model", copy.path(), "--ids", "1,2,3", "--dtype", "f32"}),
                  {"layer 1, tokens from 0 on",
                   "operand model.layers.1.mlp.experts.#.gate_proj.weight: row 0 asks for part -1 along axis "
                   "mlp.expert, which has 60 (token 0, mlp.choice 0); -1 is what top_k gives where it meets a NaN"}) == "");
  }
  SUBCASE("an activation that is not a number") {
    const Copy copy(golden_directory + "experts_ties_bf16");
    copy.put_nan("model.embed_tokens.weight", std::array{std::byte{0xc0}, std::byte{0x7f}});  // of token 0
    CHECK(missing(refused({"--model", copy.path(), "--ids", "0,1,2", "--dtype", "f32"}),
                  {"layer 0, tokens from 0 on: ", "row 0 asks for part -1", "(token 0, mlp.choice 0)"}) == "");
  }
  SUBCASE("more experts for each token than there are") {
    const Copy copy(golden_directory + "experts_ties_bf16");
    copy.replace_in("config.json", "\"num_experts_per_tok\": 4", "\"num_experts_per_tok\": 61");
    CHECK(missing(refused({"--model", copy.path(), "--ids", "1"}), {"\"num_experts_per_tok\"", "at most the 60 experts", "found 61"}) ==
          "");
  }
  SUBCASE("experts of another size") {
    const Copy copy(golden_directory + "experts_ties_bf16");
    copy.replace_in("config.json", "\"moe_intermediate_size\": 8", "\"moe_intermediate_size\": 16");
    CHECK(missing(refused({"--model", copy.path(), "--ids", "1", "--dtype", "f32"}),
                  {"360 tensors do not fit", "model.layers.0.mlp.experts.0.gate_proj.weight", "expected [16, 48], found [8, 48]"}) == "");
  }
  SUBCASE("logits that are not numbers") {
    const Copy copy(golden_directory + "group8_window");
    const auto nan = std::bit_cast<std::array<std::byte, 4>>(0x7fc00000u);
    copy.put_nan("model.norm.weight", nan);
    CHECK(missing(refused({"--model", copy.path(), "--ids", "1,2,3"}), {"logits at position 3", "NaN"}) == "");
    const auto npy = copy.directory / "logits.npy";
    CHECK(missing(refused({"--model", copy.path(), "--ids", "1,2,3", "--logits", npy.string()}), {"logits at position 0", "NaN"}) == "");
    CHECK_FALSE(std::filesystem::exists(npy));
  }
}
