// atomic_file: writes a file so that its name shows either what was there before or the complete new content, never a part of it.
#pragma once
#include <atomic>

#include <weft/io/mapped_file.hpp>

namespace weft {

// Bytes go to a temporary file in the same directory; commit() brings them to the disk and gives them the name. Without commit() the
// temporary is removed and an older file of that name stays as it was. A symbolic link is followed: its target is replaced.
// Throws Error with the file's name and the system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path) {
    std::error_code unknown;  // a path that cannot be resolved is reported by open() below
    path_ = std::filesystem::is_symlink(path, unknown) ? std::filesystem::canonical(path, unknown) : path;
    if (path_.empty()) path_ = path;
    const auto kind = std::filesystem::status(path_, unknown).type();
    // a rename would put a file in the place of /dev/stdout
    if (kind != std::filesystem::file_type::regular && kind != std::filesystem::file_type::not_found)
      throw Error(path.string() + ": cannot write: expected the name of a regular file or a new one, found " +
                  (kind == std::filesystem::file_type::directory ? "a directory" : "something else"));
    static std::atomic<unsigned> counter = 0;
    do {
      temporary_ = path_;
      temporary_ += ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
      file_ = detail::FileDescriptor(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    } while (file_.get() < 0 && errno == EEXIST);
    if (file_.get() < 0) detail::file_failure(path_, "create a temporary file beside it", errno);
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() {
    if (!committed_) ::unlink(temporary_.c_str());
  }

  const std::filesystem::path& path() const { return path_; }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) detail::file_failure(path_, "write", errno);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  void commit() {
    if (::fsync(file_.get()) != 0) detail::file_failure(path_, "write", errno);
    if (!file_.close()) detail::file_failure(path_, "write", errno);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) detail::file_failure(path_, "replace", errno);
    committed_ = true;
    const auto directory = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
    // the new name itself must survive a power cut too; file systems that cannot sync a directory say so, and that is all they can do
    const detail::FileDescriptor parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent.get() >= 0) ::fsync(parent.get());
  }

 private:
  std::filesystem::path path_, temporary_;
  detail::FileDescriptor file_;
  bool committed_ = false;
};

}  // namespace weft
