// complaint: how a kernel says that it met an index which names nothing. It computes nothing there, goes on, and leaves a word in the
// device's memory, which the executor reads when it waits.
#pragma once
#include <weft/cuda/device.cuh>
#include <weft/cuda/numbers.cuh>

#include <climits>
#include <vector>

namespace weft::cuda {

// what was found: by which kernel (0: nothing), and its first row with the index there
struct Finding {
  unsigned site = 0;
  unsigned long long row_and_index = ~0ull;
};

// what a kernel is given; with nobody to listen it is silent
struct Complaint {
  Finding* to = nullptr;
  unsigned site = 0;

  // Any thread may call it. The first kernel on the stream that complains is heard, with the lowest of its rows.
  WEFT_DEVICE void tell(unsigned row, int index) const {
    if (!to) return;
    const unsigned before = atomicCAS(&to->site, 0u, site);
    if (before == 0 || before == site)
      atomicMin(&to->row_and_index, static_cast<unsigned long long>(row) << 32 | static_cast<unsigned>(index));
  }
};

// The value of an index expression as a whole number; -1 where it is none of 0 ... count - 1, and `asked` is what it was.
WEFT_DEVICE int checked_index(float value, long count, int& asked) {
  asked = value != value ? INT_MIN : __float2int_rz(value);
  return asked >= 0 && asked < count ? asked : -1;
}

// The host's side: kernels that may complain, by number, and what they would say.
class Complaints {
 public:
  using Words = std::string (*)(long row, long index, long count);  // count: of what the index chooses from

  // makes room on the device, once; before a graph is captured
  void prepare() {
    if (finding_.size()) return;
    finding_ = Memory(sizeof(Finding));
    clear();
  }
  // What to give a kernel; `words` tells kernels apart, each has a function of its own.
  Complaint of(Words words, long count) {
    std::size_t i = 0;
    while (i < sites_.size() && sites_[i].words != words) ++i;
    if (i == sites_.size()) sites_.push_back({words, count});
    sites_[i].count = count;
    return {finding_.as<Finding>(), static_cast<unsigned>(i + 1)};
  }
  // Waits for the stream; throws Error if a kernel has complained since the last time
  void expect_none(cudaStream_t stream) {
    if (sites_.empty()) return;
    Finding found;
    check(cudaMemcpyAsync(&found, finding_.data(), sizeof found, cudaMemcpyDeviceToHost, stream), "asking whether kernels complain");
    check(cudaStreamSynchronize(stream), "waiting for the kernels of a stream");
    if (!found.site) return;
    clear();
    const Site& site = sites_[found.site - 1];
    throw Error(site.words(static_cast<long>(found.row_and_index >> 32), static_cast<std::int32_t>(found.row_and_index), site.count));
  }

 private:
  struct Site {
    Words words;
    long count;
  };
  void clear() {
    const Finding nothing;
    finding_.upload(&nothing);
  }
  std::vector<Site> sites_;
  Memory finding_;
};

}  // namespace weft::cuda
