// Inception of depthwise convolutions over tiles of parts of images, for one instruction set.
#include "core/sum.h"
#include "inception_depthwise/inception_depthwise.h"
#include "inception_depthwise/rows.h"

namespace s3n {
namespace S3N_ISA {
namespace {

constexpr int kInputSlot = 0, kGradientSlot = 1;

template <class T>
void forward(const InceptionForward& a, Executor& executor) {
  using A = accumulator<T>;
  const InceptionShape& s = a.shape;
  const InceptionBranches<T> branches(s);
  const int64_t C = s.channels, line = s.width * C;
  const int64_t bytes = s.groups * s.images * s.height * line * s.branches * sizeof(T);
  for_each_part(s, executor, [&](const InceptionPart& part) {
    const int64_t g = part.group, n = part.image;
    T* const y = a.y.group<T>(g) + n * s.height * line * s.branches;
    const bool streaming = streamable(y, C * sizeof(T), bytes);
    InceptionTile<T> tile(branches, kInputSlot);
    for_each_tile(part.columns, [&](Columns columns) {
      tile.start(a.x.group<T>(g) + n * s.height * line, columns, part.begin);
      for (int64_t row = part.begin; row < part.end; ++row) {
        tile.advance(row);
        tile.forward(a.w.group<A>(g), a.b.group<A>(g), row,
                     y + (row * line + columns.begin * C) * s.branches, streaming);
      }
    });
  });
}

template <class T>
void backward(const InceptionBackward& a, Executor& executor) {
  using A = accumulator<T>;
  const InceptionShape& s = a.shape;
  const InceptionBranches<T> branches(s);
  const int64_t C = s.channels, line = s.width * C, parts = inception_parts(s.height, s.width);
  const int64_t size = (s.taps() + s.branches) * C;  // size of a part's sums
  const BranchLayout layout = {C, s.branches * C};
  const int64_t bytes = s.groups * s.images * s.height * line * sizeof(T);
  for_each_part(s, executor, [&](const InceptionPart& part) {
    const int64_t g = part.group, n = part.image;
    const T* const dy = a.dy.group<T>(g) + n * s.height * line * s.branches;
    T* const dx = a.dx.group<T>(g) + n * s.height * line;
    A* const sums = a.partials.group<A>(g) + (n * parts + part.index) * size;
    const bool streaming = streamable(dx, C * sizeof(T), bytes);
    fill_zero(sums, size);
    InceptionTile<T> input(branches, kInputSlot);
    InceptionGradientTile<T> gradient(branches, layout, kGradientSlot);
    for_each_tile(part.columns, [&](Columns columns) {
      input.start(a.x.group<T>(g) + n * s.height * line, columns, part.begin);
      gradient.start(dy, columns, part.begin);
      for (int64_t row = part.begin; row < part.end; ++row) {
        const int64_t first = row * line + columns.begin * C;
        input.advance(row);
        gradient.advance(row);
        gradient.input_gradient(a.turned.group<A>(g), row, dx + first, streaming);
        input.weight_gradient(dy + first * s.branches, layout, row, sums, true);
      }
    });
  });
  parallel_for(executor, s.groups, [&](int64_t g) {
    const A* const sums = a.partials.group<A>(g);
    const int64_t weights = s.taps() * C;
    sum_parts(sums, s.images * parts, size, 0, weights, a.dw.group<A>(g));
    sum_parts(sums + weights, s.images * parts, size, 0, size - weights, a.db.group<A>(g));
  });
}

S3N_FOR_TYPES(forward, InceptionForward)
S3N_FOR_TYPES(backward, InceptionBackward)

}  // namespace

extern const InceptionKernels inception_kernels;
const InceptionKernels inception_kernels = {forward_any, backward_any};

}  // namespace S3N_ISA
}  // namespace s3n
