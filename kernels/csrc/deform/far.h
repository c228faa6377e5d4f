// Gradients that fall far from the pixel they come from.
//
// Bands work on dx at the same time only because each keeps to a window of rows. Taps whose
// offsets reach beyond the window are left out there, and added here: rare, so simple.
#pragma once

#include "deform/tap.h"

namespace s3n {
namespace S3N_ISA {

constexpr int64_t kFarChannels = 16;

struct Window {
  int64_t low, high;
  int64_t rows() const { return high - low; }
};

S3N_INLINE Window band_window(const DeformShape& s, int64_t band) {
  const int64_t first = band * kDeformBandRows, last = first + kDeformBandRows;
  // The last window of its parity ends with the image.
  const bool end = last + kDeformBandRows >= s.height;
  return {larger(first - kDeformReach, 0), end ? s.height : last + kDeformReach};
}

template <class A>
S3N_INLINE bool is_near(const Tap<A>& tap, int64_t low, int64_t high) {
  return tap.outside() || (tap.y.index[0] >= low && tap.y.index[1] < high);
}

// Adds to channels [slice * kFarChannels, ...) of dx what the band's far taps send there.
template <class T, class A>
S3N_NOINLINE void add_far(const DeformShape& s, int64_t band, int64_t slice, const A* offset,
                          const A* mask, const A* w, const T* dy, A* dx) {
  constexpr int L = kLanes<A>;
  const Window window = band_window(s, band);
  const int64_t O = s.outputs, last = smaller((band + 1) * kDeformBandRows, s.height);
  const int64_t begin = slice * kFarChannels, end = smaller(begin + kFarChannels, s.inputs);
  for (int64_t row = band * kDeformBandRows; row < last; ++row)
    for (int64_t column = 0; column < s.width; ++column)
      for (int64_t t = 0; t < s.taps(); ++t) {
        const int64_t p = row * s.width + column, q = p * s.taps() + t;
        const Tap<A> tap = make_tap(s, row, column, t / s.kernel_width, t % s.kernel_width,
                                    offset + 2 * q, mask[q]);
        if (is_near(tap, window.low, window.high)) continue;
        for (int64_t c = begin; c < end; ++c) {
          const A* const weights = w + (t * s.inputs + c) * O;
          vec<A> sums = {};
          int64_t o = 0;
          for (; o + L <= O; o += L) sums += load(weights + o) * load(dy + p * O + o);
          A g = sum_lanes<A>(sums);
          for (; o < O; ++o) g += weights[o] * widen(dy[p * O + o]);
          for (int k = 0; k < 4; ++k)
            dx[tap.pixel(k, s.width) * s.inputs + c] += g * (tap.weight(k) * tap.mask);
        }
      }
}

}  // namespace S3N_ISA
}  // namespace s3n
