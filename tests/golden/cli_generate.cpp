// The generator as a user meets it: what it computes, what it prints, and how it refuses.
#include <doctest/doctest.h>

#include "../support/golden.hpp"
#include "../unit/io_files.hpp"

#include <algorithm>
#include <bit>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/io/safetensors.hpp>
#include <weft/text/tokenizer.hpp>

using weft::test::Golden;

namespace {

struct Outcome {
  int status = -1;
  std::string out, err;

  // standard output before its last line, and that line as JSON
  std::string before_json() const {
    const auto at = out.rfind('\n', out.size() - 2);
    return at == out.npos ? "" : out.substr(0, at + 1);
  }
  nlohmann::json json() const { return nlohmann::json::parse(out.substr(before_json().size())); }
};

// runs the generator with these arguments; standard input is `input`; may be interrupted as by Ctrl-C once it has begun to write
Outcome generate(std::vector<std::string> arguments, const std::string& input = "", bool is_interrupted = false) {
  const TemporaryDirectory directory;
  const auto in = directory.write("in", input), out = directory.write("out", ""), err = directory.write("err", "");
  std::cout.flush();
  std::fflush(nullptr);  // what is still buffered would be printed by the child too
  const pid_t child = ::fork();
  if (child == 0) {
    const auto open = [](const std::filesystem::path& path, const char* mode, std::FILE* stream) {
      if (!std::freopen(path.c_str(), mode, stream)) ::_exit(126);
    };
    open(in, "r", stdin);
    open(out, "w", stdout);
    open(err, "w", stderr);
    std::vector<char*> argv = {const_cast<char*>("generate")};
    for (auto& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    ::execv(WEFT_GENERATOR, argv.data());
    ::_exit(127);
  }
  int status = 0;
  bool has_ended = false;
  while (is_interrupted && !has_ended && std::filesystem::file_size(out) == 0) {
    ::usleep(1000);
    has_ended = ::waitpid(child, &status, WNOHANG) == child;
  }
  if (is_interrupted && !has_ended) ::kill(child, SIGINT);
  if (!has_ended) ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content_of(out), content_of(err)};
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
  SUBCASE("logits that are not numbers") {
    const Copy copy(golden_directory + "group8_window");
    const auto file = weft::SafetensorsFile::open(copy.directory / "model.safetensors");
    std::vector<weft::TensorInfo> tensors(file.tensors().begin(), file.tensors().end());
    std::vector<std::byte> gain;
    for (auto& tensor : tensors)
      if (tensor.name == "model.norm.weight") {
        gain.assign(tensor.data.begin(), tensor.data.end());
        const auto nan = std::bit_cast<std::array<std::byte, 4>>(0x7fc00000u);
        std::copy(nan.begin(), nan.end(), gain.begin());
        tensor.data = gain;
      }
    weft::write_safetensors(copy.directory / "model.safetensors", tensors);
    CHECK(missing(refused({"--model", copy.path(), "--ids", "1,2,3"}), {"logits at position 3", "NaN"}) == "");
    const auto npy = copy.directory / "logits.npy";
    CHECK(missing(refused({"--model", copy.path(), "--ids", "1,2,3", "--logits", npy.string()}), {"logits at position 0", "NaN"}) == "");
    CHECK_FALSE(std::filesystem::exists(npy));
  }
}
