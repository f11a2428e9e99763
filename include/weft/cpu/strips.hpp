// strips: how threads share a piece of work that one of them must prepare first. A strip (columns whose weights are packed) is opened by
// the thread that prepared it and consists of parts (groups of rows); whoever has no strip of its own left takes parts of the others'
// strips. So nothing is prepared twice, and at the end threads wait for one part and not for a whole strip.
#pragma once
#include <atomic>
#include <new>
#include <thread>

namespace weft::cpu {

class Strip {
 public:
  // before any thread may look at the strips
  static void reset(Strip* strips, long count) {
    for (long i = 0; i < count; ++i) new (strips + i) Strip;
  }
  // by the thread that has prepared the strip
  void open(int owner) {
    owner_ = owner;
    next_.store(0, std::memory_order_release);
  }
  // the next part; `parts` or more when all have been taken
  long take(long parts) { return has(parts) ? next_.fetch_add(1, std::memory_order_relaxed) : parts; }
  bool has(long parts) const { return next_.load(std::memory_order_relaxed) < parts; }
  // the thread in whose memory the strip lies; waits until it has been opened
  int owner() const {
    while (next_.load(std::memory_order_acquire) == closed) std::this_thread::yield();
    return owner_;
  }

 private:
  static constexpr long closed = -1;
  std::atomic<long> next_ = closed;
  int owner_ = 0;
};

}  // namespace weft::cpu
