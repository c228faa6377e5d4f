// Bilinear interpolation along one axis, with its derivative.
#pragma once

#include "core/vec.h"

namespace s3n {
namespace S3N_ISA {

// The two pixels around a coordinate. Where the coordinate is whole, interpolation has a kink;
// the slope is the one towards larger coordinates.
template <class A>
struct AxisSample {
  int64_t index[2];  // always inside
  A weight[2];       // zero for a pixel outside, where outside is zero
  A slope[2];        // derivative of the weight by the coordinate
  // Neither pixel counts, nor would after a small step.
  bool outside() const {
    return weight[0] == 0 && weight[1] == 0 && slope[0] == 0 && slope[1] == 0;
  }
};

// `edge`: outside counts as the nearest pixel of the edge, otherwise as zero. NaN stays NaN.
template <class A>
S3N_INLINE AxisSample<A> sample_axis(A p, int64_t length, bool edge) {
  if (p >= A(0) && p < A(length - 1)) {  // nearly all: both pixels are inside
    const int64_t index = int64_t(p);
    const A beyond = p - A(index);
    return {{index, index + 1}, {A(1) - beyond, beyond}, {A(-1), A(1)}};
  }
  const A first = edge ? A(0) : A(-1), last = edge ? A(length - 1) : A(length);
  const bool number = p == p;
  // Far coordinates would overflow the conversion to an integer.
  const A near = !number ? A(0) : p < first ? first : p > last ? last : p;
  int64_t low = int64_t(near);
  low -= A(low) > near;
  const A fraction = number ? near - A(low) : p;
  const A slope = p < first || p > last ? A(0) : A(1);
  AxisSample<A> s = {{low, low + 1}, {A(1) - fraction, fraction}, {-slope, slope}};
  for (int k = 0; k < 2; ++k) {
    const bool inside = s.index[k] >= 0 && s.index[k] < length;
    if (inside) continue;
    s.index[k] = s.index[k] < 0 ? 0 : length - 1;
    if (!edge) s.weight[k] = s.slope[k] = A(0);
  }
  return s;
}

}  // namespace S3N_ISA
}  // namespace s3n
