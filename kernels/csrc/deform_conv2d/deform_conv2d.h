// Modulated deformable convolution, stride 1, zero "same" padding: arguments and tables.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h"
#include "core/types.h"

namespace s3n {

struct DeformShape {
  int64_t groups, images, height, width, inputs, outputs;  // images: of each group
  int64_t kernel_height, kernel_width;
  int64_t taps() const { return kernel_height * kernel_width; }
  int64_t columns() const { return taps() * inputs; }
};

// y[p, o] = b[o] + sum_t mask[p, t] sum_c v[p, t, c] w[t, c, o], v = x sampled at tap t.
// x and y have the storage type, the other arrays its accumulator type. `packed` is working memory
// for one packed (columns, outputs) matrix per group.
struct DeformForward {
  DeformShape shape;
  Batched x, offset, mask, w, b, y, packed;
};

// All gradients of the above. x and dy have the storage type. `packed` is working memory for a
// packed (outputs, columns) matrix per group, `partials` for (columns + 1) * outputs sums per band
// of each image.
struct DeformBackward {
  DeformShape shape;
  Batched x, offset, mask, w, dy, dx, doffset, dmask, dw, db, packed, partials;
};

// Rows are divided into bands. While a band is processed, it owns dx from kDeformReach rows above
// it to as many below it. Since the reach is half a band, all even bands can run at once, and then
// all odd ones. Gradients beyond the window are added afterwards.
// Not tuned: bands of 16 rows make 16 tasks of 256 rows.
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
