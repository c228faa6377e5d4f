// Batch normalisation with the statistics of the batch itself: arguments and tables.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h"
#include "core/types.h"

namespace s3n {

struct NormShape {
  int64_t groups, rows, channels;  // rows of each group
  double epsilon;
};

// y = (x - mean) rstd scale + bias, with mean and rstd = 1 / sqrt(variance + epsilon) of every
// channel over the rows. x and y are of the storage type, all else of its accumulator.
// `partials`: for each block of rows, 3 channels of sums forward, 2 backward.
struct NormForward {
  NormShape shape;
  Batched x, scale, bias, y, mean, rstd, partials;
};

struct NormBackward {
  NormShape shape;
  Batched x, scale, mean, rstd, dy, dx, dscale, dbias, partials;
};

constexpr int64_t kNormBlockRows = 2048;
inline int64_t norm_blocks(int64_t rows) { return (rows + kNormBlockRows - 1) / kNormBlockRows; }

struct NormKernels {
  void (*forward)(DType, const NormForward&, Executor&);
  void (*backward)(DType, const NormBackward&, Executor&);
};

S3N_DECLARE_TABLE(NormKernels, norm_kernels)

}  // namespace s3n
