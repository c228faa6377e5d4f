// The weight gradient of a depthwise convolution, one row of dy at a time.
//
// dw[i, j] += sum over the row of dy[w] x[w + (j - kw/2) d]. R kernel rows are summed at once in
// registers; Q pixels of dy are held, so that every vector of x, loaded once, serves up to kw
// products.
#pragma once

#include "depthwise/rows.h"

namespace s3n {
namespace S3N_ISA {

// Kernel rows [i, i + R), all columns, over pixels [begin, end) whose taps lie inside the row.
template <class T, int K, int D, int R>
S3N_INLINE void depthwise_gradient_taps(const DepthwiseGradientRow<T>& r, int64_t i,
                                        int64_t begin, int64_t end, int64_t channel) {
  using A = accumulator<T>;
  constexpr int Q = kRegisters == 32 ? 8 : 4;
  const int64_t C = r.channels;
  vec<A> sum[R * K] = {};
  const T* x[R];
  S3N_UNROLL
  for (int k = 0; k < R; ++k) x[k] = r.input_row(i + k) - K / 2 * D * C + channel;
  const T* const dy = r.dy + channel;
  const int64_t next = i == r.first_tap_row() ? r.row + r.kh / 2 * D + 1 : r.height;
  int64_t at = begin;
  for (; at + Q <= end; at += Q) {
    if (next < r.height) {  // the next row's new input row
      S3N_UNROLL
      for (int q = 0; q < Q; ++q)
        __builtin_prefetch(r.x + (next * r.width + at + q) * C + channel);
    }
    vec<A> g[Q];
    S3N_UNROLL
    for (int q = 0; q < Q; ++q) g[q] = load(dy + (at + q) * r.dy_stride);
    S3N_UNROLL
    for (int k = 0; k < R; ++k) {
      S3N_UNROLL
      for (int q = 0; q < Q + (K - 1) * D; ++q) {
        const vec<A> value = load(x[k] + (at + q) * C);
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
      for (int j = 0; j < K; ++j) sum[k * K + j] += load(x[k] + (at + j * D) * C) * g;
    }
  }
  A* const dw = r.dw + i * K * C + channel;
  S3N_UNROLL
  for (int k = 0; k < R * K; ++k) store(dw + k * C, load(dw + k * C) + sum[k]);
}

// One tap over pixels [begin, end), for B blocks of channels: the row's ends, and any kernel.
template <class T, int B, bool Full>
S3N_INLINE void depthwise_gradient_tap(const DepthwiseGradientRow<T>& r, Block<Full> block,
                                       int64_t i, int64_t j, int64_t begin, int64_t end,
                                       int64_t channel) {
  using A = accumulator<T>;
  constexpr int L = kLanes<A>;
  const int64_t C = r.channels, shift = (j - r.kw / 2) * r.dilation;
  begin = larger(begin, -shift);
  end = smaller(end, r.width - shift);
  vec<A> sum[B] = {};
  for (int64_t at = begin; at < end; ++at) {
    const T* x = r.input_row(i) + (at + shift) * C + channel;
    const T* dy = r.dy + at * r.dy_stride + channel;
    S3N_UNROLL
    for (int k = 0; k < B; ++k) sum[k] += block.load(x + k * L) * block.load(dy + k * L);
  }
  A* const dw = r.dw + (i * r.kw + j) * C + channel;
  S3N_UNROLL
  for (int k = 0; k < B; ++k) block.store(dw + k * L, block.load(dw + k * L) + sum[k]);
}

template <class T, int B, bool Full>
S3N_NOINLINE void depthwise_gradient_ends(const DepthwiseGradientRow<T>& r, Block<Full> block,
                                        int64_t begin, int64_t end, int64_t channel) {
  using A = accumulator<T>;
  constexpr int L = kLanes<A>;
  for (int64_t i = r.first_tap_row(); i < r.last_tap_row(); ++i) {
    for (int64_t j = 0; j < r.kw; ++j) {
      depthwise_gradient_tap<T, B>(r, block, i, j, r.begin, begin, channel);
      depthwise_gradient_tap<T, B>(r, block, i, j, larger(begin, end), r.end, channel);
    }
  }
  vec<A> sum[B] = {};
  for (int64_t at = r.begin; at < r.end; ++at) {
    S3N_UNROLL
    for (int k = 0; k < B; ++k) sum[k] += block.load(r.dy + at * r.dy_stride + channel + k * L);
  }
  A* const db = r.db + channel;
  S3N_UNROLL
  for (int k = 0; k < B; ++k) block.store(db + k * L, block.load(db + k * L) + sum[k]);
}

template <class T, int K, int D>
S3N_NOINLINE void depthwise_gradient_inside(const DepthwiseGradientRow<T>& r, int64_t begin,
                                            int64_t end, int64_t channel) {
  // Sums, pixels of dy and one vector of x must fit the registers.
  constexpr int R = kRegisters == 32 ? 21 / K : K == 3 ? 3 : K == 5 ? 2 : 1;
  const int64_t last = r.last_tap_row();
  int64_t i = r.first_tap_row();
  for (; i + R <= last; i += R)
    depthwise_gradient_taps<T, K, D, R>(r, i, begin, end, channel);
  for (; i < last; ++i) depthwise_gradient_taps<T, K, D, 1>(r, i, begin, end, channel);
}

// Columns [r.begin, r.end) of the row: adds to r.dw and r.db.
template <class T, int K, int D>
static void depthwise_gradient_row(const DepthwiseGradientRow<T>& r) {
  constexpr int L = kLanes<accumulator<T>>;
  const int64_t C = r.channels, reach = r.kw / 2 * r.dilation, whole = C / L * L;
  const int64_t begin = clamp(reach, r.begin, r.end);
  const int64_t end = clamp(r.width - reach, begin, r.end);
  const int64_t inside = K ? begin : r.end;
  // Without code for this kernel, or in a last partial block, every pixel is near an end.
  int64_t c = 0;
  for (; c + 4 * L <= C; c += 4 * L)
    depthwise_gradient_ends<T, 4>(r, Block<true>{L}, inside, end, c);
  for (; c + L <= C; c += L)
    depthwise_gradient_ends<T, 1>(r, Block<true>{L}, inside, end, c);
  if (c < C) depthwise_gradient_ends<T, 1>(r, Block<false>{int(C - c)}, r.end, r.end, c);
  if constexpr (K > 0)
    for (c = 0; c < whole; c += L) depthwise_gradient_inside<T, K, D>(r, begin, end, c);
}

}  // namespace S3N_ISA
}  // namespace s3n
