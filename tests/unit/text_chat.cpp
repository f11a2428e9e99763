// Conversations as text: the chat templates of Qwen2.5, Qwen2 and ChatML, and JSON as Python writes it.
#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "text_support.hpp"
#include "weft/text/chat.hpp"

using namespace weft::text;
using nlohmann::ordered_json;

namespace {

std::string render(const ChatTemplate& chat, const char* messages, const char* tools = "null", bool generation_prompt = true) {
  return chat.render(messages_from_json(ordered_json::parse(messages)), ordered_json::parse(tools), generation_prompt);
}
std::string qwen2_5(const char* messages, const char* tools = "null", bool generation_prompt = true) {
  return render(ChatTemplate::qwen2_5(), messages, tools, generation_prompt);
}
template <class F> std::string complaint(F&& f) {
  try {
    f();
  } catch (const weft::Error& error) {
    return error.what();
  }
  return "";
}

// the parts of the Qwen2.5 template by which it is known
const std::string jinja_tools =
    R"({%- if tools %}{{- '<|im_start|>system\n' }}{%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] }}{%- else %})"
    R"({{- 'Be brief.' }})"
    R"({%- endif %}{{- "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n" }}{%- else %})"
    R"({{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }})"
    R"({{- '<|im_start|>system\nBe brief.<|im_end|>\n' }}{%- endif %})"
    R"({{- message.role }}{{- tool_call.arguments | tojson }}{{- '\n<tool_response>\n' }})";
const std::string jinja_qwen2 =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}";
const std::string jinja_chatml =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}";

}  // namespace

TEST_CASE("system, user and assistant") {
  CHECK(qwen2_5(R"([{"role": "user", "content": "Hi"}])") ==
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  CHECK(
      qwen2_5(
          R"([{"role": "system", "content": ""}, {"role": "user", "content": " Hi \n"}, {"role": "assistant", "content": "Hello<|im_end|>"},
                    {"role": "system", "content": "Now in French"}, {"role": "user", "content": "?"}])",
          "[]", false) ==
      "<|im_start|>system\n<|im_end|>\n<|im_start|>user\n Hi \n<|im_end|>\n<|im_start|>assistant\nHello<|im_end|><|im_end|>\n"
      "<|im_start|>system\nNow in French<|im_end|>\n<|im_start|>user\n?<|im_end|>\n");
  CHECK(qwen2_5(R"([{"role": "developer", "content": "dropped"}, {"role": "user", "content": "Hi"}])", "null", false) ==
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
        "assistant.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
}

TEST_CASE("tools, calls and results") {
  const std::string tools_after =
      "\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML "
      "tags:\n"
      "<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n";
  const std::string tools_before =
      "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
      "You are provided with function signatures within <tools></tools> XML tags:\n<tools>";
  CHECK(
      qwen2_5(R"([{"role": "system", "content": "S"}, {"role": "user", "content": "U"}])",
              R"([{"type": "function", "function": {"name": "f", "parameters": {}}}, {"name": "g", "b": [1, 2.0, null], "a": "é\"<"}])") ==
      "<|im_start|>system\nS" + tools_before +
          "\n{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {}}}"
          "\n{\"name\": \"g\", \"b\": [1, 2.0, null], \"a\": \"é\\\"<\"}" +
          tools_after + "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n");
  CHECK(qwen2_5(R"([{"role": "user", "content": "U"}])", R"([{}])", false) ==
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant." + tools_before + "\n{}" + tools_after +
            "<|im_start|>user\nU<|im_end|>\n");
  CHECK(qwen2_5(R"([{"role": "system", "content": "S"},
                    {"role": "assistant", "content": null, "tool_calls": [
                      {"name": "f", "arguments": {"z": 1, "a": [true]}},
                      {"type": "function", "function": {"name": "g\"", "arguments": "{\"x\": 1}"}}]},
                    {"role": "tool", "content": "one"}, {"role": "tool", "content": "two"},
                    {"role": "assistant", "content": "So", "tool_calls": [{"name": "h", "arguments": {}}]},
                    {"role": "tool", "content": "three"},
                    {"role": "assistant", "content": "Done", "tool_calls": []}])",
                "null", false) ==
        "<|im_start|>system\nS<|im_end|>\n"
        "<|im_start|>assistant\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"z\": 1, \"a\": [true]}}\n</tool_call>"
        "\n<tool_call>\n{\"name\": \"g\"\", \"arguments\": \"{\\\"x\\\": 1}\"}\n</tool_call><|im_end|>\n"
        "<|im_start|>user\n<tool_response>\none\n</tool_response>\n<tool_response>\ntwo\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\nSo\n<tool_call>\n{\"name\": \"h\", \"arguments\": {}}\n</tool_call><|im_end|>\n"
        "<|im_start|>user\n<tool_response>\nthree\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\nDone<|im_end|>\n");
}

