// y = activation(x w + b) + residual over rows, and its gradients: arguments and tables.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h"
#include "core/types.h"

namespace s3n {

struct LinearShape {
  int64_t groups, rows, inputs, outputs;  // rows of each group
  bool gelu, residual, slope;             // which of the optional parts there are
};

// x (rows, inputs), residual and y (rows, outputs) are of the storage type; w (inputs, outputs),
// b (outputs) of its accumulator. `slope` (rows, outputs), of the storage type, receives the
// derivative of the activation. `packed`: working memory for a packed (inputs, outputs) matrix.
struct LinearForward {
  LinearShape shape;
  Batched x, w, b, residual, y, slope, packed;
};

// dx, dw and db of x w + b, given slope and dy. `residual` (rows, inputs), of the storage type, is
// added to dx: what else x served gave back. `packed`: for a packed (outputs, inputs) matrix.
// `partials`: for each block of rows, (inputs + 1) * outputs sums.
struct LinearBackward {
  LinearShape shape;
  Batched x, w, slope, dy, residual, dx, dw, db, packed, partials;
};

constexpr int64_t kLinearBlockRows = 2048;
inline int64_t linear_blocks(int64_t rows) {
  return (rows + kLinearBlockRows - 1) / kLinearBlockRows;
}

struct LinearKernels {
  void (*forward)(DType, const LinearForward&, Executor&);
  void (*backward)(DType, const LinearBackward&, Executor&);
};

S3N_DECLARE_TABLE(LinearKernels, linear_kernels)

}  // namespace s3n
