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

template <class A>
S3N_INLINE void fill_zero(A* p, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = A(0);
}

}  // namespace S3N_ISA
}  // namespace s3n
