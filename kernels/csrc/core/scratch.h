// Working memory of a thread, kept for the thread's next task.
#pragma once

#include <cstddef>

namespace s3n {

constexpr int kScratchSlots = 8;  // the last two are for products by AMX tiles

// Returns at least `bytes` bytes, aligned to 64, in one of kScratchSlots slots; valid until this
// thread requests the same slot again. Throws std::bad_alloc if there is no memory: the executor
// passes it from its threads to the handler, which returns it to XLA as an error.
void* thread_scratch(int slot, size_t bytes);

// For tests: requests for more than `bytes` fail from now on; 0 removes the limit.
void limit_scratch(size_t bytes);

}  // namespace s3n
