// huge_pages: brings parts of mapped files into memory, and into huge pages where that is quick. Files are mapped in small pages as a rule,
// whose translation costs a tenth and more of the bandwidth at which weights are read.
//
// Windows of the size of a huge page are copied by all threads, and a copy takes the place of the window that it is a copy of: addresses and
// bytes stay what they are, and the memory of the file is given back. Memory does not always come quickly: the system may have to compact
// it first, and a virtual machine to get every page from its host (0.2 ms and 6 ms for a window have been seen on one machine within a
// minute). So that nobody waits for seconds, what is left stays in the file as soon as the moves take much longer than copies alone.
#pragma once
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "weft/cpu/threads.hpp"
#include "weft/io/mapped_file.hpp"

namespace weft {

enum class HugePages { never, quick, always };  // quick: as long as memory comes about as fast as it can be copied

// What the environment variable WEFT_HUGE_PAGES says: never, quick (the default), always. Throws Error for another word.
inline HugePages huge_pages_wanted() {
  const char* word = std::getenv("WEFT_HUGE_PAGES");
  const std::string found = word ? word : "quick";
  if (found == "never") return HugePages::never;
  if (found == "quick") return HugePages::quick;
  if (found == "always") return HugePages::always;
  throw Error("WEFT_HUGE_PAGES: expected never, quick or always, found \"" + found + "\"");
}

class FilePages {
 public:
  static constexpr std::size_t window_bytes = std::size_t{2} << 20;

