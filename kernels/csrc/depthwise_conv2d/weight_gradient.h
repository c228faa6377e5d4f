// The weight gradient of a depthwise convolution, one row of dy at a time.
//
// dw[i, j] += sum over the row of dy[w] x[w + (j - kw/2) d]. R kernel rows are summed together in
// registers, and Q pixels of dy are held there, so that every vector of x, loaded once, serves up
// to kw products.
#pragma once

#include "depthwise_conv2d/rows.h"

namespace s3n {
namespace S3N_ISA {

// Sums kernel rows [i, i + R), all columns, for one whole block of channels.
template <class T, int K, int D, int R>
S3N_INLINE void depthwise_gradient_taps(const DepthwiseGradientRow<T>& r, int64_t i,
                                        int64_t channel) {
  using A = accumulator<T>;
  constexpr int Q = kRegisters == 32 ? 8 : 4;
  constexpr int64_t L = kLanes<A>;
  const int64_t C = r.channels, end = r.columns;
  vec<A> sum[R * K] = {};
  const A* x[R];
  S3N_UNROLL
  for (int k = 0; k < R; ++k)
    x[k] = r.x.at(r.x.slot(r.source(i + k)), channel) - K / 2 * D * L;
  const T* const dy = r.dy + channel;
  int64_t at = 0;
  for (; at + Q <= end; at += Q) {
    vec<A> g[Q];
    S3N_UNROLL
    for (int q = 0; q < Q; ++q) g[q] = load(dy + (at + q) * r.dy_stride);
    S3N_UNROLL
    for (int k = 0; k < R; ++k) {
      const A* const row = opaque(x[k] + at * L);
      S3N_UNROLL
      for (int q = 0; q < Q + (K - 1) * D; ++q) {
        const vec<A> value = load(row + q * L);
        S3N_UNROLL
        for (int j = 0; j < K; ++j) {
          const int p = q - j * D;
          if (p >= 0 && p < Q) sum[k * K + j] += value * g[p];
        }
      }
    }
  }
  for (; at < end; ++at) {
    const vec<A> g = load(dy + at * r.dy_stride);
    S3N_UNROLL
    for (int k = 0; k < R; ++k) {
      S3N_UNROLL
      for (int j = 0; j < K; ++j) sum[k * K + j] += load(x[k] + (at + j * D) * L) * g;
    }
  }
  A* const dw = r.dw + i * K * C + channel;
  S3N_UNROLL
  for (int k = 0; k < R * K; ++k) store(dw + k * C, load(dw + k * C) + sum[k]);
}

// Sums the taps of any kernel, one after the other.
template <class T, bool Full>
S3N_NOINLINE void depthwise_gradient_any(const DepthwiseGradientRow<T>& r, Block<Full> block,
                                         int64_t channel) {
  using A = accumulator<T>;
  constexpr int64_t L = kLanes<A>;
  for (int64_t i = r.first_tap_row(); i < r.last_tap_row(); ++i) {
    const A* const row = r.x.at(r.x.slot(r.source(i)), channel);
    for (int64_t j = 0; j < r.kw; ++j) {
      const A* const x = row + (j - r.kw / 2) * r.dilation * L;
      const T* const dy = r.dy + channel;
      vec<A> sum = {};
      for (int64_t at = 0; at < r.columns; ++at)
        sum += load(x + at * L) * block.load(dy + at * r.dy_stride);
      A* const dw = r.dw + (i * r.kw + j) * r.channels + channel;
      block.store(dw, block.load(dw) + sum);
    }
  }
}

template <class T, int K, int D>
S3N_NOINLINE void depthwise_gradient_block(const DepthwiseGradientRow<T>& r, int64_t channel) {
  // The sums, the pixels of dy and one vector of x must fit in the registers.
  constexpr int R = kRegisters == 32 ? 21 / K : K == 3 ? 3 : K == 5 ? 2 : 1;
  const int64_t last = r.last_tap_row();
  int64_t i = r.first_tap_row();
  for (; i + R <= last; i += R) depthwise_gradient_taps<T, K, D, R>(r, i, channel);
  for (; i < last; ++i) depthwise_gradient_taps<T, K, D, 1>(r, i, channel);
}

// Adds to r.dw and, unless it is nullptr, to r.db.
template <class T, int K, int D>
static void depthwise_gradient_row(const DepthwiseGradientRow<T>& r) {
  using A = accumulator<T>;
  for_each_block<A>(r.channels, [&](auto block, int64_t channel) {
    if (r.db != nullptr) {
      vec<A> sum = block.load(r.db + channel);
      for (int64_t at = 0; at < r.columns; ++at)
        sum += block.load(r.dy + at * r.dy_stride + channel);
      block.store(r.db + channel, sum);
    }
    if constexpr (K > 0) {
      if (block.count == kLanes<A>) return depthwise_gradient_block<T, K, D>(r, channel);
    }
    depthwise_gradient_any(r, block, channel);
  });
}

}  // namespace S3N_ISA
}  // namespace s3n
