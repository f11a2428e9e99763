// mapped_file: a whole file, read-only, as a span of bytes. The kernel pages it in on demand; nothing is copied.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <weft/core/error.hpp>

namespace weft {

namespace detail {

[[noreturn]] inline void file_failure(const std::filesystem::path& path, std::string_view action, int error_number) {
  throw Error(path.string() + ": cannot " + std::string(action) + ": " + std::strerror(error_number));
}

class FileDescriptor {  // closes what it holds; -1 holds nothing
 public:
  explicit FileDescriptor(int descriptor = -1) : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileDescriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }
  bool close() { return ::close(std::exchange(descriptor_, -1)) == 0; }  // for writers, whose last error may come here

 private:
  int descriptor_;
};

}  // namespace detail

// A regular file mapped for reading. Throws Error with the file's name and the system's reason when it cannot be opened or mapped.
// The file must not be shortened by others while it is mapped: the kernel would answer a read beyond its new end with SIGBUS.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path) : path_(path) {
    // O_NONBLOCK, so that a named pipe is refused below instead of waiting for its writer
    const detail::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) detail::file_failure(path, "open", errno);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) detail::file_failure(path, "read its size", errno);
    if (!S_ISREG(status.st_mode)) throw Error(path.string() + ": expected a regular file, found " + kind_of(status.st_mode));
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ == 0) return;  // mmap refuses an empty range; an empty span needs no mapping
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED) detail::file_failure(path, "map", errno);
    data_ = static_cast<const std::byte*>(address);
  }
  MappedFile(MappedFile&& other) noexcept
      : path_(std::move(other.path_)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        has_copies_(other.has_copies_) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(has_copies_, other.has_copies_);
    return *this;
  }
  ~MappedFile() {
    if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
  }

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

  // Throws Error if the file has become shorter since it was mapped.
  void check_length() const {
    std::error_code error;
    const auto found = std::filesystem::file_size(path_, error);
    if (!error && found < size_)
      throw Error(path_.string() + ": expected the " + std::to_string(size_) + " bytes that it had when it was opened, found " +
                  std::to_string(found));
  }

  // Hints, never errors: read ahead now
  void will_need() const { advise(MADV_WILLNEED); }
  // this part has been copied; its memory may be given back
  void not_needed(std::span<const std::byte> part) const {
    if (has_copies_) return;
    constexpr std::uintptr_t page = 4096;
    const auto begin = (reinterpret_cast<std::uintptr_t>(part.data()) + page - 1) / page * page;
    const auto end = reinterpret_cast<std::uintptr_t>(part.data() + part.size()) / page * page;
    if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }

  // From now on parts of the mapping may be replaced by copies of what was there, which could not be read from the file again.
  void will_have_copies() const { has_copies_ = true; }

 private:
  static const char* kind_of(mode_t mode) {
    return S_ISDIR(mode) ? "a directory" : S_ISFIFO(mode) ? "a named pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
  }
  void advise(int advice) const {
    if (data_) ::madvise(const_cast<std::byte*>(data_), size_, advice);
  }

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  mutable bool has_copies_ = false;
};

}  // namespace weft
