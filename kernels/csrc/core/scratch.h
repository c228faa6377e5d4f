// Working memory of a thread, kept for its next task.
#pragma once

#include <cstddef>

namespace s3n {

constexpr int kScratchSlots = 8;  // the last two are those of products by tiles

// At least `bytes` bytes, aligned to 64, in one of kScratchSlots slots; valid until this thread
// asks for the same slot again. Aborts if there is no memory.
void* thread_scratch(int slot, size_t bytes);

}  // namespace s3n
