// team: what a kernel sees of the threads that run it: its number, work handed out in tickets, barriers, and a piece of workspace.
#pragma once
#include <weft/cpu/threads.hpp>

#include <cstddef>
#include <vector>

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
  explicit Team(Threads& threads) : threads_(threads), tickets_(static_cast<std::size_t>(ring * threads.size())) {}
  void begin() {
    for (auto& t : tickets_) t.reset();
  }
  Threads& threads() const { return threads_; }
  Tickets& tickets(long phase, int thread) { return tickets_[static_cast<std::size_t>(phase % ring * threads_.size() + thread)]; }

 private:
  Threads& threads_;
  std::vector<Tickets> tickets_;  // [ring][thread]
};

class Worker {
 public:
  Worker(Team& team, int number) : team_(team), number_(number) {}
  int number() const { return number_; }
  int count() const { return team_.threads().size(); }
  // the next piece of work of this phase
  long next() { return team_.tickets(phase_, 0).next(); }
  // The same where neighbouring pieces read neighbouring memory, for a phase of n pieces: each thread takes those of its own range, one
  // after the other, so that it reads one long stream, and then helps the others. n when all have been taken.
  long next_of(long n) {
    for (; helped_ < count(); ++helped_) {
      const int owner = (number_ + helped_) % count();
      const long piece = first(n, owner) + team_.tickets(phase_, owner).next();
      if (piece < first(n, owner + 1)) return piece;
    }
    return n;
  }
  // all threads have finished this phase
  void sync() {
    team_.tickets(phase_ + 2, number_).reset();  // nobody has used them since the phase before last
    team_.threads().barrier();
    ++phase_;
    helped_ = 0;
  }
  // this worker's share of n equal pieces, in one run
  long first(long n) const { return first(n, number_); }
  long last(long n) const { return first(n, number_ + 1); }

 private:
  long first(long n, int thread) const { return n * thread / count(); }
  Team& team_;
  int number_, helped_ = 0;
  long phase_ = 0;
};

}  // namespace weft::cpu
