// Bilinear interpolation between the four pixels around a coordinate.
//
// A NaN or infinite pixel reaches exactly the samples that include it: those whose coordinate is
// less than one pixel away, or exactly one pixel below it (with weight 0). Positions outside the
// image contribute nothing. A NaN coordinate gives NaN.
#pragma once

#include <type_traits>

#include "core/blocks.h"
#include "bilinear_sample/axis.h"

namespace s3n {
namespace S3N_ISA {

// Corner k is row k / 2, column k % 2 of the four pixels.
template <class A>
struct Corners {
  AxisSample<A> y, x;
  int64_t pixel(int k, int64_t width) const { return y.index[k >> 1] * width + x.index[k & 1]; }
  A weight(int k) const { return y.weight[k >> 1] * x.weight[k & 1]; }
  bool counts(int k) const { return y.counts[k >> 1] && x.counts[k & 1]; }
  bool whole() const { return y.counts[0] && y.counts[1] && x.counts[0] && x.counts[1]; }
  bool outside() const { return y.outside() || x.outside(); }
  // The sample if no pixel counts: 0, or NaN if a coordinate or the scale is not finite.
  A empty(A scale) const {
    const A by_y = y.weight[0] + y.weight[1], by_x = x.weight[0] + x.weight[1];
    return (by_y - by_y) + (by_x - by_x) + (scale - scale);
  }
};

// The addresses of the four pixels in an array of `channels` numbers a pixel. `Whole`: all four
// count, which is by far the most frequent case and needs no checks. Otherwise, pixels that do not
// count read as zero through a bit mask. A branch would let the compiler contract products and
// sums in another order, and the bits of a sum must not depend on where the image ends.
template <bool Whole, class T, class A>
struct CornerRows {
  using Bits = vec<std::conditional_t<sizeof(A) == 4, uint32_t, uint64_t>>;
  const T* row[4];
  bool counts[4];
  Bits keep[4];
  S3N_ALWAYS_INLINE CornerRows(const Corners<A>& corners, const T* x, int64_t width,
                               int64_t channels) {
    S3N_UNROLL
    for (int k = 0; k < 4; ++k) {
      row[k] = x + corners.pixel(k, width) * channels;
      counts[k] = Whole || corners.counts(k);
      keep[k] = Bits{} - (counts[k] ? 1 : 0);
    }
  }
  template <class B>
  S3N_ALWAYS_INLINE vec<A> load(B block, int k, int64_t channel) const {
    const vec<A> value = block.load(row[k] + channel);
    if constexpr (Whole) return value;
    return (vec<A>)((Bits)value & keep[k]);
  }
};

template <bool Whole, class T, class A, class Out>
S3N_INLINE void interpolate_corners(const Corners<A>& corners, A scale, const T* x, int64_t width,
                                    int64_t channels, Out* out) {
  const CornerRows<Whole, T, A> rows(corners, x, width, channels);
  vec<A> weight[4];
  for (int k = 0; k < 4; ++k) weight[k] = broadcast(corners.weight(k) * scale);
  for_each_block<A>(channels, [&](auto b, int64_t c) {
    vec<A> v = rows.load(b, 0, c) * weight[0];
    for (int k = 1; k < 4; ++k) v += rows.load(b, k, c) * weight[k];
    b.store(out + c, v);
  });
}

// out[c] = the sum over the corners of weight times scale times the pixel.
template <class T, class A, class Out>
S3N_INLINE void interpolate(const Corners<A>& corners, A scale, const T* x, int64_t width,
                            int64_t channels, Out* out) {
  if (corners.whole()) {
    interpolate_corners<true>(corners, scale, x, width, channels, out);
  } else if (!corners.outside()) {
    interpolate_corners<false>(corners, scale, x, width, channels, out);
  } else {
    const vec<A> empty = broadcast(corners.empty(scale));
    for_each_block<A>(channels, [&](auto b, int64_t c) { b.store(out + c, empty); });
  }
}

}  // namespace S3N_ISA
}  // namespace s3n
