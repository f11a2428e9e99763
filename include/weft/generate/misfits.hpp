// misfits: what is wrong with the tensors of a checkpoint, collected, so that one message names all of it.
#pragma once
#include <string>

#include "weft/core/error.hpp"

namespace weft {

class Misfits {
 public:
  void add(const std::string& tensor, const std::string& problem) {
    if (count_++ < shown) problems_ += "\n  tensor \"" + tensor + "\": " + problem;
  }
  // throws one Error if there were any; `place` is the file or directory
  void refuse(const std::string& place) const {
    if (count_ == 0) return;
    const std::string list = count_ == 1 ? " " + problems_.substr(problems_.find("tensor")) : problems_;
    throw Error(place + ": " + (count_ == 1 ? "one tensor does" : std::to_string(count_) + " tensors do") + " not fit the model:" + list +
                (count_ > shown ? "\n  and " + std::to_string(count_ - shown) + " more" : ""));
  }

 private:
  static constexpr std::size_t shown = 10;
  std::size_t count_ = 0;
  std::string problems_;
};

}  // namespace weft