TEST_CASE("Qwen2 and ChatML have no tools") {
  const char* messages = R"([{"role": "user", "content": "Hi"}, {"role": "critic", "content": "Hm"}])";
  const std::string turns = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>critic\nHm<|im_end|>\n<|im_start|>assistant\n";
  CHECK(render(ChatTemplate::qwen2(), messages) == "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n" + turns);
  CHECK(render(ChatTemplate::chatml(), messages) == turns);
  CHECK(render(ChatTemplate::qwen2(), R"([{"role": "system", "content": "S"}])", "null", false) == "<|im_start|>system\nS<|im_end|>\n");
  CHECK(complaint([&] { render(ChatTemplate::qwen2(), messages, "[{}]"); }) == "chat: the model's chat template has no tools");
  CHECK(complaint([&] { render(ChatTemplate::qwen2(), R"([{"role": "assistant", "tool_calls": [{"name": "f", "arguments": {}}]}])"); }) ==
        "chat: messages[0] calls tools, but the model's chat template has none");
}

TEST_CASE("conversations that make no sense") {
  struct Case {
    const char *messages, *complaint;
  };
  const std::vector<Case> cases = {
      {"[]", "chat: expected at least one message"},
      {"{}", "messages: expected an array, found object"},
      {R"(["Hi"])", "messages[0]: expected an object with a role"},
      {R"([{"content": "Hi"}])", "messages[0]: expected an object with a role"},
      {R"([{"role": "user"}])", "chat: messages[0], of role 'user', has no content"},
      {R"([{"role": "system", "content": null}])", "chat: messages[0], of role 'system', has no content"},
      {R"([{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": []}])",
       "chat: messages[1], of role 'assistant', has no content"},
      {R"([{"role": "tool", "content": null}])", "chat: messages[0], of role 'tool', has no content"},
      {R"([{"role": "user", "content": ["Hi"]}])", "messages[0].content: expected a string, found array"},
      {R"([{"role": "assistant", "tool_calls": {}}])", "messages[0].tool_calls: expected an array, found object"},
      {R"([{"role": "assistant", "tool_calls": [{"name": "f"}]}])", "messages[0].tool_calls: expected calls with a name and arguments"},
      {R"([{"role": "assistant", "tool_calls": [{"function": null}]}])",
       "messages[0].tool_calls: expected calls with a name and arguments"},
  };
  for (const Case& wrong : cases) CHECK(complaint([&] { qwen2_5(wrong.messages); }) == wrong.complaint);
  CHECK(complaint([] { qwen2_5(R"([{"role": "user", "content": "Hi"}])", "{}"); }) == "chat: expected an array of tools, found object");
}

TEST_CASE("JSON as Python writes it") {
  for (const auto& [value, text] : std::vector<std::pair<double, const char*>>{{0.0, "0.0"},
                                                                               {-0.0, "-0.0"},
                                                                               {1.0, "1.0"},
                                                                               {-2.5, "-2.5"},
                                                                               {0.1, "0.1"},
                                                                               {123456.789, "123456.789"},
                                                                               {1e15, "1000000000000000.0"},
                                                                               {1e16, "1e+16"},
                                                                               {1e22, "1e+22"},
                                                                               {1.5e300, "1.5e+300"},
                                                                               {0.0001, "0.0001"},
                                                                               {0.00001, "1e-05"},
                                                                               {1.25e-7, "1.25e-07"},
                                                                               {5e-324, "5e-324"},
                                                                               {1e100, "1e+100"},
                                                                               {123456789012345680.0, "1.2345678901234568e+17"},
                                                                               {std::numeric_limits<double>::infinity(), "Infinity"},
                                                                               {-std::numeric_limits<double>::infinity(), "-Infinity"},
                                                                               {std::numeric_limits<double>::quiet_NaN(), "NaN"}})
    CHECK(python_float(value) == text);
  CHECK(python_json(ordered_json::parse(R"({"b": [1, -2, 18446744073709551615, true, false, null, []], "a": {}, "c": {"d": "e"}})")) ==
        R"({"b": [1, -2, 18446744073709551615, true, false, null, []], "a": {}, "c": {"d": "e"}})");
  CHECK(python_string("\"\\\n\r\t\b\f\x01\x1f\x7f/<>&\u00e9\u2028\U0001F999") ==
        "\"\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u001f\x7f/<>&\u00e9\u2028\U0001F999\"");
}

