// grouping: rows sorted by their groups, by the kernel of the skeleton route and by a library
#pragma once
#include <cstdint>
#include <vector>

namespace weft::grouping {

using Numbers = std::vector<std::int32_t>;
struct Sorted {
  Numbers order;                 // the rows that name a group
  std::vector<Numbers> addends;  // of each output row: where its three rows are in `order`, ascending; -1: nowhere
  std::vector<Numbers> tiles;    // group, first, count
};
// keys: the group of each row; three rows make an output row
Sorted sort_on_device(const Numbers& keys, long groups, int tile_rows);
Numbers sort_with_library(const Numbers& keys);  // CUB's radix sort, which is stable

}  // namespace weft::grouping
