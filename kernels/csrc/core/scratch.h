// Working memory of a thread, kept for its next task.
#pragma once

#include <cstddef>

namespace s3n {

constexpr int kScratchSlots = 8;  // the last two are those of products by tiles

// At least `bytes` bytes, aligned to 64, in one of kScratchSlots slots; valid until this thread
// asks for the same slot again. Throws std::bad_alloc if there is no memory: the executor carries
// it from its threads to the handler, which returns it to XLA as an error.
void* thread_scratch(int slot, size_t bytes);

// For tests: from now on who asks for more than `bytes` finds no memory; 0 lifts the limit.
void limit_scratch(size_t bytes);

}  // namespace s3n
