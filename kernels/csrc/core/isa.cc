#include "core/isa.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#if defined(S3N_TILES)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace s3n {
namespace {

constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};

Isa widest() {
#if defined(S3N_EMULATE)
  return Isa::avx512;
#elif S3N_X86
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  return avx512 ? Isa::avx512 : avx2 ? Isa::avx2 : Isa::baseline;
#else
  return Isa::baseline;
#endif
}

#if defined(S3N_EMULATE)
bool has_tiles() { return true; }
#elif defined(S3N_TILES)
bool has_tiles() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  const bool tiles = (d >> 22 & 1) != 0 && (d >> 24 & 1) != 0;
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return false;
  const bool rounds = (a >> 5 & 1) != 0;  // avx512bf16
  // Linux grants the large tile registers only on request, once for all threads of a process.
  constexpr long kRequest = 0x1023, kTileData = 18;
  return tiles && rounds && syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}
#endif

bool parse(const char* name, Isa* isa) {
  for (int i = 0; i < 3; ++i) {
    if (name != nullptr && std::strcmp(name, kNames[i]) == 0) {
      *isa = static_cast<Isa>(i);
      return *isa <= widest();
    }
  }
  return false;
}

std::atomic<Isa>& state() {
  static std::atomic<Isa> isa = [] {
    Isa asked;
    return parse(std::getenv("S3NET_KERNELS_ISA"), &asked) ? asked : widest();
  }();
  return isa;
}

}  // namespace

Isa active_isa() { return state().load(std::memory_order_relaxed); }

bool active_tiles() {
#if defined(S3N_TILES)
  static const bool has = has_tiles();
  return has && active_isa() == Isa::avx512;
#else
  return false;
#endif
}

bool set_isa(const char* name) {
  Isa asked;
  if (!parse(name, &asked)) return false;
  state().store(asked, std::memory_order_relaxed);
  return true;
}

const char* isa_name() { return kNames[static_cast<int>(active_isa())]; }

}  // namespace s3n
