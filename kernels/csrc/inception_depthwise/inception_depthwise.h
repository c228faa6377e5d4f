// Several depthwise convolutions of one input, side by side: arguments and tables.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h"
#include "core/types.h"

namespace s3n {

constexpr int64_t kMaxBranches = 8;  // bounds arrays of fixed size; the presets have three branches

struct InceptionShape {
  int64_t groups, images, height, width, channels;  // images: of each group
  int64_t branches;
  struct Branch {
    int64_t kernel_height, kernel_width, dilation;
    int64_t taps() const { return kernel_height * kernel_width; }
  } branch[kMaxBranches];

  // Taps of the branches before `r`, which is where the branch's kernel starts.
  int64_t first_tap(int64_t r) const {
    int64_t sum = 0;
    for (int64_t k = 0; k < r; ++k) sum += branch[k].taps();
    return sum;
  }
  int64_t taps() const { return first_tap(branches); }
};

// y[..., r C + c] = branch r of x. The kernels of all branches are concatenated in w (taps, C), the
// biases in b (branches, C).
struct InceptionForward {
  InceptionShape shape;
  Batched x, w, b, y;
};

// `turned`: the kernels, each rotated by 180 degrees. `partials`: for each image,
// inception_parts(height, width) times (taps + branches) C sums.
struct InceptionBackward {
  InceptionShape shape;
  Batched x, turned, dy, dx, dw, db, partials;
};

// An image is divided into parts of this many rows and columns, one task each. Bands of 32 whole
// rows made only 8 tasks of a 256-row image, too few for a machine with more cores. The first rows
// of a part must wait for the rows above them, which costs time; dividing by columns costs nothing.
// The columns are a multiple of the tile of every instruction set.
constexpr int64_t kInceptionPartRows = 32, kInceptionPartColumns = 192;
inline int64_t inception_bands(int64_t height) {
  return (height + kInceptionPartRows - 1) / kInceptionPartRows;
}
inline int64_t inception_parts(int64_t height, int64_t width) {
  return inception_bands(height) * ((width + kInceptionPartColumns - 1) / kInceptionPartColumns);
}

struct InceptionKernels {
  void (*forward)(DType, const InceptionForward&, Executor&);
  void (*backward)(DType, const InceptionBackward&, Executor&);
};

S3N_DECLARE_TABLE(InceptionKernels, inception_kernels)

}  // namespace s3n
