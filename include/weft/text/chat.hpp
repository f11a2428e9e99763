// chat: conversations as the text that Qwen models were trained on (the chat templates of Qwen2, Qwen2.5 and plain ChatML).
//
// A template is recognised by its text and rendered by code; weft does not interpret Jinja.
#pragma once
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "weft/core/error.hpp"
#include "weft/text/json_field.hpp"
#include "weft/text/python_json.hpp"

namespace weft::text {

struct ToolCall {
  std::string name;
  nlohmann::ordered_json arguments;  // usually an object; a string is written as a JSON string
};

struct Message {
  std::string role;                    // "system", "user", "assistant" or "tool"
  std::optional<std::string> content;  // may be missing beside tool calls only
  std::vector<ToolCall> tool_calls;    // of an assistant
};

// Messages in the form of the OpenAI and Hugging Face interfaces: [{"role": ..., "content": ..., "tool_calls": [...]}]. A call may be
// wrapped in a "function" object. Throws Error, which names the message.
inline std::vector<Message> messages_from_json(const nlohmann::ordered_json& json) {
  if (!json.is_array()) throw Error("messages: expected an array, found " + std::string(json.type_name()));
  std::vector<Message> messages;
  for (const auto& item : json) {
    const std::string place = "messages[" + std::to_string(messages.size()) + "]";
    if (!item.is_object() || !item.contains("role") || !item["role"].is_string()) throw Error(place + ": expected an object with a role");
    Message message{item["role"].get<std::string>(), std::nullopt, {}};
    if (const auto content = item.find("content"); content != item.end() && !content->is_null()) {
      if (!content->is_string()) throw Error(place + ".content: expected a string, found " + content->type_name());
      message.content = content->get<std::string>();
    }
    if (const auto calls = item.find("tool_calls"); calls != item.end() && !calls->is_null()) {
      if (!calls->is_array()) throw Error(place + ".tool_calls: expected an array, found " + std::string(calls->type_name()));
      for (const auto& entry : *calls) {
        const auto& call = entry.is_object() && entry.contains("function") ? entry["function"] : entry;
        if (!call.is_object() || !call.contains("name") || !call["name"].is_string() || !call.contains("arguments"))
          throw Error(place + ".tool_calls: expected calls with a name and arguments");
        message.tool_calls.push_back({call["name"].get<std::string>(), call["arguments"]});
      }
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

class ChatTemplate {
 public:
  // `default_system` opens a conversation that brings no system message of its own; empty: nothing does.
  ChatTemplate(std::string default_system, bool has_tools) : default_system_(std::move(default_system)), has_tools_(has_tools) {}

  static ChatTemplate qwen2_5() { return {"You are Qwen, created by Alibaba Cloud. You are a helpful assistant.", true}; }
  static ChatTemplate qwen2() { return {"You are a helpful assistant.", false}; }
  static ChatTemplate chatml() { return {"", false}; }

  // The template of a model's directory: chat_template.jinja, else `chat_template` in tokenizer_config.json. Throws Error when there is
  // none, or when it is none of those above.
  static ChatTemplate load(const std::filesystem::path& directory);

  // Recognises the text of a template; its default system message is taken from it. `source` says where it was read.
  static ChatTemplate recognise(std::string_view jinja, const std::string& source);

  const std::string& default_system() const { return default_system_; }
  bool has_tools() const { return has_tools_; }

  // The text of a conversation, control tokens included, so it is to be encoded with Special::parse. Content is written as it is: control
  // tokens in it stay alive. `tools` is an array of function signatures, or null. Throws Error when there is no message, when a message has
  // no content, and for tools where the template has none.
  std::string render(std::span<const Message> messages, const nlohmann::ordered_json& tools = nullptr,
                     bool generation_prompt = true) const {
    if (messages.empty()) throw Error("chat: expected at least one message");
    if (!tools.is_null() && !tools.is_array()) throw Error("chat: expected an array of tools, found " + std::string(tools.type_name()));
    if (!tools.empty() && !has_tools_) throw Error("chat: the model's chat template has no tools");
    const bool has_system = messages[0].role == "system";
    const std::string& system = has_system ? content_of(messages, 0) : default_system_;
    std::string text;
    if (!tools.empty()) {
      text += turn("system", system + signatures(tools));
    } else if (has_system || !default_system_.empty()) {
      text += turn("system", system);
    }
    for (std::size_t i = has_system ? 1 : 0; i < messages.size(); ++i) text += has_tools_ ? with_tools(messages, i) : plain(messages, i);
    if (generation_prompt) text += "<|im_start|>assistant\n";
    return text;
  }

 private:
  static std::string turn(const std::string& role, const std::string& content) {
    return "<|im_start|>" + role + "\n" + content + "<|im_end|>\n";
  }

  static const std::string& content_of(std::span<const Message> messages, std::size_t i) {
    if (!messages[i].content) throw Error("chat: messages[" + std::to_string(i) + "], of role '" + messages[i].role + "', has no content");
    return *messages[i].content;
  }

  static std::string plain(std::span<const Message> messages, std::size_t i) {
    if (!messages[i].tool_calls.empty())
      throw Error("chat: messages[" + std::to_string(i) + "] calls tools, but the model's chat template has none");
    return turn(messages[i].role, content_of(messages, i));
  }

  static std::string with_tools(std::span<const Message> messages, std::size_t i) {
    const Message& message = messages[i];
    if (message.role == "user" || message.role == "system" || (message.role == "assistant" && message.tool_calls.empty()))
      return turn(message.role, content_of(messages, i));
    if (message.role == "assistant") {
      std::string text = "<|im_start|>assistant";
      if (message.content && !message.content->empty()) text += "\n" + *message.content;
      for (const ToolCall& call : message.tool_calls)
        text += "\n<tool_call>\n{\"name\": \"" + call.name + "\", \"arguments\": " + python_json(call.arguments) + "}\n</tool_call>";
      return text + "<|im_end|>\n";
    }
    if (message.role == "tool") {  // the results that follow each other share one turn of the user
      const bool is_first = i == 0 || messages[i - 1].role != "tool", is_last = i + 1 == messages.size() || messages[i + 1].role != "tool";
      return (is_first ? "<|im_start|>user" : "") + ("\n<tool_response>\n" + content_of(messages, i)) + "\n</tool_response>" +
             (is_last ? "<|im_end|>\n" : "");
    }
    return "";  // the template passes over roles that it does not know
  }

  static std::string signatures(const nlohmann::ordered_json& tools) {
    std::string text =
        "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
        "You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
    for (const auto& tool : tools) text.append("\n").append(python_json(tool));
    return text +
           "\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML "
           "tags:\n"
           "<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call>";
  }

  std::string default_system_;
  bool has_tools_;
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

}  // namespace detail

inline ChatTemplate ChatTemplate::recognise(std::string_view jinja, const std::string& source) {
  const auto holds = [&](std::string_view part) { return jinja.find(part) != jinja.npos; };
  const auto holds_any = [&](std::initializer_list<std::string_view> parts) {
    for (const auto part : parts)
      if (holds(part)) return true;
    return false;
  };
  const auto refuse = [&](const std::string& problem) { throw Error(source + ": weft does not know this chat template: " + problem); };

  if (!holds("<|im_start|>") || !holds("<|im_end|>")) refuse("it has no turns between <|im_start|> and <|im_end|>");
  for (const char* part : {"<think>", "reasoning_content", "<|vision_start|>", "trim", "strip", "bos_token"})
    if (holds(part)) refuse(std::string("it mentions ") + part);
  const auto constants = detail::system_constants(jinja);
  for (const auto& constant : constants)
    if (constant != constants[0])
      refuse("it has two system messages of its own, '" + std::string(constants[0]) + "' and '" + std::string(constant) + "'");
  const std::string written(constants.empty() ? "" : constants[0]), system = detail::without_escapes(written);
  if (!holds("tool")) return {system, false};
  // the marks of Qwen2.5's tools; a template without a system message of its own is a later one, with other rules
  const bool has_marks = holds("You may call one or more functions to assist with the user query.") && holds("<tool_response>") &&
                         holds("tool_call.arguments | tojson") && holds_any({"message.role", "message['role']"});
  const bool has_same_system = holds_any({"'" + written + "'", "\"" + written + "\""});  // with tools as without
  if (!has_marks || system.empty() || !has_same_system) refuse("its tools are not those of Qwen2.5");
  return {system, true};
}

inline ChatTemplate ChatTemplate::load(const std::filesystem::path& directory) {
  if (const auto path = directory / "chat_template.jinja"; std::filesystem::exists(path)) return recognise(read_file(path), path.string());
  const auto path = directory / "tokenizer_config.json";
  if (std::filesystem::exists(path)) {
    const nlohmann::json document = read_json(path);
    const JsonField field = JsonField(document, path.string())["chat_template"];
    if (field.value().is_array()) {  // of named templates
      for (std::size_t i = 0; i < field.array_size(); ++i)
        if (field[i]["name"].string() == "default") return recognise(field[i]["template"].string(), field.place());
      field.refuse("a template named 'default'");
    }
    if (!field.is_absent()) return recognise(field.string(), field.place());
  }
  throw Error(directory.string() + ": the model has no chat template (no chat_template.jinja, no chat_template in tokenizer_config.json)");
}

}  // namespace weft::text
