// The thread pool: every thread runs, barriers hold, exceptions arrive, nothing is allocated.
#include <weft/cpu/threads.hpp>

#include <array>
#include <chrono>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

using weft::Error;
using weft::cpu::Threads;
using weft::cpu::Tickets;

namespace {
std::atomic<long> allocations = 0;
}
// never inlined: g++ would take std::free for a mistake
[[gnu::noinline]] void* operator new(std::size_t n) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(n ? n : 1)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

TEST_CASE("run calls f once on every thread") {
  for (int n : {1, 2, 3, 8}) {
    Threads threads(n);
    CHECK(threads.size() == n);
    std::array<std::atomic<int>, 8> calls{};
    const auto caller = std::this_thread::get_id();
    std::atomic<bool> caller_is_first = true;
    for (int round = 0; round < 100; ++round)
      threads.run([&](int thread) {
        ++calls[static_cast<std::size_t>(thread)];
        if ((thread == 0) != (std::this_thread::get_id() == caller)) caller_is_first = false;
      });
    for (int i = 0; i < 8; ++i) CHECK(calls[static_cast<std::size_t>(i)] == (i < n ? 100 : 0));
    CHECK(caller_is_first);
  }
}

TEST_CASE("workers that sleep wake up") {
  Threads threads(3);
  std::atomic<int> calls = 0;
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    threads.run([&](int) { ++calls; });
  }
  CHECK(calls == 60);
}

TEST_CASE("barrier: no thread passes before all have arrived") {
  for (int n : {1, 2, 3, 8}) {
    Threads threads(n);
    std::array<int, 8> reached{};  // plain integers: the barrier orders them
    std::atomic<int> violations = 0;
    for (int round = 0; round < 5; ++round)
      threads.run([&](int thread) {
        for (int phase = 1; phase <= 100; ++phase) {
          reached[static_cast<std::size_t>(thread)] = phase;
          threads.barrier();
          for (int i = 0; i < n; ++i)
            if (reached[static_cast<std::size_t>(i)] != phase) ++violations;
          threads.barrier();
        }
      });
    CHECK(violations == 0);
  }
}

TEST_CASE("an exception on any thread reaches the caller, and the pool goes on") {
  Threads threads(4);
  for (int thrower = 0; thrower < 4; ++thrower) {
    CHECK_THROWS_WITH_AS(threads.run([&](int thread) {
      if (thread == thrower) throw std::runtime_error("from " + std::to_string(thread));
    }),
                         ("from " + std::to_string(thrower)).c_str(), std::runtime_error);
    // the others wait at a barrier that will never be complete
    std::atomic<int> passed = 0;
    CHECK_THROWS_WITH_AS(threads.run([&](int thread) {
      threads.barrier();
      if (thread == thrower) throw Error("stop");
      threads.barrier();
      ++passed;
    }),
                         "stop", Error);
    CHECK(passed == 0);
    std::atomic<int> calls = 0;
    threads.run([&](int) {
      threads.barrier();
      ++calls;
    });
    CHECK(calls == 4);
  }
}

TEST_CASE("a run inside a run is refused") {
  Threads threads(2), others(2);
  for (Threads* inner : {&threads, &others})
    CHECK_THROWS_WITH_AS(threads.run([&](int) { inner->run([](int) {}); }), "threads: run was called from inside a run", Error);
  std::atomic<int> calls = 0;
  threads.run([&](int) { ++calls; });
  CHECK(calls == 2);
}

TEST_CASE("a pool without threads is refused") {
  CHECK_THROWS_WITH_AS(Threads(0), "threads: expected at least 1, found 0", Error);
  CHECK_THROWS_AS(Threads(-3), Error);
  CHECK(Threads::hardware() >= 1);
}

TEST_CASE("runs from several threads take turns") {
  Threads threads(3);
  std::atomic<int> inside = 0, overlaps = 0;
  const auto client = [&] {
    for (int round = 0; round < 200; ++round)
      threads.run([&](int thread) {
        if (thread == 0 && ++inside != 1) ++overlaps;
        threads.barrier();
        if (thread == 0) --inside;
      });
  };
  std::thread a(client), b(client);
  a.join();
  b.join();
  CHECK(overlaps == 0);
}

TEST_CASE("tickets: each exactly once") {
  Threads threads(4);
  Tickets tickets;
  for (int round = 0; round < 3; ++round) {
    tickets.reset();
    std::array<std::atomic<int>, 1000> taken{};
    threads.run([&](int) {
      for (long t; (t = tickets.next()) < 1000;) ++taken[static_cast<std::size_t>(t)];
    });
    int once = 0;
    for (auto& t : taken) once += t == 1;
    CHECK(once == 1000);
  }
}

TEST_CASE("run, barrier and tickets allocate nothing") {
  Threads threads(3);
  Tickets tickets;
  std::atomic<long> sum = 0;
  const auto work = [&](int thread) {
    sum += thread + tickets.next();
    threads.barrier();
  };
  threads.run(work);
  const long before = allocations;
  for (int round = 0; round < 50; ++round) threads.run(work);
  CHECK(allocations == before);
}