TEST_CASE("a template is recognised by its text") {
  const ChatTemplate tools = ChatTemplate::recognise(jinja_tools, "test");
  CHECK(tools.has_tools());
  CHECK(tools.default_system() == "Be brief.");
  const ChatTemplate qwen2 = ChatTemplate::recognise(jinja_qwen2, "test");
  CHECK_FALSE(qwen2.has_tools());
  CHECK(qwen2.default_system() == ChatTemplate::qwen2().default_system());
  CHECK(ChatTemplate::recognise(jinja_chatml, "test").default_system().empty());
  const ChatTemplate escaped =
      ChatTemplate::recognise(jinja_chatml + R"({{ '<|im_start|>system\nIt\'s \\boxed.\nOk<|im_end|>' }})", "test");
  CHECK(escaped.default_system() == "It's \\boxed.\nOk");
}

TEST_CASE("templates that weft does not know") {
  struct Case {
    std::string jinja, complaint;
  };
  std::string other_system = jinja_tools;
  other_system.replace(other_system.find("'Be brief.'"), 11, "'Be long.'");
  const std::vector<Case> cases = {
      {"", "it has no turns between <|im_start|> and <|im_end|>"},
      {"{{ bos_token }}[INST]{{ message.content }}[/INST]", "it has no turns between <|im_start|> and <|im_end|>"},
      {jinja_tools + "{{ '<think>' }}", "it mentions <think>"},
      {jinja_chatml + "{{ message.content | trim }}", "it mentions trim"},
      {jinja_chatml + "{% if tools %}", "its tools are not those of Qwen2.5"},
      {other_system, "its tools are not those of Qwen2.5"},
      {jinja_qwen2 + "'<|im_start|>system\nNo.<|im_end|>'",
       "it has two system messages of its own, 'You are a helpful assistant.' and 'No.'"},
  };
  for (const Case& unknown : cases)
    CHECK(complaint([&] { ChatTemplate::recognise(unknown.jinja, "file"); }) ==
          "file: weft does not know this chat template: " + unknown.complaint);
}

TEST_CASE("where a model keeps its template") {
  const text_test::TemporaryDirectory directory;
  const std::string place = directory.path().string(), config = place + "/tokenizer_config.json: chat_template";
  const auto load = [&] { return ChatTemplate::load(directory.path()); };
  const std::string none = place + ": the model has no chat template (no chat_template.jinja, no chat_template in tokenizer_config.json)";
  CHECK(complaint(load) == none);
  directory.write("tokenizer_config.json", R"({"chat_template": null})");
  CHECK(complaint(load) == none);
  directory.write("tokenizer_config.json", R"({"chat_template": 5})");
  CHECK(complaint(load) == config + ": expected a string, found 5");
  directory.write("tokenizer_config.json", R"({"chat_template": "{{ message }}"})");
  CHECK(complaint(load).starts_with(config + ": weft does not know this chat template: "));
  directory.write("tokenizer_config.json", nlohmann::json{{"chat_template", jinja_qwen2}}.dump());
  CHECK(load().default_system() == "You are a helpful assistant.");
  const nlohmann::json rag = {{"name", "rag"}, {"template", "?"}}, by_default = {{"name", "default"}, {"template", jinja_tools}};
  directory.write("tokenizer_config.json", nlohmann::json{{"chat_template", {rag, by_default}}}.dump());
  CHECK(load().has_tools());
  directory.write("tokenizer_config.json", nlohmann::json{{"chat_template", nlohmann::json::array({rag})}}.dump());
  CHECK(complaint(load).starts_with(config + ": expected a template named 'default', found ["));
  directory.write("chat_template.jinja", jinja_chatml);  // wins
  CHECK(load().default_system().empty());
}
