// y = activation(x w + b) + residual over rows, and its gradients: arguments and tables.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h"
#include "core/types.h"

namespace s3n {

struct LinearShape {
  int64_t groups, rows, inputs, outputs;  // rows: of each group
  bool gelu, residual, slope;             // whether each of the optional parts is present
};

// x (rows, inputs), residual and y (rows, outputs) have the storage type; w (inputs, outputs) and
// b (outputs) its accumulator type. `slope` (rows, outputs), of the storage type, receives the
// derivative of the activation. `packed` is working memory for a packed (inputs, outputs) matrix.
struct LinearForward {
  LinearShape shape;
  Batched x, w, b, residual, y, slope, packed;
};

// dx, dw and db of x w + b, given slope and dy. `residual` (rows, inputs), of the storage type, is
// added to dx: the gradient from other readers of x. `packed` is for a packed (outputs, inputs)
// matrix, `partials` for (inputs + 1) * outputs sums per block of rows.
struct LinearBackward {
  LinearShape shape;
  Batched x, w, slope, dy, residual, dx, dw, db, packed, partials;
};

// Rows of one task: halved from 4096, so that threads wait less for the last task.
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
