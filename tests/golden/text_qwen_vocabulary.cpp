// The published token ids of the Qwen2.5 vocabulary. They need the vocabulary itself: the directory that cmake/fetch_vocabulary.py makes,
// named by the environment variable WEFT_QWEN_VOCABULARY. Without it these tests say that they were skipped.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "../unit/text_support.hpp"
#include "weft/text/chat.hpp"
#include "weft/text/tokenizer.hpp"

using namespace weft::text;
using Ids = std::vector<std::int32_t>;

namespace {

std::optional<std::filesystem::path> vocabulary() {
  const char* directory = std::getenv("WEFT_QWEN_VOCABULARY");
  if (directory != nullptr && std::filesystem::exists(std::filesystem::path(directory) / "tokenizer.json")) return directory;
  MESSAGE("skipped: WEFT_QWEN_VOCABULARY names no directory with the Qwen2.5 vocabulary");
  return std::nullopt;
}

const Tokenizer& qwen(const std::filesystem::path& directory) {
  static const Tokenizer tokenizer = Tokenizer::load(directory);
  return tokenizer;
}

struct Vector {
  const char* text;
  Ids ids;
};

void check(const Tokenizer& tokenizer, const std::vector<Vector>& vectors) {
  for (const Vector& known : vectors) {
    CAPTURE(known.text);
    CHECK(tokenizer.encode(known.text) == known.ids);
    CHECK(tokenizer.decode(known.ids) == nfc(known.text));
  }
}

// models/ggml-vocab-qwen2.gguf.inp and .out of llama.cpp, and two pairs of its tests
const std::vector<Vector>& llama_cpp() {
  static const std::vector<Vector> vectors = {
      {"ied 4 ½ months", {1122, 220, 19, 220, 26062, 3951}},
      {"Führer", {37, 50753, 261}},
      {" ", {220}},
      {"  ", {256}},
      {"   ", {262}},
      {"\t", {197}},
      {"\n", {198}},
      {"\n\n", {271}},
      {"\n\n\n", {1406}},
      {"\t\n", {1572}},
      {"Hello world", {9707, 1879}},
      {" Hello world", {21927, 1879}},
      {"Hello World", {9707, 4337}},
      {" Hello World", {21927, 4337}},
      {" Hello World!", {21927, 4337, 0}},
      {"Hello, world!", {9707, 11, 1879, 0}},
      {" Hello, world!", {21927, 11, 1879, 0}},
      {" this is 🦙.cpp", {419, 374, 11162, 99, 247, 13, 10821}},
      {"w048 7tuijk dsdfhu", {86, 15, 19, 23, 220, 22, 83, 1963, 41808, 11472, 2940, 16739}},
      {"нещо на Български", {78762, 14144, 1456, 13073, 63471, 33594, 3038, 133178, 79012}},
      {"កាន់តែពិសេសអាចខលចេញ", {146394, 97529, 241,    44258,  233,   146568, 44258,  224,    147603, 20879, 115, 146280,
                             44258,  223,   146280, 147272, 97529, 227,    147805, 148301, 147270, 44258, 223, 146848}},
      {"🚀 (normal) 😶\u200d🌫\ufe0f (multiple emojis concatenated) ✅ (only emoji that has its own token)",
       {145836, 320, 8252,  8,   26525, 114,  378,   235, 149921, 30543, 320,  35673, 99066,
        97534,  8,   25521, 227, 320,   3243, 42365, 429, 702,    1181,  1828, 3950,  8}},
      {"Hello", {9707}},
      {" Hello", {21927}},
      {"  Hello", {220, 21927}},
      {"   Hello", {256, 21927}},
      {"    Hello", {262, 21927}},
      {"    Hello\n    Hello", {262, 21927, 198, 262, 21927}},
      {" (", {320}},
      {"\n =", {198, 284}},
      {"' era", {6, 11385}},
      {"Hello, y'all! How are you 😁 ?我想在apple工作1314151天～",
       {9707, 11, 379, 64848, 0, 2585, 525, 498, 26525, 223, 937, 104100, 18493, 22377, 99257, 16, 18, 16, 19, 16, 20, 16, 35727, 21216}},
      {"!!!!!!", {17085, 2928}},
      {"3", {18}},
      {"33", {18, 18}},
      {"333", {18, 18, 18}},
      {"3333", {18, 18, 18, 18}},
      {"33333", {18, 18, 18, 18, 18}},
      {"333333", {18, 18, 18, 18, 18, 18}},
      {"3333333", {18, 18, 18, 18, 18, 18, 18}},
      {"33333333", {18, 18, 18, 18, 18, 18, 18, 18}},
      {"333333333", {18, 18, 18, 18, 18, 18, 18, 18, 18}},
      {"Cửa Việt", {34, 90063, 128324}},
      {" discards", {2560, 2347}},
      {"\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n🚀 (normal) 😶\u200d🌫\ufe0f (multiple emojis concatenated) ✅ 🦙🦙 "
       "3 33 333 3333 33333 333333 3333333 33333333 3.3 3..3 3...3 កាន់តែពិសេសអាច😁 ?我想在apple工作1314151天～ ------======= "
       "нещо на Български ''''''```````\"\"\"\"......!!!!!!?\??\??\? I've been 'told he's there, 'RE you sure? 'M not "
       "sure I'll make it, 'D you like some tea? We'Ve a'lL",
       {198,    4710,  14731,  65497,  7847,  1572,   2303,  78672,  10947, 145836, 320,    8252,  8,      26525,  114,   378,   235,
        149921, 30543, 320,    35673,  99066, 97534,  8,     25521,  227,   11162,  99,     247,   149955, 220,    18,    220,   18,
        18,     220,   18,     18,     18,    220,    18,    18,     18,    18,     220,    18,    18,     18,     18,    18,    220,
        18,     18,    18,     18,     18,    18,     220,   18,     18,    18,     18,     18,    18,     18,     220,   18,    18,
        18,     18,    18,     18,     18,    18,     220,   18,     13,    18,     220,    18,    496,    18,     220,   18,    1112,
        18,     220,   146394, 97529,  241,   44258,  233,   146568, 44258, 224,    147603, 20879, 115,    146280, 44258, 223,   146280,
        147272, 97529, 227,    144534, 937,   104100, 18493, 22377,  99257, 16,     18,     16,    19,     16,     20,    16,    35727,
        21216,  55460, 53237,  18658,  14144, 1456,   13073, 63471,  33594, 3038,   133178, 79012, 3355,   4605,   4605,  13874, 13874,
        73594,  3014,  3014,   28149,  17085, 2928,   26610, 7646,   358,   3003,   1012,   364,   83,     813,    566,   594,   1052,
        11,     364,   787,    498,    2704,  30,     364,   44,     537,   2704,   358,    3278,  1281,   432,    11,    364,   35,
        498,    1075,  1045,   15243,  30,    1205,   6,     42612,  264,   63866,  43}},
  };
  return vectors;
}

}  // namespace

