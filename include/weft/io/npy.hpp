// npy: writes a float32 matrix as NumPy's .npy file, row by row, so that a large one never has to be in memory at once.
#pragma once
#include <bit>
#include <cstdint>

#include <weft/io/atomic_file.hpp>

namespace weft {

static_assert(std::endian::native == std::endian::little, "the file is written in the machine's byte order and says little-endian");

// A matrix [rows, columns] of known size; numpy.load reads it. The file gets its name in finish(), and only when it is complete.
// Throws Error naming the file.
class NpyWriter {
 public:
  NpyWriter(const std::filesystem::path& path, std::uint64_t rows, std::uint64_t columns) : file_(path), rows_(rows), columns_(columns) {
    std::string dictionary =
        "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " + std::to_string(columns) + "), }";
    const std::string_view magic("\x93NUMPY\x01\x00", 8);  // version 1.0: the header's length has two bytes
    // a line break ends the header, and spaces before it align the data to 64 bytes
    const std::size_t unpadded = magic.size() + 2 + dictionary.size() + 1;
    dictionary.append((64 - unpadded % 64) % 64, ' ').append("\n");
    const auto length = static_cast<std::uint16_t>(dictionary.size());
    file_.write(magic);
    file_.write(std::as_bytes(std::span(&length, 1)));
    file_.write(dictionary);
  }

  // the next rows: a whole number of them, one after another
  void write_rows(std::span<const float> values) {
    if (columns_ == 0 ? !values.empty() : values.size() % columns_ != 0)
      throw Error(file_.path().string() + ": expected whole rows of " + std::to_string(columns_) + " values, found " +
                  std::to_string(values.size()));
    const std::uint64_t rows = columns_ == 0 ? 0 : values.size() / columns_;
    if (rows > rows_ - written_) throw Error(file_.path().string() + ": expected " + std::to_string(rows_) + " rows, found more");
    file_.write(std::as_bytes(values));
    written_ += rows;
  }
  void finish() {
    if (columns_ != 0 && written_ != rows_)
      throw Error(file_.path().string() + ": expected " + std::to_string(rows_) + " rows, found " + std::to_string(written_));
    file_.commit();
  }

 private:
  AtomicFile file_;
  std::uint64_t rows_, columns_, written_ = 0;
};

}  // namespace weft
