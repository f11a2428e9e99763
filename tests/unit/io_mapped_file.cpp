// Mapped files show the bytes that are there, and say which file fails and why. Atomic files replace a name at once or not at all.
#include <doctest/doctest.h>

#include "io_files.hpp"
#include <weft/io/atomic_file.hpp>
#include <weft/io/mapped_file.hpp>

using weft::AtomicFile;
using weft::MappedFile;

TEST_CASE("a mapped file shows the bytes of the file") {
  const TemporaryDirectory directory;
  const std::string content("first\0second\xff", 13);
  const MappedFile file(directory.write("bytes", content));
  CHECK(file.text() == content);
  CHECK(file.bytes().size() == 13);
  CHECK(file.path() == directory / "bytes");
  file.will_need();
  CHECK(file.text() == content);
}

TEST_CASE("an empty file is an empty span") {
  const TemporaryDirectory directory;
  const MappedFile file(directory.write("empty", ""));
  CHECK(file.bytes().empty());
  CHECK(file.text() == "");
  file.will_need();
}

TEST_CASE("moving a mapped file moves the mapping") {
  const TemporaryDirectory directory;
  MappedFile first(directory.write("one", "one"));
  MappedFile second(directory.write("two", "two"));
  const auto* address = first.bytes().data();
  MappedFile third(std::move(first));
  CHECK(third.bytes().data() == address);
  CHECK(first.bytes().empty());
  second = std::move(third);
  CHECK(second.text() == "one");
  CHECK(second.path() == directory / "one");
}

TEST_CASE("a file that has become shorter is refused before it is read") {
  const TemporaryDirectory directory;
  const auto path = directory.write("file", std::string(10'000, 'x'));
  const MappedFile file(path);
  file.check_length();
  std::filesystem::resize_file(path, 20'000);
  file.check_length();
  std::filesystem::resize_file(path, 9'999);
  CHECK(missing(error_of([&] { file.check_length(); }), {path.string(), "expected the 10000 bytes", "found 9999"}) == "");
  std::filesystem::remove(path);  // what is mapped stays
  file.check_length();
}

TEST_CASE("errors name the file and the reason") {
  const TemporaryDirectory directory;
  const auto absent = directory / "absent.safetensors";
  CHECK(missing(error_of([&] { MappedFile file(absent); }), {absent.string(), "cannot open", "No such file or directory"}) == "");
  CHECK(missing(error_of([&] { MappedFile file(directory.path()); }), {directory.path().string(), "regular file", "a directory"}) == "");
  const auto pipe = directory / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(missing(error_of([&] { MappedFile file(pipe); }), {pipe.string(), "regular file", "a named pipe"}) == "");
  CHECK(missing(error_of([&] { MappedFile file("/dev/null"); }), {"/dev/null", "a device"}) == "");
}

TEST_CASE("an atomic file appears when it is committed") {
  const TemporaryDirectory directory;
  directory.write("target", "old");
  {
    AtomicFile file(directory / "target");
    file.write("new ");
    file.write("content");
    CHECK(content_of(directory / "target") == "old");
    file.commit();
    CHECK(content_of(directory / "target") == "new content");
  }
  CHECK(content_of(directory / "target") == "new content");
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("an atomic file that is not committed leaves nothing behind") {
  const TemporaryDirectory directory;
  directory.write("target", "old");
  {
    AtomicFile changed(directory / "target"), created(directory / "fresh");
    changed.write("half");
    created.write("half");
  }
  CHECK(content_of(directory / "target") == "old");
  CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("an atomic file writes through a symbolic link and keeps the link") {
  const TemporaryDirectory directory;
  directory.write("target", "old");
  std::filesystem::create_symlink("target", directory / "link");
  AtomicFile file(directory / "link");
  file.write("new");
  file.commit();
  CHECK(std::filesystem::is_symlink(directory / "link"));
  CHECK(content_of(directory / "target") == "new");
}

TEST_CASE("an atomic file refuses what a rename would destroy, and directories that are not there") {
  const TemporaryDirectory directory;
  CHECK(missing(error_of([&] { AtomicFile file("/dev/null"); }), {"/dev/null", "regular file"}) == "");
  CHECK(missing(error_of([&] { AtomicFile file(directory.path()); }), {directory.path().string(), "a directory"}) == "");
  const auto nowhere = directory / "absent" / "file";
  CHECK(missing(error_of([&] { AtomicFile file(nowhere); }), {nowhere.string(), "No such file or directory"}) == "");
}