TEST_CASE("the vectors of llama.cpp") {
  const auto directory = vocabulary();
  if (!directory) return;
  check(qwen(*directory), llama_cpp());
}

TEST_CASE("the sequences of tests/models/qwen2/test_tokenization_qwen2.py in Hugging Face transformers") {
  const auto directory = vocabulary();
  if (!directory) return;
  check(qwen(*directory),
        {
            {"Transformers (formerly known as pytorch-transformers and pytorch-pretrained-bert) provides general-purpose "
             "architectures (BERT, GPT-2, RoBERTa, XLM, DistilBert, XLNet...) for Natural Language Understanding (NLU) and "
             "Natural Language Generation (NLG) with over 32+ pretrained models in 100+ languages and deep interoperability "
             "between Jax, PyTorch and TensorFlow.",
             {8963,  388,   320,   69514, 3881,  438,   4510,  27414, 32852, 388, 323,   4510,  27414, 21334, 35722, 1455,  529,   8,
              5707,  4586,  58238, 77235, 320,   61437, 11,    479,   2828,  12,  17,    11,    11830, 61437, 64,    11,    1599,  10994,
              11,    27604, 321,   33,    529,   11,    29881, 6954,  32574, 369, 18448, 11434, 45451, 320,   45,    23236, 8,     323,
              18448, 11434, 23470, 320,   30042, 38,    8,     448,   916,   220, 18,    17,    10,    80669, 4119,  304,   220,   16,
              15,    15,    10,    15459, 323,   5538,  94130, 2897,  1948,  619, 706,   11,    5355,  51,    21584, 323,   94986, 13}},
            {"🤗 Transformers 提供了可以轻松地下载并且训练先进的预训练模型的 API "
             "和工具。使用预训练模型可以减少计算消耗和碳排放，并且节省从头训练所需要的时间和资源。",
             {144834, 80532,  93685,  83744, 34187,  73670,  104261, 29490, 62189,  103937, 104034, 102830, 98841,  104034,
              104949, 9370,   5333,   58143, 102011, 1773,   37029,  98841, 104034, 104949, 73670,  101940, 100768, 104997,
              33108,  100912, 105054, 90395, 100136, 106831, 45181,  64355, 104034, 113521, 101975, 33108,  85329,  1773}},
            {"```python\ntokenizer = AutoTokenizer.from_pretrained(\"Qwen/Qwen-tokenizer\")\ntokenizer(\"世界，你好！\")```",
             {73594, 12669, 198,   85593, 284,  8979,  37434, 6387,  10442, 35722,  445,  48,  16948,
              45274, 16948, 34841, 3135,  1138, 85593, 445,   99489, 3837,  108386, 6313, 899, 73594}},
        });
}

