// Conversations as text: the chat templates of Qwen2.5, Qwen2, SmolLM2, ChatML and Llama 3, and JSON as Python writes it.
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
// of Meta-Llama-3-8B-Instruct
const std::string jinja_llama3 =
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif "
    "%}";
// the parts of the Llama 3.1 template by which it is known
const std::string jinja_llama3_1 =
    R"({{- bos_token }}{%- set tools_in_user_message = true %}{%- set date_string = "26 Jul 2024" %}{%- set system_message = "" %})"
    R"({{- "<|start_header_id|>system<|end_header_id|>\n\n" }}{{- "Environment: ipython\n" }})"
    R"({{- "Cutting Knowledge Date: December 2023\n" }}{{- "Today Date: " + date_string + "\n\n" }}{{- system_message }})"
    R"({{- "Given the following functions, please respond with a JSON for a function call " }}{{- t | tojson(indent=4) }})"
    R"({{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }})"
    R"({%- if not message.tool_calls|length == 1 %}{{- '"parameters": ' }}{{- "<|start_header_id|>ipython<|end_header_id|>\n\n" }})"
    R"({{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }})";

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

TEST_CASE("SmolLM2 brings a system message of its own") {
  CHECK(render(ChatTemplate::smollm2(), R"([{"role": "user", "content": "What is gravity?"}])") ==
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nWhat is gravity?<|im_end|>\n<|im_start|>assistant\n");
}

TEST_CASE("the headers of Llama 3") {
  const char* messages =
      R"([{"role": "system", "content": "\n S\u3000"}, {"role": "user", "content": "\u00a0 Hi \u001c\n"}, {"role": "critic",
                             "content": " "}])";
  CHECK(render(ChatTemplate::llama3(), messages) ==
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
        "<|start_header_id|>critic<|end_header_id|>\n\n<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
  const char* hi = R"([{"role": "user", "content": "Hi"}])";
  CHECK(render(ChatTemplate::llama3(), hi, "[]", false) == "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>");
  CHECK(complaint([&] { render(ChatTemplate::llama3(), hi, "[{}]"); }) == "chat: the model's chat template has no tools");
  CHECK(complaint([&] { render(ChatTemplate::llama3(), R"([{"role": "user", "tool_calls": [{"name": "f", "arguments": {}}]}])"); }) ==
        "chat: messages[0] calls tools, but the model's chat template has none");
  CHECK(render(ChatTemplate::llama3_1(), hi, "null", false) ==
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
        "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>");
  CHECK(ChatTemplate::llama3().end_of_turn() == "<|eot_id|>");
  CHECK(ChatTemplate::chatml().end_of_turn() == "<|im_end|>");
}

