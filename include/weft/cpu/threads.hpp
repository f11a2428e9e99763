// threads: the persistent thread pool of the CPU executor. run(f) calls f(thread) once on each thread, the caller being thread 0.
//
// Between runs workers look for work for 50 us, then sleep; so neighbouring kernels start at once, and an idle process uses no CPU. With
// more threads than cores they yield instead of spinning. run and barrier allocate nothing.
//
// Why not a library. Two threads on two cores of an AMD EPYC (Zen 4, a virtual machine); microseconds per empty parallel region, lowest and
// highest of the medians of several runs on a quiet and on a busy machine. No pool allocates per region.
//                    in a tight loop   after 100 us   after 5 ms    include
//   OpenMP, GCC      0.7 - 3.4         1.0 - 7900     8 - 14000     -         the spinning of libgomp waits out whole time slices of others
//   OpenMP, LLVM     0.6 - 3.8         0.6 - 36       22 - 47       -         and a core spins on for 100 ms after the last region
//   oneTBB 2021.8    0.3 - 0.6         0.5 - 1.5      14 - 15       0.97 s    by running both parts on one thread: no barrier could work
//   Eigen 3.4        1.3 - 12          30 - 70        20 - 53       1.07 s
//   this one         0.2 - 0.6         8 - 33         17 - 29       0.45 s
// OpenMP also asks for flags in every user's build, and neither of its run times passes exceptions on.
#pragma once
#include <atomic>
#include <ctime>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../core/error.hpp"

namespace weft::cpu {

class Threads {
 public:
  static int hardware() {
    const int n = static_cast<int>(std::thread::hardware_concurrency());
    return n > 0 ? n : 1;
  }

  // n threads including the caller of run; n may exceed the number of cores. Throws Error if n < 1 or the system refuses to start them.
  explicit Threads(int n = hardware()) : spins_(n <= hardware() ? 100 : 1) {
    if (n < 1) throw Error("threads: expected at least 1, found " + std::to_string(n));
    size_ = n;
    try {
      for (int i = 1; i < n; ++i) workers_.emplace_back([this, i] { work(i); });
    } catch (const std::exception& e) {
      const auto started = workers_.size();
      stop();
      throw Error("threads: expected to start " + std::to_string(n - 1) + ", the system gave " + std::to_string(started) + ": " + e.what());
    }
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() { stop(); }

  int size() const { return size_; }

  // Calls f(0), ..., f(size() - 1), each on its own thread, and returns when all have returned. If some throw, the others run to their end
  // or their next barrier, and one of the exceptions reaches the caller. Runs from different threads take turns; a run from inside f is
  // refused with Error.
  template <class F> void run(F&& f) {
    if (inside()) throw Error("threads: run was called from inside a run");
    const std::lock_guard turn(turn_);
    failed_.store(false, std::memory_order_relaxed);
    arrived_.store(0, std::memory_order_relaxed);
    context_ = const_cast<void*>(static_cast<const void*>(&f));
    call_ = [](void* context, int thread) { (*static_cast<std::remove_reference_t<F>*>(context))(thread); };
    if (size_ > 1) {
      pending_.store(static_cast<unsigned>(size_ - 1), std::memory_order_relaxed);
      start_.fetch_add(1, std::memory_order_release);
      start_.notify_all();
    }
    call(0);
    for (unsigned left; (left = pending_.load(std::memory_order_acquire)) != 0;) await(pending_, left);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  // Inside a run: returns when all threads have arrived. All of them must call it equally often.
  void barrier() {
    if (size_ == 1) return;
    const unsigned phase = phase_.load(std::memory_order_acquire);
    if (failed_.load(std::memory_order_acquire)) throw Stopped{};
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == static_cast<unsigned>(size_ - 1)) {
      arrived_.store(0, std::memory_order_relaxed);
      next_phase();
    } else {
      while (phase_.load(std::memory_order_acquire) == phase) await(phase_, phase);
      if (failed_.load(std::memory_order_acquire)) throw Stopped{};
    }
  }

 private:
  struct Stopped {};  // thrown by barrier when another thread will not arrive

  static bool& inside() {
    thread_local bool value = false;
    return value;
  }

  void call(int thread) {
    inside() = true;
    try {
      call_(context_, thread);
    } catch (const Stopped&) {
    } catch (...) {
      const std::lock_guard lock(error_lock_);
      if (!error_) error_ = std::current_exception();
      failed_.store(true, std::memory_order_release);
      next_phase();
    }
    inside() = false;
  }
  void next_phase() {
    phase_.fetch_add(1, std::memory_order_acq_rel);
    phase_.notify_all();
  }

  void work(int thread) {
    for (unsigned seen = 0;; ++seen) {
      while (start_.load(std::memory_order_acquire) == seen) await(start_, seen);
      if (stopping_) return;
      call(thread);
      if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
    }
  }
  void stop() {
    stopping_ = true;
    start_.fetch_add(1, std::memory_order_release);
    start_.notify_all();
    for (auto& w : workers_) w.join();
  }

  // Returns soon after `value` is no longer `old`, or earlier. Yielding matters even when there are cores enough: a thread just woken up
  // may have been queued behind this one.
  void await(const std::atomic<unsigned>& value, unsigned old) const {
    const long deadline = now() + 50'000;
    do {
      for (int i = 0; i < spins_; ++i) {
        if (value.load(std::memory_order_acquire) != old) return;
        relax();
      }
      std::this_thread::yield();
    } while (now() < deadline);
    value.wait(old, std::memory_order_acquire);
  }
  static long now() {  // in nanoseconds; <chrono> would take 0.2 s of every compilation
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1'000'000'000L + t.tv_nsec;
  }
  static void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // What the threads write while others wait lies in cache lines of its own. start_ and phase_ only count; a wrap around is harmless.
  alignas(64) std::atomic<unsigned> start_ = 0;
  alignas(64) std::atomic<unsigned> pending_ = 0;
  alignas(64) std::atomic<unsigned> arrived_ = 0;
  alignas(64) std::atomic<unsigned> phase_ = 0;
  alignas(64) std::atomic<bool> failed_ = false;
  bool stopping_ = false;
  int spins_;
  int size_ = 1;
  void* context_ = nullptr;
  void (*call_)(void*, int) = nullptr;
  std::exception_ptr error_;
  std::mutex error_lock_, turn_;
  std::vector<std::thread> workers_;
};

// Hands out 0, 1, 2, ... to whichever thread asks next. Which thread works on which ticket varies from run to run; results must not.
class Tickets {
 public:
  void reset() { next_.store(0, std::memory_order_relaxed); }
  long next() { return next_.fetch_add(1, std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<long> next_ = 0;
};

}  // namespace weft::cpu
