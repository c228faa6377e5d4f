// One row of a depthwise convolution: the part that determines its speed.
//
// A register holds one block of channels of one pixel. P neighbouring output pixels are
// accumulated together, so that every input vector, loaded once, serves up to kw of them.
#pragma once

#include "depthwise_conv2d/rows.h"

namespace s3n {
namespace S3N_ISA {

// Adds the contribution of the skipped kernel rows above and below the image: zeros times their
// weights, which is 0, or NaN for a weight that is not finite, as at the left and right borders.
template <class T, bool Full>
S3N_NOINLINE vec<accumulator<T>> zeros_times_skipped(const DepthwiseRow<T>& r, int64_t kw,
                                                     Block<Full> block, int64_t channel) {
  vec<accumulator<T>> sum = {};
  for (int64_t i = 0; i < r.kh; ++i) {
    if (i >= r.first_tap_row() && i < r.last_tap_row()) continue;
    for (int64_t j = 0; j < kw; ++j) {
      const auto w = block.load(r.w + (i * kw + j) * r.channels + channel);
      sum += w - w;
    }
  }
  return sum;
}

// Computes output pixels [at, at + P) of the tile for one block of channels. D is the dilation and
// K the kernel's width; 0 means any.
template <class T, int K, int D, int P, bool Full>
S3N_INLINE void depthwise_pixels(const DepthwiseRow<T>& r, Block<Full> block, int64_t at,
                                 int64_t channel) {
  using A = accumulator<T>;
  constexpr int64_t L = kLanes<A>;
  const int64_t kw = K ? K : r.kw, dilation = D ? D : r.dilation;
  const int64_t C = r.channels, last = r.last_tap_row();
  vec<A> sum[P];
  const vec<A> bias = r.bias ? block.load(r.bias + channel) : vec<A>{};
  const vec<A> start = r.skips() ? bias + zeros_times_skipped(r, kw, block, channel) : bias;
  T* const y = r.y + at * r.y_stride + channel;
  S3N_UNROLL
  for (int p = 0; p < P; ++p) {
    sum[p] = start;
    if (r.accumulate) sum[p] += block.load(y + p * r.y_stride);
  }
  int64_t i = r.first_tap_row();
  int64_t slot = r.x.slot(r.source(i));
  for (; i < last; ++i) {
    const A* const x = opaque(r.x.at(slot, channel) + (at - kw / 2 * dilation) * L);
    const A* w = r.w + i * kw * C + channel;
    if constexpr (K > 0 && D > 0) {
      vec<A> tap[K];
      S3N_UNROLL
      for (int j = 0; j < K; ++j) tap[j] = block.load(w + j * C);
      S3N_UNROLL
      for (int q = 0; q < P + (K - 1) * D; ++q) {
        const vec<A> value = load(x + q * L);
        S3N_UNROLL
        for (int j = 0; j < K; ++j) {
          const int p = q - j * D;
          if (p >= 0 && p < P) sum[p] += value * tap[j];
        }
      }
    } else {
      for (int64_t j = 0; j < kw; ++j) {
        const vec<A> tap = block.load(w + j * C);
        S3N_UNROLL
        for (int p = 0; p < P; ++p) sum[p] += load(x + (j * dilation + p) * L) * tap;
      }
    }
    slot += dilation;
    while (slot >= r.x.slots()) slot -= r.x.slots();
  }
  // If a register is half a line, another block of channels writes the other half: do not stream.
  if (kBytes == 64 && Full && r.streaming) {
    S3N_UNROLL
    for (int p = 0; p < P; ++p) stream(y + p * r.y_stride, sum[p]);
    return;
  }
  S3N_UNROLL
  for (int p = 0; p < P; ++p) block.store(y + p * r.y_stride, sum[p]);
}

// Computes all pixels of the tile for one block of channels.
template <class T, int K, int D, bool Full>
S3N_NOINLINE void depthwise_block(const DepthwiseRow<T>& r, Block<Full> block, int64_t channel) {
  // The accumulators, a kernel row and one input vector must fit in the registers.
  constexpr int P = kRegisters == 32 ? 16 : 8;
  int64_t at = 0;
  for (; at + P <= r.columns; at += P) depthwise_pixels<T, K, D, P>(r, block, at, channel);
  for (; at + 4 <= r.columns; at += 4) depthwise_pixels<T, 0, 0, 4>(r, block, at, channel);
  for (; at < r.columns; ++at) depthwise_pixels<T, 0, 0, 1>(r, block, at, channel);
}

template <class T, int K, int D>
static void depthwise_row(const DepthwiseRow<T>& r) {
  constexpr int L = kLanes<accumulator<T>>;
  int64_t c = 0;
  for (; c + L <= r.channels; c += L) depthwise_block<T, K, D>(r, Block<true>{L}, c);
  // A last, partial block uses the general code, to save a specialised copy.
  if (c < r.channels) depthwise_block<T, 0, 0>(r, Block<false>{int(r.channels - c)}, c);
}

}  // namespace S3N_ISA
}  // namespace s3n
