// available_memory: how much memory a process may take before the system has to page something out.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace weft {

namespace detail {

// the number after `name` in a file of lines such as "MemAvailable:  23546 kB"
inline std::optional<std::uint64_t> number_after(const std::filesystem::path& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string word, rest; file >> word; std::getline(file, rest))
    if (std::uint64_t number; word == name && file >> number) return number;
  return std::nullopt;
}
inline std::optional<std::uint64_t> number_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::uint64_t number;
  return file >> number ? std::optional(number) : std::nullopt;  // "max" where there is no limit
}

}  // namespace detail

// Bytes, as Linux estimates them, and no more than what is left of the limit of the control group (version 2 or 1). Caches of files count as
// available. `root`: where proc and sys are found.
inline std::uint64_t available_memory(const std::filesystem::path& root = "/") {
  constexpr std::uint64_t unknown = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t bytes = unknown;
  if (const auto kibibytes = detail::number_after(root / "proc/meminfo", "MemAvailable:")) bytes = *kibibytes << 10;
  struct Group {
    const char *limit, *used, *statistics, *cached;
  };
  constexpr Group groups[] = {{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current", "sys/fs/cgroup/memory.stat", "file"},
                              {"sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes",
                               "sys/fs/cgroup/memory/memory.stat", "total_cache"}};
  for (const Group& group : groups) {
    const auto limit = detail::number_in(root / group.limit), used = detail::number_in(root / group.used);
    if (!limit || !used) continue;
    const std::uint64_t cached = detail::number_after(root / group.statistics, group.cached).value_or(0);
    const std::uint64_t kept = *used - std::min(*used, cached);
    bytes = std::min(bytes, *limit - std::min(*limit, kept));
  }
  if (bytes == unknown) bytes = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) / 2;
  return bytes;
}

}  // namespace weft
