// Gradients that are far from the pixel they come from.
//
// Bands can add to dx in parallel only because each stays in a window of rows. Taps whose offsets
// reach beyond the window are recorded and added here, after all bands are done.
#pragma once

#include "core/scratch.h"
#include "deform_conv2d/tap.h"

namespace s3n {
namespace S3N_ISA {

// Channels are divided into slices, and several taps are processed at once: enough to hide the
// latency of their sums while using half of the registers.
constexpr int64_t kFarChannels = 16;
template <class A>
constexpr int kFarVectors = int(kFarChannels) / kLanes<A>;
template <class A>
constexpr int kFarTogether = kRegisters / 2 / kFarVectors<A> < 8 ? kRegisters / 2 / kFarVectors<A>
                                                                 : 8;

struct Window {
  int64_t low, high;
  int64_t rows() const { return high - low; }
};

S3N_INLINE Window band_window(const DeformShape& s, int64_t band) {
  const int64_t first = band * kDeformBandRows, last = first + kDeformBandRows;
  // The last window of its parity extends to the end of the image.
  const bool end = last + kDeformBandRows >= s.height;
  return {larger(first - kDeformReach, 0), end ? s.height : last + kDeformReach};
}

template <class A>
S3N_INLINE bool is_near(const Tap<A>& tap, const Window& window) {
  return tap.outside() || (tap.y.index[0] >= window.low && tap.y.index[1] < window.high);
}

// The far taps of a band: one bit for each tap, counted from the band's first pixel.
class FarTaps {
 public:
  static int64_t words(const DeformShape& s) {
    return ceil_div(kDeformBandRows * s.width * s.taps(), 64);
  }
  explicit FarTaps(uint64_t* bits) : bits_(bits) {}
  void add(int64_t tap) { bits_[tap / 64] |= uint64_t{1} << tap % 64; }
  // Calls f(tap) for each far tap.
  template <class F>
  void for_each(int64_t words, F&& f) const {
    for (int64_t i = 0; i < words; ++i)
      for (uint64_t left = bits_[i]; left != 0; left &= left - 1)
        f(i * 64 + __builtin_ctzll(left));
  }

 private:
  uint64_t* bits_;
};

// Adds the contributions of an image's far taps to one slice of the channels of dx.
template <class T>
class FarGradients {
 public:
  using A = accumulator<T>;
  FarGradients(const DeformShape& s, int64_t slice, const A* offset, const A* mask, const A* w,
               const T* dy, A* dx, int slot)
      : s_(s), begin_(slice * kFarChannels), count_(smaller(kFarChannels, s.inputs - begin_)),
        offset_(offset), mask_(mask), dy_(dy), dx_(dx) {
    // A slice's weights: the channels of a tap and output are contiguous, and zero beyond the last.
    weights_ = static_cast<A*>(
        thread_scratch(slot, s.taps() * s.outputs * kFarChannels * sizeof(A)));
    for (int64_t t = 0; t < s.taps(); ++t)
      for (int64_t o = 0; o < s.outputs; ++o)
        for (int64_t c = 0; c < kFarChannels; ++c)
          weights_[(t * s.outputs + o) * kFarChannels + c] =
              c < count_ ? w[(t * s.inputs + begin_ + c) * s.outputs + o] : A(0);
  }

  // Adds tap q, counted over all taps of the image.
  void add(int64_t q) {
    taps_[waiting_++] = q;
    if (waiting_ == kTogether) flush();
  }

  // Processes the taps that wait for a full group.
  void flush() {
    if (waiting_ == 0) return;
    const A* weights[kTogether];
    const T* dy[kTogether];
    for (int k = 0; k < kTogether; ++k) {
      const int64_t q = taps_[k < waiting_ ? k : 0], p = q / s_.taps();
      weights[k] = weights_ + q % s_.taps() * s_.outputs * kFarChannels;
      dy[k] = dy_ + p * s_.outputs;
    }
    vec<A> sum[kTogether][V] = {};
    for (int64_t o = 0; o < s_.outputs; ++o) {
      S3N_UNROLL
      for (int k = 0; k < kTogether; ++k) {
        const vec<A> g = broadcast(A(widen(dy[k][o])));
        S3N_UNROLL
        for (int v = 0; v < V; ++v) sum[k][v] += g * load(weights[k] + o * kFarChannels + v * L);
      }
    }
    for (int k = 0; k < waiting_; ++k) {
      alignas(kBytes) A g[kFarChannels];
      for (int v = 0; v < V; ++v) store(g + v * L, sum[k][v]);
      scatter(taps_[k], g);
    }
    waiting_ = 0;
  }

 private:
  static constexpr int L = kLanes<A>, V = kFarVectors<A>, kTogether = kFarTogether<A>;

  void scatter(int64_t q, const A* g) {
    const int64_t p = q / s_.taps(), t = q % s_.taps();
    const Tap<A> tap = make_tap(s_, p / s_.width, p % s_.width, t / s_.kernel_width,
                                t % s_.kernel_width, offset_ + 2 * q, mask_[q]);
    for (int k = 0; k < 4; ++k) {
      if (!tap.counts(k)) continue;
      A* const to = dx_ + tap.pixel(k, s_.width) * s_.inputs + begin_;
      const vec<A> weight = broadcast(tap.weight(k) * tap.mask);
      for_each_block<A>(count_, [&](auto b, int64_t c) {
        b.store(to + c, b.load(to + c) + b.load(g + c) * weight);
      });
    }
  }

  const DeformShape& s_;
  int64_t begin_, count_;
  const A *offset_, *mask_;
  const T* dy_;
  A *dx_, *weights_;
  int64_t taps_[kTogether];
  int waiting_ = 0;
};

}  // namespace S3N_ISA
}  // namespace s3n
