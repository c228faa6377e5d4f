// Arguments of rows of depthwise convolutions, forward and weight gradient. row.h and
// weight_gradient.h implement them, and rows_kernels.cc compiles them once for all operators.
#pragma once

#include "core/scratch.h"
#include "depthwise_conv2d/packed.h"

namespace s3n {
namespace S3N_ISA {

// The position of an output row, and the kernel.
struct DepthwiseGeometry {
  int64_t height, channels;
  int64_t kh, kw, dilation;
  int64_t row = 0;      // output row
  int64_t columns = 0;  // number of columns from the tile's first one

  DepthwiseGeometry(int64_t height, int64_t channels, int64_t kh, int64_t kw, int64_t dilation)
      : height(height), channels(channels), kh(kh), kw(kw), dilation(dilation) {}

  // The kernel rows inside the image: the first, and one beyond the last.
  int64_t first_tap_row() const { return taps_beyond(row); }
  bool skips() const { return first_tap_row() > 0 || last_tap_row() < kh; }
  int64_t last_tap_row() const { return kh - taps_beyond(height - 1 - row); }
  // The image row under kernel row i.
  int64_t source(int64_t i) const { return row + (i - kh / 2) * dilation; }

 private:
  static int64_t positive(int64_t n) { return n > 0 ? n : 0; }
  int64_t taps_beyond(int64_t room) const { return positive(kh / 2 - room / dilation); }
};

// Returns the packed rows that a kernel reads of an image, in a slot of thread_scratch.
template <class T>
PackedRows<T> packed_rows(int64_t height, int64_t width, const DepthwiseGeometry& g, int slot) {
  const typename PackedRows<T>::Reach reach = {g.kh / 2 * g.dilation, g.kw / 2 * g.dilation};
  const size_t bytes = PackedRows<T>::size(g.channels, reach) * sizeof(accumulator<T>);
  return {height, width, g.channels, reach, g.channels,
          static_cast<accumulator<T>*>(thread_scratch(slot, bytes))};
}

// y = b + sum over the taps of x w.
template <class T>
struct DepthwiseRow : DepthwiseGeometry {
  using A = accumulator<T>;
  DepthwiseRow(const DepthwiseGeometry& geometry, const PackedRows<T>& x)
      : DepthwiseGeometry(geometry), x(x), y_stride(channels) {}
  const PackedRows<T>& x;   // the input's tile
  const A* w = nullptr;     // (kh, kw, channels)
  const A* bias = nullptr;  // (channels), or nullptr
  T* y = nullptr;           // the output row, starting at the tile's first column
  int64_t y_stride;         // elements from one output pixel to the next
  bool accumulate = false;  // whether to add to y instead of overwriting it
  bool streaming = false;   // whether y is too large for the caches; see stream()
};

// dw += sum over the row of dy x, db += sum over the row of dy.
template <class T>
struct DepthwiseGradientRow : DepthwiseGeometry {
  using A = accumulator<T>;
  DepthwiseGradientRow(const DepthwiseGeometry& geometry, const PackedRows<T>& x)
      : DepthwiseGeometry(geometry), x(x), dy_stride(channels) {}
  const PackedRows<T>& x;  // the input's tile
  const T* dy = nullptr;   // the row of dy, starting at the tile's first column
  int64_t dy_stride;       // elements from one pixel of dy to the next
  A* dw = nullptr;         // (kh, kw, channels)
  A* db = nullptr;         // (channels), or nullptr
};

template <class T>
using DepthwiseRowFunction = void (*)(const DepthwiseRow<T>&);
template <class T>
using DepthwiseGradientFunction = void (*)(const DepthwiseGradientRow<T>&);

// Returns the functions for a kernel width and dilation, unrolled for the usual ones. T is float,
// double or bf16.
template <class T>
DepthwiseRowFunction<T> depthwise_row_function(int64_t kw, int64_t dilation);
template <class T>
DepthwiseGradientFunction<T> depthwise_gradient_function(int64_t kw, int64_t dilation);

}  // namespace S3N_ISA
}  // namespace s3n
