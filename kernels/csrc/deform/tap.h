// One tap of one pixel of a deformable convolution: sampling, and the sampling's gradients.
#pragma once

#include "core/blocks.h"
#include "deform/deform.h"
#include "sampling/axis.h"

namespace s3n {
namespace S3N_ISA {

// The four pixels a tap reads: corner k is row k / 2, column k % 2 of them.
template <class A>
struct Tap {
  AxisSample<A> y, x;
  A mask;
  int64_t pixel(int k, int64_t width) const { return y.index[k >> 1] * width + x.index[k & 1]; }
  A weight(int k) const { return y.weight[k >> 1] * x.weight[k & 1]; }
  bool outside() const { return y.outside() || x.outside(); }
};

template <class A>
S3N_INLINE Tap<A> make_tap(const DeformShape& s, int64_t row, int64_t column, int64_t i, int64_t j,
                           const A* offset, A mask) {
  return {sample_axis(A(row - s.kernel_height / 2 + i) + offset[0], s.height, false),
          sample_axis(A(column - s.kernel_width / 2 + j) + offset[1], s.width, false), mask};
}

// column[c] = mask times the sampled value.
template <class T, class A>
S3N_INLINE void sample_tap(const Tap<A>& tap, const T* x, int64_t width, int64_t channels,
                           A* column) {
  if (tap.outside()) {
    for_each_block<A>(channels, [&](auto b, int64_t c) { b.store(column + c, vec<A>{}); });
    return;
  }
  const T* corner[4];
  vec<A> weight[4];
  for (int k = 0; k < 4; ++k) {
    corner[k] = x + tap.pixel(k, width) * channels;
    weight[k] = broadcast(tap.weight(k) * tap.mask);
  }
  for_each_block<A>(channels, [&](auto b, int64_t c) {
    vec<A> v = b.load(corner[0] + c) * weight[0];
    for (int k = 1; k < 4; ++k) v += b.load(corner[k] + c) * weight[k];
    b.store(column + c, v);
  });
}

// Backward through sample_tap. On entry column[c] is the gradient of the column's element; on
// exit it is the element itself. Adds to dx, if Scatter, and sets the three gradients.
template <bool Scatter, class T, class A>
S3N_INLINE void unsample_tap(const Tap<A>& tap, const T* x, int64_t width, int64_t channels,
                             A* column, A* dx, A* doffset, A* dmask) {
  if (tap.outside()) {
    for_each_block<A>(channels, [&](auto b, int64_t c) { b.store(column + c, vec<A>{}); });
    doffset[0] = doffset[1] = *dmask = 0;
    return;
  }
  const T* corner[4];
  A* target[4];
  vec<A> weight[4], dot[4];
  S3N_UNROLL
  for (int k = 0; k < 4; ++k) {
    const int64_t place = tap.pixel(k, width) * channels;
    corner[k] = x + place;
    target[k] = dx + place;
    weight[k] = broadcast(tap.weight(k) * tap.mask);
    dot[k] = vec<A>{};
  }
  for_each_block<A>(channels, [&](auto b, int64_t c) {
    const vec<A> g = b.load(column + c);
    vec<A> v = {};
    S3N_UNROLL
    for (int k = 0; k < 4; ++k) {
      const vec<A> value = b.load(corner[k] + c);
      dot[k] += g * value;
      v += value * weight[k];
    }
    b.store(column + c, v);
    if constexpr (!Scatter) return;
    // One after the other: at the image's edge two corners may be the same pixel.
    S3N_UNROLL
    for (int k = 0; k < 4; ++k) b.store(target[k] + c, b.load(target[k] + c) + g * weight[k]);
  });
  A by_mask = 0, by_y = 0, by_x = 0;
  S3N_UNROLL
  for (int k = 0; k < 4; ++k) {
    const A d = sum_lanes<A>(dot[k]);
    by_mask += d * tap.weight(k);
    by_y += d * (tap.y.slope[k >> 1] * tap.x.weight[k & 1]);
    by_x += d * (tap.y.weight[k >> 1] * tap.x.slope[k & 1]);
  }
  *dmask = by_mask;
  doffset[0] = by_y * tap.mask;
  doffset[1] = by_x * tap.mask;
}

}  // namespace S3N_ISA
}  // namespace s3n
