// The .npy writer: the bytes that NumPy's format document describes, and a file only when it is complete.
#include <doctest/doctest.h>

#include <cstring>

#include "io_files.hpp"
#include <weft/io/npy.hpp>

using weft::NpyWriter;

TEST_CASE("the file is magic, version, header and the rows") {
  const TemporaryDirectory directory;
  const auto path = directory / "logits.npy";
  NpyWriter writer(path, 3, 2);
  const float values[] = {1, -2, 3.5f, 0, 1e-30f, 6};
  writer.write_rows({values, 2});
  writer.write_rows({});
  CHECK_FALSE(std::filesystem::exists(path));
  writer.write_rows({values + 2, 4});
  writer.finish();
  const auto file = content_of(path);
  CHECK(file.substr(0, 8) == std::string("\x93NUMPY\x01\x00", 8));
  const std::size_t header = static_cast<unsigned char>(file[8]) + 256 * static_cast<unsigned char>(file[9]);
  CHECK((10 + header) % 64 == 0);
  CHECK(file.substr(10).starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), } "));
  CHECK(file[10 + header - 1] == '\n');
  REQUIRE(file.size() == 10 + header + sizeof values);
  CHECK(std::memcmp(file.data() + 10 + header, values, sizeof values) == 0);
}

TEST_CASE("the header is aligned for every size, and empty matrices are files too") {
  const TemporaryDirectory directory;
  for (const auto& [rows, columns] : {std::pair<std::uint64_t, std::uint64_t>{0, 5}, {5, 0}, {0, 0}, {0, 123456789012345678}, {0, 1234}}) {
    const auto path = directory / "empty.npy";
    NpyWriter writer(path, rows, columns);
    writer.write_rows({});
    writer.finish();
    const auto file = content_of(path);
    CHECK(file.size() % 64 == 0);
    CHECK(file.back() == '\n');
    CHECK(missing(file, {"(" + std::to_string(rows) + ", " + std::to_string(columns) + ")"}) == "");
  }
}

TEST_CASE("too few, too many and broken rows are errors that name the file, and leave none") {
  const TemporaryDirectory directory;
  const auto path = directory / "logits.npy";
  const std::vector<float> values(12);
  {
    NpyWriter writer(path, 3, 4);
    CHECK(missing(error_of([&] { writer.write_rows({values.data(), 3}); }), {path.string(), "rows of 4", "found 3"}) == "");
    writer.write_rows({values.data(), 8});
    CHECK(missing(error_of([&] { writer.finish(); }), {path.string(), "expected 3 rows", "found 2"}) == "");
    CHECK(missing(error_of([&] { writer.write_rows({values.data(), 8}); }), {path.string(), "expected 3 rows", "more"}) == "");
    NpyWriter narrow(directory / "narrow.npy", 2, 0);
    CHECK(missing(error_of([&] { narrow.write_rows({values.data(), 1}); }), {"narrow.npy", "rows of 0"}) == "");
  }
  CHECK(std::filesystem::is_empty(directory.path()));
  CHECK(missing(error_of([&] { NpyWriter writer(directory / "absent" / "x.npy", 1, 1); }), {"absent", "No such file"}) == "");
}