TEST_CASE("the tools of Llama 3.1") {
  const std::string begin =
      "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nEnvironment: ipython\nCutting Knowledge Date: December 2023\n"
      "Today Date: 01 Jan 2025\n\n";
  const auto chat = ChatTemplate::llama3_1("01 Jan 2025");
  CHECK(
      render(chat, R"([{"role": "system", "content": "S"}, {"role": "user", "content": " U "},
                         {"role": "assistant", "content": "left out", "tool_calls": [{"name": "f", "arguments": {"x": [1, "é"]}}]},
                         {"role": "tool", "content": "a \"b\" "}, {"role": "assistant", "content": "Done"}])",
             R"([{"name": "f", "empty": {}, "list": [1, {"a": null}]}, {}])") ==
      begin +
          "S<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nGiven the following functions, please respond with a JSON for a function "
          "call with its proper arguments that best answers the given prompt.\n\nRespond in the format {\"name\": function name, "
          "\"parameters\": dictionary of argument name and its value}.Do not use variables.\n\n"
          "{\n    \"name\": \"f\",\n    \"empty\": {},\n    \"list\": [\n        1,\n        {\n            \"a\": null\n        }\n"
          "    ]\n}\n\n{}\n\nU<|eot_id|>"
          "<|start_header_id|>assistant<|end_header_id|>\n\n{\"name\": \"f\", \"parameters\": {\"x\": [1, \"é\"]}}<|eot_id|>"
          "<|start_header_id|>ipython<|end_header_id|>\n\n\"a \\\"b\\\" \"<|eot_id|>"
          "<|start_header_id|>assistant<|end_header_id|>\n\nDone<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
  CHECK(complaint([&] { render(chat, R"([{"role": "system", "content": "S"}])", "[{}]"); }) ==
        "chat: tools are described in the first message of the user, and there is none");
  CHECK(complaint([&] {
          render(chat, R"([{"role": "assistant", "tool_calls": [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}]}])");
        }) == "chat: messages[0] calls 2 tools, but the model's chat template allows one at a time");
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

  const char* hi = R"([{"role": "user", "content": "Hi"}])";
  const auto recognised = [&](const std::string& jinja) { return render(ChatTemplate::recognise(jinja, "test"), hi); };
  CHECK(recognised(jinja_llama3) == render(ChatTemplate::llama3(), hi));
  CHECK_FALSE(ChatTemplate::recognise(jinja_llama3, "test").has_tools());
  CHECK(recognised(jinja_llama3_1) == render(ChatTemplate::llama3_1(), hi));
  CHECK(ChatTemplate::recognise(jinja_llama3_1, "test").has_tools());
  CHECK(render(ChatTemplate::recognise(jinja_llama3, "test", "<s>"), hi).starts_with("<s><|start_header_id|>"));
  std::string no_beginning = jinja_llama3;
  no_beginning.replace(no_beginning.find("bos_token + "), 12, "");
  CHECK(recognised(no_beginning).starts_with("<|start_header_id|>"));
  const std::string today = recognised(jinja_llama3_1 + R"({%- set date_string = strftime_now("%d %b %Y") %})");
  CHECK(today.find("Today Date: 26 Jul 2024") == today.npos);
  CHECK(today.find("\n\n<|eot_id|>") == today.find("Today Date: ") + std::string("Today Date: 26 Jul 2024").size());
}

TEST_CASE("templates that weft does not know") {
  struct Case {
    std::string jinja, complaint;
  };
  std::string other_system = jinja_tools;
  other_system.replace(other_system.find("'Be brief.'"), 11, "'Be long.'");
  const std::string neither =
      "it has neither turns between <|im_start|> and <|im_end|> nor headers between <|start_header_id|> and <|end_header_id|>";
  const std::string other_headers = "it has headers as Llama 3 has, but is none of the templates of Llama 3 to 3.3";
  std::string other_date = jinja_llama3_1;
  other_date.replace(other_date.find("26 Jul"), 6, "27 Jul");
  const std::vector<Case> cases = {
      {"", neither},
      {"{{ bos_token }}[INST]{{ message.content }}[/INST]", neither},
      {"<|im_start|>", neither},
      {"<|start_header_id|>{{ message.role }}<|end_header_id|>", other_headers},
      {jinja_llama3 + "{{ '<|start_header_id|>' }}", "it has 3 kinds of headers, that of Llama 3 has 2"},
      {jinja_llama3 + "{{ '<think>' }}", "it mentions <think>"},
      {jinja_llama3 + "{% if tools %}", other_headers},
      {other_date, other_headers},
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
  directory.write("tokenizer_config.json", nlohmann::json{{"chat_template", jinja_llama3}}.dump());
  const char* hi = R"([{"role": "user", "content": "Hi"}])";
  CHECK(render(load(), hi).starts_with("<|start_header_id|>user"));  // without a token for the beginning
  directory.write("tokenizer_config.json", nlohmann::json{{"chat_template", jinja_llama3}, {"bos_token", "<s>"}}.dump());
  CHECK(render(load(), hi).starts_with("<s><|start_header_id|>user"));
  directory.write("tokenizer_config.json", nlohmann::json{{"chat_template", jinja_llama3}, {"bos_token", {{"content", "<b>"}}}}.dump());
  CHECK(render(load(), hi).starts_with("<b><|start_header_id|>user"));
  directory.write("chat_template.jinja", jinja_chatml);  // wins
  CHECK(load().default_system().empty());
}
