// chat_message: the messages of a conversation, and their form as JSON.
#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "weft/core/error.hpp"

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

// The content of messages[i]. Throws Error when it has none.
inline const std::string& content_of(std::span<const Message> messages, std::size_t i) {
  if (!messages[i].content) throw Error("chat: messages[" + std::to_string(i) + "], of role '" + messages[i].role + "', has no content");
  return *messages[i].content;
}

}  // namespace weft::text
