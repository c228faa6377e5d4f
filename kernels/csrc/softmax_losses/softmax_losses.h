// Cross entropy and soft spatial consistency of a softmax map: arguments and tables.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h"
#include "core/types.h"

namespace s3n {

struct LossesShape {
  int64_t groups, images, height, width, classes;  // images: of each group
  bool labelled, weighted, spatial;                // whether labels, weights, edges are given
};

// sums = (cross entropy, spatial consistency), each summed over the pixels. logits have the storage
// type; weight, sums and partials (2 for each band of each image) its accumulator type.
// `own`: the int32 labels used: those given, or each pixel's first largest logit.
struct LossesForward {
  LossesShape shape;
  Batched logits, labels, weight, sums, own, partials;
};

// dlogits, given the gradients `scale` of both sums.
struct LossesBackward {
  LossesShape shape;
  Batched logits, labels, weight, scale, dlogits;
};

// Rows of one task. Not tuned: 8 tasks for 256 rows.
constexpr int64_t kLossesBandRows = 32;
inline int64_t losses_bands(int64_t height) {
  return (height + kLossesBandRows - 1) / kLossesBandRows;
}

struct LossesKernels {
  void (*forward)(DType, const LossesForward&, Executor&);
  void (*backward)(DType, const LossesBackward&, Executor&);
};

S3N_DECLARE_TABLE(LossesKernels, losses_kernels)

}  // namespace s3n
