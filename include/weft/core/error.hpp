// error: the one exception of weft. Its text names the file, tensor, axis or option, what was expected and what was found.
#pragma once
#include <stdexcept>
#include <string>

namespace weft {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace weft
