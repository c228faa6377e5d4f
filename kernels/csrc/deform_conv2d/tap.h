// One tap of one pixel of a deformable convolution: sampling, and the sampling's gradients.
#pragma once

#include "core/blocks.h"
#include "deform_conv2d/deform_conv2d.h"
#include "bilinear_sample/corners.h"

namespace s3n {
namespace S3N_ISA {

// The pixels that a tap reads, and its mask value.
template <class A>
struct Tap : Corners<A> {
  A mask;
};

template <class A>
S3N_INLINE Tap<A> make_tap(const DeformShape& s, int64_t row, int64_t column, int64_t i, int64_t j,
                           const A* offset, A mask) {
  return {{sample_axis(A(row - s.kernel_height / 2 + i) + offset[0], s.height, false),
           sample_axis(A(column - s.kernel_width / 2 + j) + offset[1], s.width, false)},
          mask};
}

// column[c] = mask times the sampled value.
template <class T, class A>
S3N_INLINE void sample_tap(const Tap<A>& tap, const T* x, int64_t width, int64_t channels,
                           A* column) {
  interpolate(tap, tap.mask, x, width, channels, column);
}

// The per-channel part of unsample_tap. dot[k] holds the lanes of the sum over the channels of
// gradient times pixel k.
template <bool Scatter, bool Whole, class T, class A>
S3N_INLINE void unsample_corners(const Tap<A>& tap, const T* x, int64_t width, int64_t channels,
                                 A* column, A* dx, vec<A>* dot) {
  const CornerRows<Whole, T, A> rows(tap, x, width, channels);
  A* target[4];
  vec<A> weight[4], sum[4];
  S3N_UNROLL
  for (int k = 0; k < 4; ++k) {
    target[k] = dx + tap.pixel(k, width) * channels;
    weight[k] = broadcast(tap.weight(k) * tap.mask);
    sum[k] = vec<A>{};
  }
  for_each_block<A>(channels, [&](auto b, int64_t c) {
    const vec<A> g = b.load(column + c);
    vec<A> v = {};
    S3N_UNROLL
    for (int k = 0; k < 4; ++k) {
      const vec<A> value = rows.load(b, k, c);
      sum[k] += g * value;
      v += value * weight[k];
    }
    b.store(column + c, v);
    if constexpr (!Scatter) return;
    S3N_UNROLL
    for (int k = 0; k < 4; ++k)
      if (rows.counts[k]) b.store(target[k] + c, b.load(target[k] + c) + g * weight[k]);
  });
  S3N_UNROLL
  for (int k = 0; k < 4; ++k) dot[k] = sum[k];
}

// The case at the image's edge: rare, so its code is not inlined at every use.
template <bool Scatter, class T, class A>
S3N_NOINLINE void unsample_edge(const Tap<A>& tap, const T* x, int64_t width, int64_t channels,
                                A* column, A* dx, vec<A>* dot) {
  unsample_corners<Scatter, false>(tap, x, width, channels, column, dx, dot);
}

// The backward pass of sample_tap. On entry column[c] is the gradient of the column's element; on
// exit it is the element itself. Adds to dx if Scatter, and sets the three gradients.
template <bool Scatter, class T, class A>
S3N_INLINE void unsample_tap(const Tap<A>& tap, const T* x, int64_t width, int64_t channels,
                             A* column, A* dx, A* doffset, A* dmask) {
  if (tap.outside()) {
    const vec<A> empty = broadcast(tap.empty(tap.mask));
    for_each_block<A>(channels, [&](auto b, int64_t c) { b.store(column + c, empty); });
    doffset[0] = doffset[1] = *dmask = 0;
    return;
  }
  vec<A> dot[4];
  if (tap.whole()) {
    unsample_corners<Scatter, true>(tap, x, width, channels, column, dx, dot);
  } else {
    unsample_edge<Scatter>(tap, x, width, channels, column, dx, dot);
  }
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
