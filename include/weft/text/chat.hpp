// chat: conversations as the text that a model was trained on, by the chat template that comes with it.
//
// A template is recognised by its text and rendered by code (see chat_formats.hpp); weft does not interpret Jinja.
#pragma once
#include <algorithm>
#include <cstddef>
#include <ctime>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "weft/core/error.hpp"
#include "weft/text/chat_formats.hpp"
#include "weft/text/chat_message.hpp"
#include "weft/text/json_field.hpp"

namespace weft::text {

class ChatTemplate {
 public:
  using Format = std::variant<ChatMl, Llama3Headers>;
  ChatTemplate(ChatMl format) : format_(std::move(format)) {}
  ChatTemplate(Llama3Headers format) : format_(std::move(format)) {}

  static ChatTemplate qwen2_5() { return ChatMl{"You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", true}; }
  static ChatTemplate qwen2() { return ChatMl{"You are a helpful assistant.", false}; }
  static ChatTemplate smollm2() { return ChatMl{"You are a helpful AI assistant named SmolLM, trained by Hugging Face", false}; }
  static ChatTemplate chatml() { return ChatMl{}; }
  static ChatTemplate llama3() { return Llama3Headers{"<|begin_of_text|>", false, ""}; }
  static ChatTemplate llama3_1(std::string date = "26 Jul 2024") { return Llama3Headers{"<|begin_of_text|>", true, std::move(date)}; }

  // The template of a model's directory: chat_template.jinja, else `chat_template` in tokenizer_config.json. Throws Error when there is
  // none, or when it is none of those above.
  static ChatTemplate load(const std::filesystem::path& directory);

  // Recognises the text of a template; its default system message is taken from it. `source` says where it was read, `beginning` is what
  // the template knows as bos_token.
  static ChatTemplate recognise(std::string_view jinja, const std::string& source, const std::string& beginning = "<|begin_of_text|>");

  const Format& format() const { return format_; }
  std::string default_system() const {
    const auto* turns = std::get_if<ChatMl>(&format_);
    return turns ? turns->default_system : "";
  }
  bool has_tools() const {
    const auto* turns = std::get_if<ChatMl>(&format_);
    return turns ? turns->has_tools : std::get<Llama3Headers>(format_).has_preamble;
  }
  // The control token behind each message: what a model says when it has finished its answer.
  std::string_view end_of_turn() const {
    return std::visit([](const auto& format) { return format.end_of_turn; }, format_);
  }

  // The text of a conversation, control tokens included, so it is to be encoded with Special::parse. Content is written as it is: control
  // tokens in it stay alive. `tools` is an array of function signatures, or null. Throws Error when there is no message, when a message has
  // no content, and for tools where the template has none.
  std::string render(std::span<const Message> messages, const nlohmann::ordered_json& tools = nullptr,
                     bool generation_prompt = true) const {
    if (messages.empty()) throw Error("chat: expected at least one message");
    if (!tools.is_null() && !tools.is_array()) throw Error("chat: expected an array of tools, found " + std::string(tools.type_name()));
    if (!tools.empty() && !has_tools()) throw Error("chat: the model's chat template has no tools");
    return std::visit([&](const auto& format) { return format.render(messages, tools, generation_prompt); }, format_);
  }

