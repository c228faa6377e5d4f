#include "core/scratch.h"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

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

std::atomic<size_t> limit{SIZE_MAX};

constexpr size_t kPage = 4096;  // sizes are rounded up to it, so that slots grow less often

}  // namespace

void* thread_scratch(int slot, size_t bytes) {
  if (bytes > limit.load(std::memory_order_relaxed)) throw std::bad_alloc();
  if (bytes > slots.bytes[slot]) {
    // Free the old memory first, because both together might not fit. Until the new memory is
    // allocated, the slot is empty.
    std::free(slots.data[slot]);
    slots.data[slot] = nullptr;
    slots.bytes[slot] = 0;
    if (bytes > SIZE_MAX - kPage) throw std::bad_alloc();
    const size_t size = (bytes + kPage - 1) / kPage * kPage;
    slots.data[slot] = std::aligned_alloc(64, size);
    if (slots.data[slot] == nullptr) throw std::bad_alloc();
    slots.bytes[slot] = size;
  }
  return slots.data[slot];
}

void limit_scratch(size_t bytes) {
  limit.store(bytes == 0 ? SIZE_MAX : bytes, std::memory_order_relaxed);
}

}  // namespace s3n
