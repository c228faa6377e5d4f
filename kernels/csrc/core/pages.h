// Huge pages for large results.
//
// XLA takes a program's memory from the system anew at every call, and the first touch of each
// page of 4 KiB is a fault: a third of the time of a step that is called from Python. Where the
// system leaves the choice to programs, a large result asks for pages of 2 MiB instead.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace s3n {

inline void prefer_huge_pages(void* data, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kPage = uintptr_t{1} << 21;
  // Whole pages inside the array alone: what lies around it is not ours.
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + kPage - 1) / kPage * kPage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / kPage * kPage;
  // It is a hint: where it is refused, all stays as it was.
  if (end > begin) (void)madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)data;
  (void)bytes;
#endif
}

}  // namespace s3n
