// The right-hand matrix of a product, repacked for the registers.
//
// A panel is kPanel columns wide, a whole number of registers, and stored row by row; columns
// beyond the matrix are zero. (k, n) packs into ceil(n / kPanel) panels of k rows.
#pragma once

#include "core/vec.h"
#include "gemm/tiles.h"

namespace s3n {
namespace S3N_ISA {

constexpr int kPanelVectors = kRegisters == 32 ? 4 : 2;
template <class A>
constexpr int kPanel = kPanelVectors * kLanes<A>;

template <class A>
S3N_INLINE int64_t packed_size(int64_t k, int64_t n) {
  return ceil_div(n, kPanel<A>) * kPanel<A> * k;
}

// Packs a matrix for `multiply`; element (i, j) is at b[i * row + j * column]. Products by AMX
// tiles need tiles instead, which fit in the same memory.
template <class A>
static void pack_panels(const A* b, int64_t row, int64_t column, int64_t k, int64_t n, A* packed) {
#if defined(__AMX_BF16__)
  if constexpr (sizeof(A) == 4) {
    if (tiled(k)) return pack_tiles(b, row, column, k, n, packed);
  }
#endif
  constexpr int N = kPanel<A>;
  for (int64_t first = 0; first < n; first += N) {
    const int64_t count = smaller(N, n - first);
    for (int64_t i = 0; i < k; ++i, packed += N) {
      const A* source = b + i * row + first * column;
      for (int64_t j = 0; j < count; ++j) packed[j] = source[j * column];
      for (int64_t j = count; j < N; ++j) packed[j] = A(0);
    }
  }
}

}  // namespace S3N_ISA
}  // namespace s3n
