// progress: how far a long conversion is, as a bar on standard error, if that is a terminal.
#pragma once
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

class Progress {  // the bar vanishes with it
 public:
  Progress(std::string what, std::uint64_t total) : what_(std::move(what)), total_(total), is_shown_(::isatty(STDERR_FILENO)) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() {
    if (percent_ >= 0) std::fputs("\r\033[K", stderr);
  }

  void advance(std::uint64_t bytes) {
    done_ += bytes;
    const int percent = total_ == 0 ? 100 : static_cast<int>(100 * static_cast<double>(done_) / static_cast<double>(total_));
    if (!is_shown_ || percent == percent_) return;
    percent_ = percent;
    constexpr int width = 40;
    const std::string bar(static_cast<std::size_t>(percent * width / 100), '=');
    std::fprintf(stderr, "\r%s [%-40s] %3d %%", what_.c_str(), bar.c_str(), percent);
    std::fflush(stderr);
  }

 private:
  std::string what_;
  std::uint64_t total_, done_ = 0;
  bool is_shown_;
  int percent_ = -1;
};
