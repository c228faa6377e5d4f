// One row of a depthwise convolution: the part that decides its speed.
//
// A register holds one block of channels of one pixel. P neighbouring output pixels are
// accumulated at once, so that every input vector, loaded once, serves up to kw of them.
#pragma once

#include "depthwise/rows.h"

namespace s3n {
namespace S3N_ISA {

// Output pixels [at, at + P) of one block of channels; all their taps lie inside the row.
// D is the dilation, or 0 for any; K the kernel's width, or 0 for any.
template <class T, int K, int D, int P, bool Full>
S3N_INLINE void depthwise_pixels(const DepthwiseRow<T>& r, Block<Full> block, int64_t at,
                                 int64_t channel) {
  using A = accumulator<T>;
  const int64_t kw = K ? K : r.kw, dilation = D ? D : r.dilation;
  const int64_t C = r.channels, X = r.x_stride;
  vec<A> sum[P];
  const vec<A> bias = r.bias ? block.load(r.bias + channel) : vec<A>{};
  T* const y = r.y + at * r.y_stride + channel;
  S3N_UNROLL
  for (int p = 0; p < P; ++p) {
    sum[p] = bias;
    if (r.accumulate) sum[p] += block.load(y + p * r.y_stride);
  }
  const int64_t next = r.row + r.kh / 2 * dilation + 1;
  if (next < r.height) {  // the next output row's new input row
    S3N_UNROLL
    for (int p = 0; p < P; ++p) __builtin_prefetch(r.x + (next * r.width + at + p) * X + channel);
  }
  const int64_t last = r.last_tap_row();
  for (int64_t i = r.first_tap_row(); i < last; ++i) {
    const int64_t source = r.row + (i - r.kh / 2) * dilation;
    const T* x = r.x + (source * r.width + at - kw / 2 * dilation) * X + channel;
    const A* w = r.w + i * kw * C + channel;
    if constexpr (K > 0 && D > 0) {
      vec<A> tap[K];
      S3N_UNROLL
      for (int j = 0; j < K; ++j) tap[j] = block.load(w + j * C);
      S3N_UNROLL
      for (int q = 0; q < P + (K - 1) * D; ++q) {
        const vec<A> value = block.load(x + q * X);
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
        for (int p = 0; p < P; ++p) sum[p] += block.load(x + (j * dilation + p) * X) * tap;
      }
    }
  }
  if (Full && r.streaming) {
    S3N_UNROLL
    for (int p = 0; p < P; ++p) stream(y + p * r.y_stride, sum[p]);
    return;
  }
  S3N_UNROLL
  for (int p = 0; p < P; ++p) block.store(y + p * r.y_stride, sum[p]);
}

// One output pixel near the row's ends, B blocks of channels at once.
template <class T, int B, bool Full>
S3N_INLINE void depthwise_border_pixel(const DepthwiseRow<T>& r, Block<Full> block, int64_t at,
                                       int64_t channel) {
  using A = accumulator<T>;
  constexpr int L = kLanes<A>;
  const int64_t C = r.channels, X = r.x_stride, half = r.kw / 2, d = r.dilation;
  const int64_t first = larger(0, half - at / d);
  const int64_t end = smaller(r.kw, half + 1 + (r.width - 1 - at) / d);
  T* const y = r.y + at * r.y_stride + channel;
  vec<A> sum[B];
  S3N_UNROLL
  for (int k = 0; k < B; ++k) {
    sum[k] = r.bias ? block.load(r.bias + channel + k * L) : vec<A>{};
    if (r.accumulate) sum[k] += block.load(y + k * L);
  }
  const int64_t last = r.last_tap_row();
  for (int64_t i = r.first_tap_row(); i < last; ++i) {
    const int64_t source = r.row + (i - r.kh / 2) * d;
    for (int64_t j = first; j < end; ++j) {
      const T* x = r.x + (source * r.width + at + (j - half) * d) * X + channel;
      const A* w = r.w + (i * r.kw + j) * C + channel;
      S3N_UNROLL
      for (int k = 0; k < B; ++k) sum[k] += block.load(x + k * L) * block.load(w + k * L);
    }
  }
  S3N_UNROLL
  for (int k = 0; k < B; ++k) block.store(y + k * L, sum[k]);
}

template <class T>
S3N_NOINLINE void depthwise_border(const DepthwiseRow<T>& r, int64_t begin, int64_t end) {
  constexpr int L = kLanes<accumulator<T>>;
  for (int64_t at = begin; at < end; ++at) {
    int64_t c = 0;
    for (; c + 4 * L <= r.channels; c += 4 * L)
      depthwise_border_pixel<T, 4>(r, Block<true>{L}, at, c);
    for (; c + L <= r.channels; c += L) depthwise_border_pixel<T, 1>(r, Block<true>{L}, at, c);
    if (c < r.channels)
      depthwise_border_pixel<T, 1>(r, Block<false>{int(r.channels - c)}, at, c);
  }
}

template <class T, int K, int D, int P>
S3N_NOINLINE void depthwise_group(const DepthwiseRow<T>& r, int64_t at) {
  constexpr int L = kLanes<accumulator<T>>;
  int64_t c = 0;
  for (; c + L <= r.channels; c += L) depthwise_pixels<T, K, D, P>(r, Block<true>{L}, at, c);
  // A last, partial block is not worth code of its own.
  if (c < r.channels) depthwise_pixels<T, 0, 0, P>(r, Block<false>{int(r.channels - c)}, at, c);
}

// Columns [r.begin, r.end) of the row.
template <class T, int K, int D>
static void depthwise_row(const DepthwiseRow<T>& r) {
  // The accumulators, a kernel row and one input vector must fit the registers.
  constexpr int P = kRegisters == 32 ? 16 : 8;
  const int64_t reach = r.kw / 2 * r.dilation;
  const int64_t begin = clamp(reach, r.begin, r.end);
  const int64_t end = clamp(r.width - reach, begin, r.end);
  depthwise_border(r, r.begin, begin);
  int64_t at = begin;
  for (; at + P <= end; at += P) depthwise_group<T, K, D, P>(r, at);
  for (; at + 4 <= end; at += 4) depthwise_group<T, 0, 0, 4>(r, at);
  for (; at < end; ++at) depthwise_group<T, 0, 0, 1>(r, at);
  depthwise_border(r, end, r.end);
}

}  // namespace S3N_ISA
}  // namespace s3n
