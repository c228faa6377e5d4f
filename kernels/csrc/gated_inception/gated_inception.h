// Gated inception, y = x * (concat_r(DW_r(DW_local(x))) w2 + b2) + residual: arguments, tables.
#pragma once

#include <cstdint>

#include "inception_depthwise/inception_depthwise.h"

namespace s3n {

struct GatedShape {
  InceptionShape inception;  // the branches, which read the local convolution's result
  int64_t local_height, local_width;
  bool residual, save;  // whether there is a residual; whether the backward pass needs t and m

  int64_t mixed() const { return inception.branches * inception.channels; }
};

// t = DW_local(x) and m = concat_r(DW_r(t)) w2 + b2. x, residual, y, t and m have the storage type,
// parameters its accumulator type. t is always written, m only if `save`. `packed` is working
// memory for a packed (mixed, channels) matrix.
struct GatedForward {
  GatedShape shape;
  Batched x, local_w, local_b, w, b, w2, b2, residual, y, t, m, packed;
};

// Rotated kernels as in depthwise_conv2d.h and inception_depthwise.h. `dt` and `branches` are
// working memory for the gradients of t and of each branch, (images, branches, height, width,
// channels). `packed` is for `branches` packed (channels, channels) matrices. For each part of each
// image, `partials` holds the sums of dlocal_w and dlocal_b, of dw, and of dw2 and db2, in this
// order; db follows from db2 and w2.
struct GatedBackward {
  GatedShape shape;
  Batched x, t, m, local_turned, w, turned, b, w2, dy;
  Batched dx, dlocal_w, dlocal_b, dw, db, dw2, db2;
  Batched dt, branches, packed, partials;
};

// Size of a part's partial sums, in multiples of the number of channels.
inline int64_t gated_local_sums(const GatedShape& s) {
  return s.local_height * s.local_width + 1;
}
inline int64_t gated_branch_sums(const GatedShape& s) { return s.inception.taps(); }
inline int64_t gated_sums(const GatedShape& s) {
  return gated_local_sums(s) + gated_branch_sums(s) + s.mixed() + 1;
}

struct GatedKernels {
  void (*forward)(DType, const GatedForward&, Executor&);
  void (*backward)(DType, const GatedBackward&, Executor&);
};

S3N_DECLARE_TABLE(GatedKernels, gated_kernels)

}  // namespace s3n