  // `patience`: nanoseconds that each thread may wait for memory before it counts as slow.
  explicit FilePages(HugePages wanted, long patience = 20'000'000) : wanted_(wanted), patience_(patience) {}
  // This part of the file will be used. `is_read_often`: it is worth huge pages.
  void add(const MappedFile& file, std::span<const std::byte> part, bool is_read_often) {
    const auto begin = reinterpret_cast<std::uintptr_t>(part.data()), end = begin + part.size();
    for (std::uintptr_t at = begin / window_bytes * window_bytes; at < end; at += window_bytes) {
      Window& window = windows_[at];
      window.file = &file;
      window.is_read_often = window.is_read_often || is_read_often;
    }
  }
  // Bytes of the windows that are worth huge pages: as much memory may be taken.
  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const auto& [at, window] : windows_) sum += window.is_read_often ? window_bytes : 0;
    return sum;
  }
  void stay() { wanted_ = HugePages::never; }  // without huge pages: there is not so much memory
  // Returns when all parts are in memory; how many bytes of huge pages were taken for them. `progress(share)` is told from 0 to 1, by the
  // calling thread.
  template <class Progress> std::uint64_t bring(cpu::Threads& threads, Progress progress) {
    const std::vector<std::pair<const std::uintptr_t, Window>> windows(windows_.begin(), windows_.end());
    for (const auto& [at, window] : windows)
      if (window.is_read_often && wanted_ != HugePages::never && spares_.try_emplace(window.file, *window.file).second)
        window.file->will_have_copies();
    cpu::Tickets tickets;
    threads.run([&](int thread) {
      const auto count = static_cast<long>(windows.size());
      for (long i = tickets.next(); i < count; i = tickets.next()) {
        const auto& [at, window] = windows[static_cast<std::size_t>(i)];
        bring_window(at, window, threads.size());
        if (thread == 0) progress(static_cast<double>(i + 1) / static_cast<double>(count));
      }
    });
    for (const auto& [file, spare] : spares_) spare.protect();
    spares_.clear();
    return moved_.load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t page = 4096;
  struct Window {
    const MappedFile* file = nullptr;
    bool is_read_often = false;
  };

  // Addresses for new pages, as far apart as those of the file, so that neighbours stay neighbours: the system can then manage all copies as one
  // piece.
  class Spare {
   public:
    explicit Spare(const MappedFile& file) : begin_(reinterpret_cast<std::uintptr_t>(file.bytes().data())), size_(file.bytes().size()) {
      first_ = (begin_ + window_bytes - 1) / window_bytes * window_bytes;
      const std::size_t end = (begin_ + size_) / window_bytes * window_bytes;
      bytes_ = end > first_ ? end - first_ : 0;
      if (bytes_ == 0) return;
      mapped_ = ::mmap(nullptr, bytes_ + window_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (mapped_ == MAP_FAILED) {
        bytes_ = 0;
        return;
      }
      ::madvise(mapped_, bytes_ + window_bytes, MADV_HUGEPAGE);
      spare_ = (reinterpret_cast<std::uintptr_t>(mapped_) + window_bytes - 1) / window_bytes * window_bytes;
    }
    Spare(const Spare&) = delete;
    Spare& operator=(const Spare&) = delete;
    ~Spare() {
      if (bytes_ > 0) ::munmap(mapped_, bytes_ + window_bytes);
    }
    // for the window at `at`; nullptr where the window is not wholly in the file, or no addresses were to be had
    std::byte* of(std::uintptr_t at) const {
      return at >= first_ && at + window_bytes <= first_ + bytes_ ? reinterpret_cast<std::byte*>(spare_ + (at - first_)) : nullptr;
    }
    void protect() const {  // the copies, as the file is
      if (bytes_ > 0) ::mprotect(reinterpret_cast<void*>(first_), bytes_, PROT_READ);
    }

   private:
    std::uintptr_t begin_, first_ = 0, spare_ = 0;
    std::size_t size_, bytes_ = 0;
    void* mapped_ = nullptr;
  };

  void bring_window(std::uintptr_t at, const Window& window, int threads) {
    const auto file = window.file->bytes();
    const auto begin = std::max(at, reinterpret_cast<std::uintptr_t>(file.data()));
    const auto end = std::min(at + window_bytes, reinterpret_cast<std::uintptr_t>(file.data() + file.size()));
    const long faults = page_faults();
    for (std::uintptr_t p = begin; p < end; p += page) static_cast<void>(*reinterpret_cast<const volatile std::byte*>(p));
    const bool is_huge_already = page_faults() - faults <= 1;
    if (!window.is_read_often || is_huge_already || !may_take(threads)) return;
    const auto spare = spares_.find(window.file);
    if (std::byte* copy = spare->second.of(at)) move(reinterpret_cast<std::byte*>(at), copy);
  }
  // Getting memory and copying may take some times as long as the fastest copy, and a little more.
  bool may_take(int threads) const {
    constexpr long ratio = 8;
    if (wanted_ == HugePages::never || ended_.load(std::memory_order_relaxed)) return false;
    if (wanted_ == HugePages::always) return true;
    const long windows = static_cast<long>(moved_.load(std::memory_order_relaxed) / window_bytes);
    return taken_.load(std::memory_order_relaxed) < threads * patience_ + windows * ratio * fastest_.load(std::memory_order_relaxed);
  }
  void move(std::byte* window, std::byte* copy) {
    const long start = nanoseconds(), faults = page_faults();
    for (std::size_t i = 0; i < window_bytes; i += page) *static_cast<volatile std::byte*>(copy + i) = std::byte{0};
    if (page_faults() - faults > 1) {  // there are no huge pages, or none left
      ::madvise(copy, window_bytes, MADV_DONTNEED);
      ended_.store(true, std::memory_order_relaxed);
      return;
    }
    const long supplied = nanoseconds();
    std::memcpy(copy, window, window_bytes);
    const long copied = nanoseconds() - supplied;
    if (!replace(window, copy)) ended_.store(true, std::memory_order_relaxed);
    for (long fastest = fastest_.load(std::memory_order_relaxed);
         copied < fastest && !fastest_.compare_exchange_weak(fastest, copied, std::memory_order_relaxed);) {}
    taken_.fetch_add(nanoseconds() - start, std::memory_order_relaxed);
  }
  // Puts the pages of `copy` at the address of `window`; `copy` stays reserved, so that nobody else gets its address meanwhile.
  bool replace(std::byte* window, std::byte* copy) {
    if (::mremap(copy, window_bytes, window_bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, window) != MAP_FAILED) {
      moved_.fetch_add(window_bytes, std::memory_order_relaxed);
      return true;
    }
    unsigned char in_memory[window_bytes / page];
    if (::mincore(window, window_bytes, in_memory) == 0) return false;  // an old system, or it has no entry left: the file is still there
    if (::mmap(window, window_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
      throw std::bad_alloc();
    std::memcpy(window, copy, window_bytes);
    return false;
  }

  static long page_faults() {
    rusage usage;
    ::getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt + usage.ru_majflt;
  }
  static long nanoseconds() {
    timespec t;
    ::clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1'000'000'000L + t.tv_nsec;
  }

  HugePages wanted_;
  long patience_;
  std::map<std::uintptr_t, Window> windows_;  // by address
  std::map<const MappedFile*, Spare> spares_;
  std::atomic<long> taken_ = 0, fastest_ = 1'000'000;  // nanoseconds: of all moves, of one copy
  std::atomic<std::uint64_t> moved_ = 0;
  std::atomic<bool> ended_ = false;
};

}  // namespace weft
