// Batch normalisation with the statistics of the batch itself: arguments and tables.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h"
#include "core/types.h"

namespace s3n {

struct NormShape {
  int64_t groups, rows, channels;  // rows: of each group
  double epsilon;
};

// y = (x - mean) rstd scale + bias, with mean and rstd = 1 / sqrt(variance + epsilon) of every
// channel over the rows. x and y have the storage type, the other arrays its accumulator type.
// `partials` holds, for each block of rows, 3 channels of sums forward and 2 backward.
struct NormForward {
  NormShape shape;
  Batched x, scale, bias, y, mean, rstd, partials;
};

struct NormBackward {
  NormShape shape;
  Batched x, scale, mean, rstd, dy, dx, dscale, dbias, partials;
};

// Rows of one task: halved from 4096, so that threads wait less for the last task.
constexpr int64_t kNormBlockRows = 2048;
inline int64_t norm_blocks(int64_t rows) { return (rows + kNormBlockRows - 1) / kNormBlockRows; }

struct NormKernels {
  void (*forward)(DType, const NormForward&, Executor&);
  void (*backward)(DType, const NormBackward&, Executor&);
};

S3N_DECLARE_TABLE(NormKernels, norm_kernels)

}  // namespace s3n
