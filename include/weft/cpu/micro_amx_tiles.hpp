// micro_amx_tiles: the tile registers of the CPU (Intel AMX), behind the members that micro_amx.hpp asks for.
//
// Linux gives tile registers to a process that has asked for them, once. Then each thread sets them up before it uses them and releases
// them after, by holding a Scope: once per program of kernels, not per tile, as setting up costs some 200 cycles and clears all tiles.
// Releasing spares switches of threads 8 KB of registers, lets the core sleep, and lets other libraries set up tiles of their own.
//
// Instructions are written out, not called by their intrinsics: those of g++ take literals where a kernel has constants, and say nothing to
// the compiler of the memory that they read, so that it may leave a panel unwritten.
#pragma once
#include "simd_isa.hpp"
#if defined(__x86_64__) && defined(__linux__)
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "../core/error.hpp"

namespace weft::cpu {

class HardwareTiles {
 public:
  // Asks Linux for tile registers, the first time. Throws Error if it refuses.
  [[gnu::noinline]] static void permit() {
    constexpr long arch_prctl = 158, request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    static const int refusal = syscall(arch_prctl, request_permission, tile_data) == 0 ? 0 : errno;
    if (refusal != 0)
      throw Error("AMX: expected Linux (5.16 or newer) to permit tile registers, found \"" + std::string(std::strerror(refusal)) +
                  "\"; compile with -mno-amx-tile to do without them");
  }
#if defined(WEFT_AMX)
  // Tiles of 16 rows of 64 bytes for the calling thread. Throws Error if the system refuses. Scopes of a thread don't nest.
  class Scope {
   public:
    Scope() {
      permit();
      static constexpr Configuration whole_tiles{};
      asm volatile("ldtilecfg %0" ::"m"(whole_tiles));
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { asm volatile("tilerelease"); }
  };

  template <int t> WEFT_INLINE static void zero() { asm volatile("{tilezero %%tmm%c0|tilezero tmm%c0}" ::"i"(t)); }
  template <int t> WEFT_INLINE static void load(const void* p, long stride) {
    asm volatile("{tileloadd (%0,%1,1), %%tmm%c2|tileloadd tmm%c2, [%0+%1*1]}" ::"r"(p), "r"(stride), "i"(t) : "memory");
  }
  template <int t> WEFT_INLINE static void store(void* p, long stride) {
    asm volatile("{tilestored %%tmm%c2, (%0,%1,1)|tilestored [%0+%1*1], tmm%c2}" ::"r"(p), "r"(stride), "i"(t) : "memory");
  }
  template <int c, int a, int b> WEFT_INLINE static void dot() {
    asm volatile("{tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0|tdpbf16ps tmm%c0, tmm%c1, tmm%c2}" ::"i"(c), "i"(a), "i"(b));
  }

 private:
  struct Configuration {  // of the instruction: palette 1 is the one that exists
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static_assert(sizeof(Configuration) == 64);
#endif
};

}  // namespace weft::cpu
#endif
