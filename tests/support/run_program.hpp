// run_program: starts a program as a user would, and keeps what it says.
#pragma once
#include "../unit/io_files.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace weft::test {

struct Outcome {
  int status = -1;
  std::string out, err;

  // standard output before its last line, and that line as JSON
  std::string before_json() const {
    const auto at = out.rfind('\n', out.size() - 2);
    return at == out.npos ? "" : out.substr(0, at + 1);
  }
  nlohmann::json json() const { return nlohmann::json::parse(out.substr(before_json().size())); }
};

// runs a program with these arguments; standard input is `input`; may be interrupted as by Ctrl-C once it has begun to write
inline Outcome run(const char* program, std::vector<std::string> arguments, const std::string& input = "", bool is_interrupted = false) {
  const TemporaryDirectory directory;
  const auto in = directory.write("in", input), out = directory.write("out", ""), err = directory.write("err", "");
  std::cout.flush();
  std::fflush(nullptr);  // what is still buffered would be printed by the child too
  const pid_t child = ::fork();
  if (child == 0) {
    const auto open = [](const std::filesystem::path& path, const char* mode, std::FILE* stream) {
      if (!std::freopen(path.c_str(), mode, stream)) ::_exit(126);
    };
    open(in, "r", stdin);
    open(out, "w", stdout);
    open(err, "w", stderr);
    std::vector<char*> argv = {const_cast<char*>(program)};
    for (auto& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    ::execv(program, argv.data());
    ::_exit(127);
  }
  int status = 0;
  bool has_ended = false;
  while (is_interrupted && !has_ended && std::filesystem::file_size(out) == 0) {
    ::usleep(1000);
    has_ended = ::waitpid(child, &status, WNOHANG) == child;
  }
  if (is_interrupted && !has_ended) ::kill(child, SIGINT);
  if (!has_ended) ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, content_of(out), content_of(err)};
}

}  // namespace weft::test
