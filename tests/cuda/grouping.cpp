// Rows come in the order of their groups as a stable sort has them, whatever they ask for: no rows of a group, all of one, more groups than rows, an
// index that names none.
#include <doctest/doctest.h>

#include "grouping.hpp"

#include <algorithm>
#include <random>

using namespace weft::grouping;

namespace {

void check(const Numbers& keys, long groups, int tile_rows) {
  const Sorted sorted = sort_on_device(keys, groups, tile_rows);
  const auto key = [&](std::int32_t row) { return keys[static_cast<std::size_t>(row)]; };
  Numbers wanted;  // of what the library sorts, the rows that name a group
  for (const std::int32_t row : sort_with_library(keys))
    if (key(row) >= 0 && key(row) < groups) wanted.push_back(row);
  CHECK(sorted.order == wanted);
  std::size_t at = 0;
  for (const Numbers& tile : sorted.tiles) {
    CHECK(tile[1] == static_cast<std::int32_t>(at));
    CHECK((tile[2] > 0 && tile[2] <= tile_rows));
    for (std::int32_t i = 0; i < tile[2] && at < wanted.size(); ++i) CHECK(key(wanted[at++]) == tile[0]);
    // a tile has fewer rows only where its group ends
    CHECK((tile[2] == tile_rows || at == wanted.size() || key(wanted[at]) != tile[0]));
  }
  CHECK(at == wanted.size());
  for (std::size_t output = 0; output < sorted.addends.size(); ++output) {
    Numbers places;
    for (std::size_t i = 0; i < wanted.size(); ++i)
      if (static_cast<std::size_t>(wanted[i]) / 3 == output) places.push_back(static_cast<std::int32_t>(i));
    places.resize(3, -1);
    CHECK(sorted.addends[output] == places);
  }
}

}  // namespace

TEST_CASE("rows by their groups") {
  std::mt19937 random(3);
  for (const std::size_t rows : {3, 96, 1500})
    for (const long groups : {1, 7, 64, 500, 1100}) {
      CAPTURE(rows);
      CAPTURE(groups);
      Numbers keys(rows);
      for (std::int32_t& k : keys) k = static_cast<std::int32_t>(random() % static_cast<unsigned long>(groups));
      check(keys, groups, 64);
      std::fill(keys.begin(), keys.end(), static_cast<std::int32_t>(groups - 1));
      check(keys, groups, 16);
      keys[1] = -1;
      keys[rows / 2] = static_cast<std::int32_t>(groups);
      check(keys, groups, 64);
    }
}
