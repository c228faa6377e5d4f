// Bilinear interpolation along one axis, with its derivative.
#pragma once

#include "core/vec.h"

namespace s3n {
namespace S3N_ISA {

// The two pixels around a coordinate. Interpolation has a kink at integer coordinates; the slope
// used there is the one towards larger coordinates.
template <class A>
struct AxisSample {
  int64_t index[2];  // always a valid pixel
  A weight[2];       // zero for a pixel outside, unless the edge continues
  A slope[2];        // derivative of the weight by the coordinate
  // Whether the pixel is part of the sum; neither is if the coordinate is NaN. A pixel outside must
  // be skipped, not weighted by zero: `index` then points to another pixel, which may be infinite
  // or NaN.
  bool counts[2];
  bool outside() const { return !counts[0] && !counts[1]; }
};

// `edge`: outside pixels equal the nearest pixel of the edge; otherwise they are zero. NaN stays
// NaN.
template <class A>
S3N_INLINE AxisSample<A> sample_axis(A p, int64_t length, bool edge) {
  if (p >= A(0) && p < A(length - 1)) {  // the common case: both pixels are inside
    const int64_t index = int64_t(p);
    const A beyond = p - A(index);
    return {{index, index + 1}, {A(1) - beyond, beyond}, {A(-1), A(1)}, {true, true}};
  }
  const A first = edge ? A(0) : A(-1), last = edge ? A(length - 1) : A(length);
  const bool number = p == p;
  // Clamp first: distant coordinates would overflow the conversion to an integer.
  const A near = !number ? A(0) : p < first ? first : p > last ? last : p;
  int64_t low = int64_t(near);
  low -= A(low) > near;
  const A fraction = number ? near - A(low) : p;
  const bool beyond = p < first || p > last;
  const A slope = beyond ? A(0) : A(1);
  const bool all = number && (edge || !beyond);
  AxisSample<A> s = {{low, low + 1}, {A(1) - fraction, fraction}, {-slope, slope}, {all, all}};
  for (int k = 0; k < 2; ++k) {
    const bool inside = s.index[k] >= 0 && s.index[k] < length;
    if (inside) continue;
    s.index[k] = s.index[k] < 0 ? 0 : length - 1;
    if (edge) continue;
    s.weight[k] = s.slope[k] = A(0);
    s.counts[k] = false;
  }
  return s;
}

}  // namespace S3N_ISA
}  // namespace s3n
