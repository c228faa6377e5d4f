// Modulated deformable convolution, stride 1, zero "same" padding: arguments and tables.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h"
#include "core/types.h"

namespace s3n {

struct DeformShape {
  int64_t groups, images, height, width, inputs, outputs;  // images of each group
  int64_t kernel_height, kernel_width;
  int64_t taps() const { return kernel_height * kernel_width; }
  int64_t columns() const { return taps() * inputs; }
};

// y[p, o] = b[o] + sum_t mask[p, t] sum_c v[p, t, c] w[t, c, o], v = x sampled at tap t.
// x, y of the storage type; the rest of its accumulator. `packed` is working memory for one
// packed (columns, outputs) matrix a group.
struct DeformForward {
  DeformShape shape;
  Batched x, offset, mask, w, b, y, packed;
};

// All gradients of the above. x and dy are of the storage type. `packed` is working memory for a
// packed (outputs, columns) matrix a group; `partials` for (columns + 1) * outputs sums for each
// band of each image.
struct DeformBackward {
  DeformShape shape;
  Batched x, offset, mask, w, dy, dx, doffset, dmask, dw, db, packed, partials;
};

// Rows are dealt out in bands. While a band is worked on, it owns dx from kDeformReach rows
// above it to as many below it: bands of even number can work at once, and so can odd ones.
// What falls beyond is added afterwards.
constexpr int64_t kDeformBandRows = 16, kDeformReach = 8;
inline int64_t deform_bands(int64_t height) {
  return (height + kDeformBandRows - 1) / kDeformBandRows;
}

struct DeformKernels {
  void (*forward)(DType, const DeformForward&, Executor&);
  void (*backward)(DType, const DeformBackward&, Executor&);
};

S3N_DECLARE_TABLE(DeformKernels, deform_kernels)

}  // namespace s3n
