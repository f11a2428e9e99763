// io_files: a temporary directory per test, and small files in it.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/error.hpp>

class TemporaryDirectory {  // removed with everything in it
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "weft-test-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("cannot create " + name);
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  std::filesystem::path write(std::string_view name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

inline std::string content_of(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

// the message of the weft::Error that `action` throws; empty when it throws none
template <class Action> std::string error_of(Action&& action) {
  try {
    action();
  } catch (const weft::Error& error) {
    return error.what();
  }
  return "";
}

// names the parts that the text lacks, so that a failed check shows them: CHECK(missing(message, {...}) == "")
inline std::string missing(std::string_view text, const std::vector<std::string_view>& parts) {
  std::string lacking;
  for (const auto part : parts)
    if (text.find(part) == text.npos) lacking += "'" + std::string(part) + "' is not in '" + std::string(text) + "'; ";
  return lacking;
}
