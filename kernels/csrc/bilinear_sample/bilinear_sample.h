// Bilinear sampling of images at given coordinates: arguments and tables.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "core/parallel.h"
#include "core/types.h"

namespace s3n {

struct SamplingShape {
  int64_t groups, images, height, width, channels;  // images: of each group
  int64_t out_height, out_width;
  bool edge;  // whether coordinates are clamped to the image; otherwise it is zero outside
};

// y[n, p, c] = x[n] at coords[n, p] = (y, x) in pixels. x and y have the storage type, coords its
// accumulator type.
struct SamplingForward {
  SamplingShape shape;
  Batched x, coords, y;
};

// dx[n] = sum over p of dy[n, p] at coords[n, p], in the accumulator type.
struct SamplingInputGradient {
  SamplingShape shape;
  Batched coords, dy, dx;
};

struct SamplingCoordsGradient {
  SamplingShape shape;
  Batched x, coords, dy, dcoords;
};

struct SamplingKernels {
  void (*forward)(DType, const SamplingForward&, Executor&);
  void (*input_gradient)(DType, const SamplingInputGradient&, Executor&);
  void (*coords_gradient)(DType, const SamplingCoordsGradient&, Executor&);
};

S3N_DECLARE_TABLE(SamplingKernels, sampling_kernels)

}  // namespace s3n
