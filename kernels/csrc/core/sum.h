// Sums of partial results, in a fixed order.
#pragma once

#include "core/parallel.h"
#include "core/vec.h"

namespace s3n {
namespace S3N_ISA {

// out[e] = sum over p < count of parts[p * stride + e], for e in [begin, end).
template <class A>
S3N_INLINE void sum_parts(const A* parts, int64_t count, int64_t stride, int64_t begin,
                          int64_t end, A* out) {
  constexpr int L = kLanes<A>;
  int64_t e = begin;
  for (; e + L <= end; e += L) {
    vec<A> sum = {};
    for (int64_t p = 0; p < count; ++p) sum += load(parts + p * stride + e);
    store(out + e, sum);
  }
  for (; e < end; ++e) {
    A sum = 0;
    for (int64_t p = 0; p < count; ++p) sum += parts[p * stride + e];
    out[e] = sum;
  }
}

// sums[c] += a[0, c] + a[1, c] + ...
template <class A>
S3N_INLINE void add_rows(const A* a, int64_t rows, int64_t columns, A* sums) {
  constexpr int L = kLanes<A>;
  int64_t c = 0;
  for (; c + L <= columns; c += L) {
    vec<A> sum = load(sums + c);
    for (int64_t r = 0; r < rows; ++r) sum += load(a + r * columns + c);
    store(sums + c, sum);
  }
  for (; c < columns; ++c)
    for (int64_t r = 0; r < rows; ++r) sums[c] += a[r * columns + c];
}

// Provides `count` elements in the accumulator type: themselves, or their copy in `wide`.
template <class A>
S3N_INLINE const A* widen_rows(const A* p, int64_t, A*) {
  return p;
}
S3N_INLINE const float* widen_rows(const bf16* p, int64_t count, float* wide) {
  constexpr int L = kLanes<float>;
  int64_t i = 0;
  for (; i + L <= count; i += L) store(wide + i, load(p + i));
  for (; i < count; ++i) wide[i] = widen(p[i]);
  return wide;
}

template <class A>
S3N_INLINE void fill_zero(A* p, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = A(0);
}

}  // namespace S3N_ISA
}  // namespace s3n
