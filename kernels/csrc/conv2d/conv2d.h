// Dense convolution, stride 1, zero "same" padding, odd kernels: arguments and tables.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h"
#include "core/types.h"

namespace s3n {

struct ConvShape {
  int64_t groups, images, height, width, inputs, outputs;  // images: of each group
  int64_t kernel_height, kernel_width;
  int64_t columns() const { return kernel_height * kernel_width * inputs; }
};

// y[h, w, o] = b[o] + sum_ijc x[h + i - kh/2, w + j - kw/2, c] w[j, i, c, o]
// The kernel's columns come first, as in a tile of patches. x and y have the storage type, the
// other arrays its accumulator type. `packed` is working memory for a packed (columns, outputs)
// matrix. (dx is the convolution of dy with the kernel rotated by 180 degrees and transposed in c
// and o.)
struct ConvForward {
  ConvShape shape;
  Batched x, w, b, y, packed;
};

// dw and db. `partials`: for each band of each image, (columns + 1) * outputs sums.
struct ConvWeightGradient {
  ConvShape shape;
  Batched x, dy, dw, db, partials;
};

// Rows of one task: halved from 16, so that threads wait less for the last task.
constexpr int64_t kConvBandRows = 8;
inline int64_t conv_bands(int64_t height) { return (height + kConvBandRows - 1) / kConvBandRows; }

struct ConvKernels {
  void (*forward)(DType, const ConvForward&, Executor&);
  void (*weight_gradient)(DType, const ConvWeightGradient&, Executor&);
};

S3N_DECLARE_TABLE(ConvKernels, conv_kernels)

}  // namespace s3n