TEST_CASE("normalization, digits, spaces, contractions and Korean, as Hugging Face tokenizers 0.23.3 encodes them") {
  const auto directory = vocabulary();
  if (!directory) return;
  check(qwen(*directory), {
                              {"e\u0301", {963}},
                              {"12345", {16, 17, 18, 19, 20}},
                              {"a\u00a0b", {64, 4102, 65}},
                              {"  \n  x", {2303, 220, 856}},
                              {"\t\tif x:\r\n", {197, 743, 856, 2834}},
                              {"I'LL don't WE'RE", {40, 6, 4086, 1513, 944, 19677, 94153}},
                              {"한국어 2x + 3 = 7을 풀어라",
                               {23573, 124785, 31079, 220, 17, 87, 488, 220, 18, 284, 220, 22, 17877, 10764, 240, 222, 31079, 50340}},
                          });
}

TEST_CASE("control tokens on and off (tokenization_note.md of QwenLM/Qwen)") {
  const auto directory = vocabulary();
  if (!directory) return;
  const Tokenizer& tokenizer = qwen(*directory);
  const std::string text = "print(\"<|endoftext|>\")";
  CHECK(tokenizer.encode(text) == Ids{1350, 445, 151643, 899});
  CHECK(tokenizer.encode(text, Special::none) == Ids{1350, 9639, 91, 8691, 723, 427, 91, 82598});
  CHECK(tokenizer.encode(text, Special::split) == Ids{1350, 9639, 91, 8691, 723, 427, 91, 82598});
  CHECK(tokenizer.encode("<tool_call>", Special::split) == Ids{151657});  // added, but not special
  CHECK(tokenizer.encode("<tool_call>", Special::none).size() > 1);
  CHECK(tokenizer.decode(Ids{9707, 151645, 1879, 151658}, true) == "Hello world</tool_call>");
}

