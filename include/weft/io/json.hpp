// json: strict reading of JSON files. What two readers could understand differently (a key given twice, bytes after the end) is refused.
#pragma once
#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <weft/io/mapped_file.hpp>

namespace weft {

using Json = nlohmann::json;

namespace detail {

inline constexpr std::size_t deepest_json = 128;

// A string from a file inside a message: one line, in quotes, not endless.
inline std::string in_quotes(std::string_view text) {
  constexpr std::size_t longest = 100;
  std::string shown = Json(std::string(text.substr(0, longest))).dump(-1, ' ', false, Json::error_handler_t::ignore);
  if (text.size() > longest) shown.insert(shown.size() - 1, "...");
  return shown;
}

inline std::string syntax_problem(const Json::exception& problem) {
  const std::string_view text = problem.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
  const auto end_of_code = text.find("] ");
  return "not valid JSON: " + std::string(end_of_code == text.npos ? text : text.substr(end_of_code + 2));
}

// The parser takes a NUL for the end of its input and skips a byte order mark; a strict reader does neither.
inline const char* forbidden_bytes(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) return "not valid JSON: it begins with a byte order mark";
  if (text.find('\0') != text.npos) return "not valid JSON: it contains a NUL byte";
  return nullptr;
}

// The keys of the objects that are open while a document is read.
class OpenObjects {
 public:
  void open() { keys_.emplace_back(); }
  void close() { keys_.pop_back(); }
  bool is_new(const std::string& key) { return keys_.back().insert(key).second; }

 private:
  std::vector<std::unordered_set<std::string>> keys_;
};

}  // namespace detail

// The document in `text`; `file` is named in errors. Refuses what is not JSON in UTF-8, a key twice in one object, and a nesting of more
// than 128 levels.
inline Json parse_json(std::string_view text, const std::string& file) {
  if (const char* problem = detail::forbidden_bytes(text)) throw Error(file + ": " + problem);
  detail::OpenObjects objects;
  auto check = [&](int depth, Json::parse_event_t event, Json& value) {
    if (static_cast<std::size_t>(depth) >= detail::deepest_json)
      throw Error(file + ": nested deeper than " + std::to_string(detail::deepest_json) + " levels");
    if (event == Json::parse_event_t::object_start) objects.open();
    if (event == Json::parse_event_t::object_end) objects.close();
    if (event == Json::parse_event_t::key && !objects.is_new(value.get_ref<const std::string&>()))
      throw Error(file + ": the key " + detail::in_quotes(value.get_ref<const std::string&>()) + " is given twice in one object");
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), check);
  } catch (const Json::exception& problem) {
    throw Error(file + ": " + detail::syntax_problem(problem));
  }
}

inline Json read_json(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse_json(file.text(), path.string());
}

}  // namespace weft
