#include "options.hpp"

#include <charconv>
#include <random>

#include "../support/command_line.hpp"

namespace {

// "1,2,3"; an empty text is an empty list. Throws CLI::ValidationError.
std::vector<std::int32_t> read_ids(const std::string& text) {
  std::vector<std::int32_t> ids;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    std::int32_t id = 0;
    const auto [rest, problem] = std::from_chars(text.data() + at, text.data() + end, id);
    if (problem != std::errc() || rest != text.data() + end || end + 1 == text.size())
      throw CLI::ValidationError("--ids", "expected whole numbers with commas between them, found \"" + text + "\"");
    ids.push_back(id);
    at = end + 1;
  }
  return ids;
}

}  // namespace

Parsed<Options> parse_options(int argc, char** argv) {
  Parsed<Options> parsed;
  Options& o = parsed.options;
  CLI::App app("Continues a text with a model of the Qwen2, Qwen2.5, Qwen2-MoE or Llama architecture.", "generate");
  app.footer(
      "Without --prompt, --chat and --ids the prompt is read from standard input. What is not given comes from the model's\n"
      "generation_config.json. Exit status: 0, 1 after an error, 2 after a mistake in the options.");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::Throw);

  app.add_option("--model", o.model, "directory with config.json and weights, a .safetensors file beside its config.json, or a GGUF file")
      ->required()
      ->type_name("DIR|FILE");
  auto* prompt = app.add_option("--prompt", o.prompt, "the text to continue");
  auto* chat = app.add_option("--chat", o.chat, "a message; the model's chat template surrounds it");
  std::optional<std::string> ids;
  auto* id_list = app.add_option("--ids", ids, "token ids to continue, as 1,2,3; needs no tokenizer")->type_name("LIST");
  prompt->excludes(chat)->excludes(id_list);
  chat->excludes(id_list);
  app.add_option("--system", o.system, "the system message of a chat")->needs(chat);

  app.add_option("--max-tokens", o.max_tokens, "tokens to generate at most [the model's, else 256]")->check(CLI::NonNegativeNumber);
  app.add_option("--context", o.context, "tokens that the cache holds [as many as needed]")->check(CLI::PositiveNumber);
  app.add_option("--temperature", o.temperature, "divides the logits; 0 is greedy");
  app.add_option("--top-k", o.top_k, "choose among the k most probable tokens; 0: all");
  app.add_option("--top-p", o.top_p, "choose among the most probable tokens that together reach this probability");
  app.add_option("--min-p", o.min_p, "drop tokens less probable than this fraction of the most probable one");
  app.add_option("--repetition-penalty", o.repetition_penalty, "makes tokens that are in the text less probable; 1: no change");
  app.add_option("--seed", o.seed, "of the random choices [another one each time]");
  app.add_option("--stop", o.stop, "end before this text; may be given several times")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false)
      ->type_name("TEXT");

  std::string device = "cpu";
  app.add_option("--device", device, "what computes: cpu, or cuda if the program was built for it (WEFT_CUDA of CMake) [cpu]")
      ->check(CLI::IsMember({"cpu", "cuda"}).description(""))
      ->type_name("DEVICE");
  app.add_option("--threads", o.threads, "threads to compute with [all]")->check(CLI::Range(1, 4096));
  add_weight_format(app, "--dtype", o.dtype);
  add_cache_format(app, "--cache", o.cache);
  app.add_option("--logits", o.logits, "write the logits of the prompt, float32 [prompt token, vocabulary]")->type_name("FILE.npy");
  app.add_flag("--json", o.json, "end with a line that is a JSON object: the text, the ids, times and memory");
  app.add_flag("--stats", o.stats, "print speed, memory and, of models with experts, how busy each expert was, on standard error");
  app.add_flag("--explain", o.explain, "print the kernels of the model and why they are what they are, and stop");
  app.add_flag(
      "--profile", o.profile,
      "print the measured time of every kernel of a prefill and of a decode step beside what the plan predicts, and stop; without a "
      "prompt: of 512 tokens");
  app.add_flag("--describe", o.describe, "print the model's modules and parameters, and stop");
  app.add_flag("--experts", o.experts,
               "print what WEFT_EXPERTS (CMake) must name for this model in this format, nothing for one without experts, and stop");

  parsed.exit_status = read_command_line(app, argc, argv, [&] {
    if (ids) o.ids = read_ids(*ids);
    o.on_cuda = device == "cuda";
    if (o.on_cuda && o.profile) throw CLI::ValidationError("--profile", "expected --device cpu, the only one that is measured");
    validate(sampling_settings(o, {}));
  });
  return parsed;
}

weft::SamplingSettings sampling_settings(const Options& options, weft::SamplingSettings settings) {
  const auto take = [](const auto& given, auto& setting) {
    if (given) setting = *given;
  };
  take(options.temperature, settings.temperature);
  take(options.top_k, settings.top_k);
  take(options.top_p, settings.top_p);
  take(options.min_p, settings.min_p);
  take(options.repetition_penalty, settings.repetition_penalty);
  settings.seed = options.seed ? *options.seed : std::random_device()();
  return settings;
}
