// Rows of depthwise convolutions, forward and weight gradient: what they take. The rows are what
// decides the speed; row.h and weight_gradient.h hold them, compiled once in rows_kernels.cc.
#pragma once

#include "core/vec.h"

namespace s3n {
namespace S3N_ISA {

// Which row of which image, and the kernel.
struct DepthwiseGeometry {
  int64_t height, width, channels;
  int64_t kh, kw, dilation;
  int64_t begin, end;  // columns of the output to work on
  int64_t row;         // of the output

  DepthwiseGeometry(int64_t height, int64_t width, int64_t channels, int64_t kh, int64_t kw,
                    int64_t dilation)
      : height(height), width(width), channels(channels), kh(kh), kw(kw), dilation(dilation),
        begin(0), end(width), row(0) {}

  // The kernel rows that lie inside the image: first, and one beyond the last.
  int64_t first_tap_row() const { return taps_beyond(row); }
  int64_t last_tap_row() const { return kh - taps_beyond(height - 1 - row); }

 private:
  static int64_t positive(int64_t n) { return n > 0 ? n : 0; }
  int64_t taps_beyond(int64_t room) const { return positive(kh / 2 - room / dilation); }
};

// y = b + sum over the taps of x w.
template <class T>
struct DepthwiseRow : DepthwiseGeometry {
  using A = accumulator<T>;
  explicit DepthwiseRow(const DepthwiseGeometry& geometry)
      : DepthwiseGeometry(geometry), x_stride(channels), y_stride(channels) {}
  const T* x = nullptr;     // the input image
  int64_t x_stride;         // elements from an input pixel to the next
  const A* w = nullptr;     // (kh, kw, channels)
  const A* bias = nullptr;  // (channels), or none
  T* y = nullptr;           // the output row's first pixel
  int64_t y_stride;         // elements from an output pixel to the next
  bool accumulate = false;  // add to y instead of overwriting it
  bool streaming = false;   // y is too large for the caches; see stream()
};

// dw += sum over the row of dy x, db += sum over the row of dy.
template <class T>
struct DepthwiseGradientRow : DepthwiseGeometry {
  using A = accumulator<T>;
  explicit DepthwiseGradientRow(const DepthwiseGeometry& geometry)
      : DepthwiseGeometry(geometry), dy_stride(channels) {}
  const T* x = nullptr;   // the input image, pixels `channels` elements apart
  const T* dy = nullptr;  // the row of dy: its first pixel
  int64_t dy_stride;      // elements from a pixel of dy to the next
  A* dw = nullptr;        // (kh, kw, channels)
  A* db = nullptr;        // (channels)

  const T* input_row(int64_t i) const {
    return x + (row + (i - kh / 2) * dilation) * width * channels;
  }
};

template <class T>
using DepthwiseRowFunction = void (*)(const DepthwiseRow<T>&);
template <class T>
using DepthwiseGradientFunction = void (*)(const DepthwiseGradientRow<T>&);

// The functions for a kernel width and dilation: unrolled for the usual ones. For float, double
// and bf16.
template <class T>
DepthwiseRowFunction<T> depthwise_row_function(int64_t kw, int64_t dilation);
template <class T>
DepthwiseGradientFunction<T> depthwise_gradient_function(int64_t kw, int64_t dilation);

}  // namespace S3N_ISA
}  // namespace s3n
