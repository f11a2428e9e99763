// team: what a kernel sees of the threads that run it: its number, work handed out in tickets, barriers, and a piece of workspace.
#pragma once
#include <weft/cpu/threads.hpp>

#include <cstddef>

namespace weft::cpu {

// Places arrays one after the other, each 64-byte aligned. Without memory it only measures, so one function both sizes and lays out.
class Arena {
 public:
  explicit Arena(std::byte* memory = nullptr) : memory_(memory) {}
  template <class T> T* take(long count) {
    T* p = memory_ ? reinterpret_cast<T*>(memory_ + used_) : nullptr;
    used_ += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return p;
  }
  std::size_t used() const { return used_; }

 private:
  std::byte* memory_;
  std::size_t used_ = 0;
};

class Team {
 public:
  static constexpr int ring = 4;
  explicit Team(Threads& threads) : threads_(threads) {}
  void begin() {
    for (auto& t : tickets_) t.reset();
  }
  Threads& threads() const { return threads_; }
  Tickets& tickets(long phase) { return tickets_[phase % ring]; }

 private:
  Threads& threads_;
  Tickets tickets_[ring];
};

class Worker {
 public:
  Worker(Team& team, int number) : team_(team), number_(number) {}
  int number() const { return number_; }
  int count() const { return team_.threads().size(); }
  // the next piece of work of this phase
  long next() { return team_.tickets(phase_).next(); }
  // all threads have finished this phase
  void sync() {
    if (number_ == 0) team_.tickets(phase_ + 2).reset();  // nobody has used it since the phase before last
    team_.threads().barrier();
    ++phase_;
  }
  // this worker's share of n equal pieces, in one run
  long first(long n) const { return n * number_ / count(); }
  long last(long n) const { return n * (number_ + 1) / count(); }

 private:
  Team& team_;
  int number_;
  long phase_ = 0;
};

}  // namespace weft::cpu
