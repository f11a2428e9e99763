// chat_formats: conversations as the text that models were trained on: the turns of ChatML (Qwen2, Qwen2.5, SmolLM2) and the headers of
// Llama 3. Content is written as it is: control tokens in it stay alive.
#pragma once
#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "weft/core/error.hpp"
#include "weft/text/chat_message.hpp"
#include "weft/text/python_json.hpp"
#include "weft/text/unicode.hpp"

namespace weft::text {

// <|im_start|>role, a line end, the content, <|im_end|> and a line end.
struct ChatMl {
  std::string default_system;  // opens a conversation that brings no system message of its own; empty: nothing does
  bool has_tools = false;      // in the manner of Qwen2.5

  static constexpr std::string_view end_of_turn = "<|im_end|>";

  // At least one message; tools are an array, or null.
  std::string render(std::span<const Message> messages, const nlohmann::ordered_json& tools, bool generation_prompt) const {
    const bool has_system = messages[0].role == "system";
    const std::string& system = has_system ? content_of(messages, 0) : default_system;
    std::string text;
    if (!tools.empty()) {
      text += turn("system", system + signatures(tools));
    } else if (has_system || !default_system.empty()) {
      text += turn("system", system);
    }
    for (std::size_t i = has_system ? 1 : 0; i < messages.size(); ++i) text += has_tools ? with_tools(messages, i) : plain(messages, i);
    if (generation_prompt) text += "<|im_start|>assistant\n";
    return text;
  }

 private:
  static std::string turn(const std::string& role, const std::string& content) {
    return "<|im_start|>" + role + "\n" + content + "<|im_end|>\n";
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
};

// Without the characters at both ends that Python's str.strip takes for spaces.
inline std::string_view python_strip(std::string_view text) {
  const auto is_space = [](char32_t code) {
    return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x20) || code == 0x85 || code == 0xA0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
  };
  while (!text.empty() && is_space(first_character(text).code)) text.remove_prefix(first_character(text).length);
  while (!text.empty()) {
    std::size_t last = text.size() - 1;  // where the last character begins
    while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xC0) == 0x80) --last;
    if (!is_space(first_character(text.substr(last)).code)) break;
    text.remove_suffix(text.size() - last);
  }
  return text;
}

// <|start_header_id|>role<|end_header_id|>, an empty line, the content without spaces around it, <|eot_id|>.
struct Llama3Headers {
  std::string beginning;  // goes before everything: <|begin_of_text|>
  // Llama 3.1 and later: every conversation has a system message, which begins with two dates, and there are tools. Llama 3: none of this.
  bool has_preamble = false;
  std::string date;  // of the second line of the preamble, as "26 Jul 2024"

  static constexpr std::string_view end_of_turn = "<|eot_id|>";

  // At least one message; tools are an array, or null.
  std::string render(std::span<const Message> messages, const nlohmann::ordered_json& tools, bool generation_prompt) const {
    std::string text = beginning;
    std::size_t next = 0;
    if (has_preamble) {
      const bool has_system = messages[0].role == "system";
      text += turn("system", std::string(tools.empty() ? "" : "Environment: ipython\n") +
                                 "Cutting Knowledge Date: December 2023\nToday Date: " + date + "\n\n" +
                                 std::string(has_system ? python_strip(content_of(messages, 0)) : ""));
      next = has_system ? 1 : 0;
      if (!tools.empty()) {
        if (next == messages.size()) throw Error("chat: tools are described in the first message of the user, and there is none");
        text += turn("user", signatures(tools) + std::string(python_strip(content_of(messages, next))));
        ++next;
      }
    }
    for (std::size_t i = next; i < messages.size(); ++i) text += has_preamble ? with_tools(messages, i) : plain(messages, i);
    if (generation_prompt) text += header("assistant");
    return text;
  }

 private:
  static std::string header(const std::string& role) { return "<|start_header_id|>" + role + "<|end_header_id|>\n\n"; }
  static std::string turn(const std::string& role, const std::string& content) { return header(role) + content + std::string(end_of_turn); }

  static std::string plain(std::span<const Message> messages, std::size_t i) {
    if (!messages[i].tool_calls.empty())
      throw Error("chat: messages[" + std::to_string(i) + "] calls tools, but the model's chat template has none");
    return turn(messages[i].role, std::string(python_strip(content_of(messages, i))));
  }

  static std::string with_tools(std::span<const Message> messages, std::size_t i) {
    const Message& message = messages[i];
    if (!message.tool_calls.empty()) {  // what else the message says is left out
      if (message.tool_calls.size() > 1)
        throw Error("chat: messages[" + std::to_string(i) + "] calls " + std::to_string(message.tool_calls.size()) +
                    " tools, but the model's chat template allows one at a time");
      const ToolCall& call = message.tool_calls[0];
      return turn("assistant", "{\"name\": \"" + call.name + "\", \"parameters\": " + python_json(call.arguments) + "}");
    }
    if (message.role == "tool" || message.role == "ipython") return turn("ipython", python_string(content_of(messages, i)));
    return plain(messages, i);
  }

  static std::string signatures(const nlohmann::ordered_json& tools) {
    std::string text =
        "Given the following functions, please respond with a JSON for a function call with its proper arguments that best answers the "
        "given prompt.\n\nRespond in the format {\"name\": function name, \"parameters\": dictionary of argument name and its value}."
        "Do not use variables.\n\n";
    for (const auto& tool : tools) text.append(python_json(tool, 4)).append("\n\n");
    return text;
  }
};

}  // namespace weft::text