 private:
  Format format_;
};

namespace detail {

// Each text between `<|im_start|>system`, a newline and `<|im_end|>` that is one string constant of the template, as it is written there.
inline std::vector<std::string_view> system_constants(std::string_view jinja) {
  constexpr std::string_view begin = "<|im_start|>system", end = "<|im_end|>";
  std::vector<std::string_view> constants;
  for (std::size_t at = jinja.find(begin); at != jinja.npos; at = jinja.find(begin, at + 1)) {
    const std::string_view rest = jinja.substr(at + begin.size());
    const std::size_t newline = rest.starts_with("\\n") ? 2 : rest.starts_with('\n') ? 1 : 0, stop = rest.find(end);
    if (newline == 0 || stop == rest.npos || stop <= newline) continue;
    const std::string_view constant = rest.substr(newline, stop - newline);
    bool is_constant = true;
    for (std::size_t i = 0; i < constant.size(); ++i) {
      const bool is_escape = constant[i] == '\\';
      if (is_escape) ++i;
      const char c = i < constant.size() ? constant[i] : '\0';
      is_constant = is_constant && (std::string_view(is_escape ? "n\\'\"" : "'\"{").find(c) != std::string_view::npos) == is_escape;
    }
    if (is_constant) constants.push_back(constant);
  }
  return constants;
}

inline std::string without_escapes(std::string_view constant) {
  std::string text;
  for (std::size_t i = 0; i < constant.size(); ++i) {
    const bool is_escape = constant[i] == '\\';
    if (is_escape) ++i;
    text += is_escape && constant[i] == 'n' ? '\n' : constant[i];
  }
  return text;
}

inline bool holds_any(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::ranges::any_of(parts, [&](std::string_view part) { return text.find(part) != text.npos; });
}

inline ChatMl recognise_chatml(std::string_view jinja, const std::string& source) {
  const auto refuse = [&](const std::string& problem) { throw Error(source + ": weft does not know this chat template: " + problem); };
  const auto holds = [&](std::string_view part) { return jinja.find(part) != jinja.npos; };
  for (const char* part : {"<think>", "reasoning_content", "<|vision_start|>", "trim", "strip", "bos_token"})
    if (holds(part)) refuse(std::string("it mentions ") + part);
  const auto constants = system_constants(jinja);
  for (const auto& constant : constants)
    if (constant != constants[0])
      refuse("it has two system messages of its own, '" + std::string(constants[0]) + "' and '" + std::string(constant) + "'");
  const std::string written(constants.empty() ? "" : constants[0]), system = without_escapes(written);
  if (!holds("tool")) return {system, false};
  // the marks of Qwen2.5's tools; a template without a system message of its own is a later one, with other rules
  const bool has_marks = holds("You may call one or more functions to assist with the user query.") && holds("<tool_response>") &&
                         holds("tool_call.arguments | tojson") && holds_any(jinja, {"message.role", "message['role']"});
  const bool has_same_system = holds_any(jinja, {"'" + written + "'", "\"" + written + "\""});  // with tools as without
  if (!has_marks || system.empty() || !has_same_system) refuse("its tools are not those of Qwen2.5");
  return {system, true};
}

// Without spaces, with one kind of quotes, and with line ends in string constants as such: what the versions of one template have in
// common.
inline std::string compact(std::string_view jinja) {
  std::string text;
  for (std::size_t i = 0; i < jinja.size(); ++i) {
    const bool is_line_end = jinja.substr(i).starts_with("\\n");
    if (jinja[i] != ' ') text += is_line_end ? '\n' : jinja[i] == '"' ? '\'' : jinja[i];
    if (is_line_end) ++i;
  }
  return text;
}

// As strftime("%d %b %Y") in English, which the template of Llama 3.2 asks for.
inline std::string date_of_today() {
  constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm today{};
  localtime_r(&now, &today);
  return (today.tm_mday < 10 ? "0" : "") + std::to_string(today.tm_mday) + " " + months[today.tm_mon] + " " +
         std::to_string(1900 + today.tm_year);
}

inline Llama3Headers recognise_headers(std::string_view jinja, const std::string& source, const std::string& beginning) {
  const auto refuse = [&](const std::string& problem) { throw Error(source + ": weft does not know this chat template: " + problem); };
  for (const char* part : {"<think>", "reasoning_content", "image", "eos_token"})
    if (jinja.find(part) != jinja.npos) refuse(std::string("it mentions ") + part);
  const std::string text = compact(jinja);
  const auto holds = [&](std::string_view part) { return text.find(part) != text.npos; };
  const auto expect = [&](std::initializer_list<std::string_view> parts) {
    if (!std::ranges::all_of(parts, holds)) refuse("it has headers as Llama 3 has, but is none of the templates of Llama 3 to 3.3");
  };
  expect({"'<|start_header_id|>'+message['role']+'<|end_header_id|>\n\n'+message['content']|trim+'<|eot_id|>'",
          "'<|start_header_id|>assistant<|end_header_id|>\n\n'"});
  if (!holds_any(text, {"tool", "system", "date"})) {
    std::size_t headers = 0;
    for (std::size_t at = text.find("<|start_header_id|>"); at != text.npos; at = text.find("<|start_header_id|>", at + 1)) ++headers;
    if (headers != 2) refuse("it has " + std::to_string(headers) + " kinds of headers, that of Llama 3 has 2");
    return {holds("bos_token") ? beginning : "", false, ""};
  }
  expect({"{{-bos_token}}", "setsystem_message=''", "{{-'<|start_header_id|>system<|end_header_id|>\n\n'}}", "{{-'Environment:ipython\n'}}",
          "{{-'CuttingKnowledgeDate:December2023\n'}}", "{{-'TodayDate:'+date_string+'\n\n'}}", "{{-system_message}}",
          "settools_in_user_message=true", "setdate_string='26Jul2024'",
          "Giventhefollowingfunctions,pleaserespondwithaJSONforafunctioncall", "tojson(indent=4)", "notmessage.tool_calls|length==1",
          "'parameters'", "'<|start_header_id|>ipython<|end_header_id|>\n\n'"});
  return {beginning, true, holds("strftime_now('%d%b%Y')") ? date_of_today() : "26 Jul 2024"};
}

}  // namespace detail

inline ChatTemplate ChatTemplate::recognise(std::string_view jinja, const std::string& source, const std::string& beginning) {
  if (detail::holds_any(jinja, {"<|start_header_id|>"})) return detail::recognise_headers(jinja, source, beginning);
  if (detail::holds_any(jinja, {"<|im_start|>"}) && detail::holds_any(jinja, {"<|im_end|>"}))
    return detail::recognise_chatml(jinja, source);
  throw Error(source + ": weft does not know this chat template: it has neither turns between <|im_start|> and <|im_end|> nor headers " +
              "between <|start_header_id|> and <|end_header_id|>");
}

inline ChatTemplate ChatTemplate::load(const std::filesystem::path& directory) {
  const auto path = directory / "tokenizer_config.json";
  const nlohmann::json document = std::filesystem::exists(path) ? read_json(path) : nlohmann::json::object();
  const JsonField config(document, path.string()), bos = config["bos_token"];
  // a string, or a token with its flags
  const std::string beginning = bos.is_absent() ? "" : bos.value().is_object() ? bos["content"].string() : bos.string();
  if (const auto jinja = directory / "chat_template.jinja"; std::filesystem::exists(jinja))
    return recognise(read_file(jinja), jinja.string(), beginning);
  const JsonField field = config["chat_template"];
  if (field.value().is_array()) {  // of named templates
    for (std::size_t i = 0; i < field.array_size(); ++i)
      if (field[i]["name"].string() == "default") return recognise(field[i]["template"].string(), field.place(), beginning);
    field.refuse("a template named 'default'");
  }
  if (!field.is_absent()) return recognise(field.string(), field.place(), beginning);
  throw Error(directory.string() + ": the model has no chat template (no chat_template.jinja, no chat_template in tokenizer_config.json)");
}

}  // namespace weft::text
