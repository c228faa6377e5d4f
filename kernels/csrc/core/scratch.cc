#include "core/scratch.h"

#include <cstdlib>

namespace s3n {
namespace {

struct Slots {
  void* data[kScratchSlots] = {};
  size_t bytes[kScratchSlots] = {};
  ~Slots() {
    for (void* p : data) std::free(p);
  }
};

thread_local Slots slots;

}  // namespace

void* thread_scratch(int slot, size_t bytes) {
  if (bytes > slots.bytes[slot]) {
    std::free(slots.data[slot]);
    slots.bytes[slot] = (bytes + 4095) / 4096 * 4096;
    slots.data[slot] = std::aligned_alloc(64, slots.bytes[slot]);
    if (slots.data[slot] == nullptr) std::abort();
  }
  return slots.data[slot];
}

}  // namespace s3n
