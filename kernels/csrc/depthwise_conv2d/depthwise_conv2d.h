// Depthwise convolution, stride 1, zero "same" padding, odd kernels: arguments and tables.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h"
#include "core/types.h"

namespace s3n {

struct DepthwiseShape {
  int64_t groups, images, height, width, channels;  // images: of each group
  int64_t kernel_height, kernel_width, dilation;
};

// y[h, w, c] = b[c] + sum_ij x[h + (i - kh/2) d, w + (j - kw/2) d, c] w[i, j, c]
// x, y (images, H, W, C) have the storage type; w (kh, kw, C) and b (C) its accumulator type.
struct DepthwiseForward {
  DepthwiseShape shape;
  Batched x, w, b, y;
};

// dx, dw and db of the above, given dy. `turned` is w[kh-1-i, kw-1-j, c]: dx is the convolution of
// dy with it. `partials` holds, for each image, depthwise_bands(height) times (kh kw + 1) C sums.
struct DepthwiseBackward {
  DepthwiseShape shape;
  Batched x, turned, dy, dx, dw, db, partials;
};

// Rows are divided into bands; dw is summed within each band, then over bands in order.
// Not tuned: 16 tasks for 256 rows.
constexpr int64_t kDepthwiseBandRows = 16;
inline int64_t depthwise_bands(int64_t height) {
  return (height + kDepthwiseBandRows - 1) / kDepthwiseBandRows;
}

struct DepthwiseKernels {
  void (*forward)(DType, const DepthwiseForward&, Executor&);
  void (*backward)(DType, const DepthwiseBackward&, Executor&);
};

S3N_DECLARE_TABLE(DepthwiseKernels, depthwise_kernels)

}  // namespace s3n
