// session: one text in the making: the cache of its keys and values, and the forward pass that appends to it.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "weft/core/error.hpp"

namespace weft {

class RoutingObserver;

struct SessionSettings {
  long context = 4096;  // tokens that the cache holds
  long chunk = 512;     // tokens that go through the layers together; a longer prompt is cut into chunks
  bool graph = true;    // where a model runs on a device, that starts the kernels of one more token as a whole, once they have run
  // Is told which experts each token passes through (generate/routing.hpp), layer by layer; it must outlive the session. Models without experts have
  // nothing to tell. Results are the same; a device waits for each layer, and starts its kernels one by one.
  RoutingObserver* routing = nullptr;
};

class Session {
 public:
  Session(long context, long vocab) : context_(context), vocab_(vocab) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session() = default;

  // Appends `ids` to the text. `logits` receives nothing (empty), those after the last id [vocab], or those after every id [ids, vocab].
  // Allocates nothing, unless somebody observes the routing. Throws Error, and leaves the text as it was, for an id out of range, when the
  // context is full, for another size of `logits`, and, naming the layer, for what its programs refuse, such as a NaN in a router.
  void forward(std::span<const std::int32_t> ids, std::span<float> logits) {
    const auto count = static_cast<long>(ids.size());
    for (const auto id : ids)
      if (id < 0 || id >= vocab_)
        throw Error("token id: expected one from 0 to " + std::to_string(vocab_ - 1) + ", found " + std::to_string(id));
    if (count > context_ - position_)
      throw Error("context: it holds " + std::to_string(context_) + " tokens; " + std::to_string(position_) + " are in it and " +
                  std::to_string(count) + " more do not fit");
    const auto row = static_cast<std::size_t>(vocab_);
    if (!logits.empty() && logits.size() != row && logits.size() != row * ids.size())
      throw Error("logits: expected room for " + std::to_string(row) + " values (the last token) or " + std::to_string(row * ids.size()) +
                  " (all tokens), found " + std::to_string(logits.size()));
    if (count > 0) append(ids, logits);
    position_ += count;
  }

  long position() const { return position_; }  // tokens so far
  long context() const { return context_; }
  long vocab() const { return vocab_; }

  // Forgets all tokens from `position` on. Throws Error if there are fewer.
  void truncate(long position) {
    if (position < 0 || position > position_)
      throw Error("truncate: expected a position from 0 to " + std::to_string(position_) + ", found " + std::to_string(position));
    position_ = position;
  }
  void reset() { position_ = 0; }
  // Stands `tokens` further on, as if they had been appended, without computing them: the cache holds there what it held, at first zeros. For
  // measurements at a depth. Throws Error where they do not fit.
  void skip(long tokens) {
    if (tokens < 0 || tokens > context_ - position_)
      throw Error("skip: expected 0 to " + std::to_string(context_ - position_) + " tokens, found " + std::to_string(tokens));
    position_ += tokens;
  }

 private:
  virtual void append(std::span<const std::int32_t> ids, std::span<float> logits) = 0;  // at position_, all checks done

  long context_, vocab_, position_ = 0;
};

}  // namespace weft