TEST_CASE("the 22 control tokens") {
  const auto directory = vocabulary();
  if (!directory) return;
  const Tokenizer& tokenizer = qwen(*directory);
  CHECK(tokenizer.size() == 151665);
  CHECK(tokenizer.id("<|endoftext|>") == 151643);
  CHECK(tokenizer.id("<|im_start|>") == 151644);
  CHECK(tokenizer.id("<|im_end|>") == 151645);
  CHECK(tokenizer.id("<|file_sep|>") == 151664);
  for (std::int32_t id = 151643; id < 151665; ++id) {
    CHECK(tokenizer.encode(tokenizer.bytes(id)) == Ids{id});
    CHECK(tokenizer.is_special(id) == (id < 151657));
  }
  CHECK(tokenizer.bytes(151665).empty());  // the embedding is padded, the vocabulary is not
  CHECK(tokenizer.decode(Ids{9707, 151665, 152063, -1, 1879}) == "Hello world");
}

TEST_CASE("the first ids are the bytes, and merge k makes the token 256 + k") {
  const auto directory = vocabulary();
  if (!directory) return;
  const Tokenizer& tokenizer = qwen(*directory);
  CHECK(tokenizer.id("!") == 0);
  CHECK(tokenizer.id("~") == 93);
  CHECK(tokenizer.id("\xA1") == 94);
  CHECK(tokenizer.id("\xFF") == 187);
  CHECK(tokenizer.id(std::string(1, '\0')) == 188);
  CHECK(tokenizer.id("\n") == 198);
  CHECK(tokenizer.id(" ") == 220);
  const auto definition = read_tokenizer(*directory);
  REQUIRE(definition.merges.size() == 151387);
  for (std::size_t k = 0; k < definition.merges.size(); ++k) {
    const auto& [left, right] = definition.merges[k];
    if (definition.vocabulary.find(left + right) != 256 + static_cast<std::int32_t>(k)) FAIL("merge ", k);
  }
}

TEST_CASE("a greeting in the chat template") {
  const auto directory = vocabulary();
  if (!directory) return;
  const std::vector<Message> messages = {{"user", "Hi", {}}};
  CHECK(qwen(*directory).encode(ChatTemplate::qwen2_5().render(messages)) ==
        Ids{151644, 8948,  198,   2610, 525,    1207, 16948,  11,  3465, 553,   54364,  14817, 13,     1446,  525,
            264,    10950, 17847, 13,   151645, 198,  151644, 872, 198,  13048, 151645, 198,   151644, 77091, 198});
}

TEST_CASE("vocab.json and merges.txt say the same as tokenizer.json") {
  const auto directory = vocabulary();
  if (!directory) return;
  const text_test::TemporaryDirectory other;
  for (const char* name : {"vocab.json", "merges.txt"})
    std::filesystem::create_symlink(std::filesystem::absolute(*directory / name), other.path() / name);
  const auto document = read_json(*directory / "tokenizer.json");
  nlohmann::json added = nlohmann::json::object();
  for (const auto& token : document["added_tokens"]) added[std::to_string(token["id"].get<int>())] = token;
  other.write("tokenizer_config.json", nlohmann::json{{"tokenizer_class", "Qwen2Tokenizer"}, {"added_tokens_decoder", added}}.dump());
  const Tokenizer tokenizer = Tokenizer::load(other.path());
  CHECK(tokenizer.size() == 151665);
  CHECK(tokenizer.is_special(151656));
  CHECK_FALSE(tokenizer.is_special(151657));
  check(tokenizer, llama_cpp());
  CHECK(tokenizer.encode("<|im_start|>user\n") == Ids{151644, 872, 198});
}

TEST_CASE("random ids decode to UTF-8, and streaming them says the same") {
  const auto directory = vocabulary();
  if (!directory) return;
  const Tokenizer& tokenizer = qwen(*directory);
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    Ids ids(random() % 20);
    for (auto& id : ids) id = static_cast<std::int32_t>(random() % (random() % 2 == 0 ? 256 : 152064));
    Utf8Stream stream;
    std::string text;
    for (const auto id : ids) {
      const std::string part = stream.push(tokenizer.bytes(id));
      REQUIRE_FALSE(first_invalid_byte(part).has_value());
      text += part;
    }
    text += stream.finish();
    REQUIRE(text == tokenizer.decode(ids));
  }
}
