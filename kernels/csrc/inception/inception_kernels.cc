// Inception of depthwise convolutions over tiles of bands of rows, for one instruction set.
#include "core/sum.h"
#include "inception/inception.h"
#include "inception/rows.h"

namespace s3n {
namespace S3N_ISA {
namespace {

constexpr int kInputSlot = 0, kGradientSlot = 1;

template <class T>
void forward(const InceptionForward& a, Executor& executor) {
  using A = accumulator<T>;
  const InceptionShape& s = a.shape;
  const InceptionBranches<T> branches(s);
  const int64_t C = s.channels, line = s.width * C, bands = inception_bands(s.height);
  const int64_t bytes = s.groups * s.images * s.height * line * s.branches * sizeof(T);
  parallel_for(executor, s.groups * s.images * bands, [&](int64_t task) {
    const int64_t image = task / bands, g = image / s.images, n = image % s.images;
    const int64_t begin = task % bands * kInceptionBandRows;
    const int64_t end = smaller(begin + kInceptionBandRows, s.height);
    T* const y = a.y.group<T>(g) + n * s.height * line * s.branches;
    const bool streaming = streamable(y, C * sizeof(T), bytes);
    InceptionTile<T> tile(branches, kInputSlot);
    for_each_tile(s.width, [&](Columns columns) {
      tile.start(a.x.group<T>(g) + n * s.height * line, columns, begin);
      for (int64_t row = begin; row < end; ++row) {
        tile.advance(row);
        tile.forward(a.w.group<A>(g), a.b.group<A>(g), row,
                     y + (row * line + columns.begin * C) * s.branches, streaming);
      }
    });
    stream_fence();
  });
}

template <class T>
void backward(const InceptionBackward& a, Executor& executor) {
  using A = accumulator<T>;
  const InceptionShape& s = a.shape;
  const InceptionBranches<T> branches(s);
  const int64_t C = s.channels, line = s.width * C, bands = inception_bands(s.height);
  const int64_t part = (s.taps() + s.branches) * C;
  const BranchLayout layout = {C, s.branches * C};
  const int64_t bytes = s.groups * s.images * s.height * line * sizeof(T);
  parallel_for(executor, s.groups * s.images * bands, [&](int64_t task) {
    const int64_t image = task / bands, g = image / s.images, n = image % s.images;
    const int64_t begin = task % bands * kInceptionBandRows;
    const int64_t end = smaller(begin + kInceptionBandRows, s.height);
    const T* const dy = a.dy.group<T>(g) + n * s.height * line * s.branches;
    T* const dx = a.dx.group<T>(g) + n * s.height * line;
    A* const sums = a.partials.group<A>(g) + (n * bands + task % bands) * part;
    const bool streaming = streamable(dx, C * sizeof(T), bytes);
    fill_zero(sums, part);
    InceptionTile<T> input(branches, kInputSlot);
    InceptionGradientTile<T> gradient(branches, layout, kGradientSlot);
    for_each_tile(s.width, [&](Columns columns) {
      input.start(a.x.group<T>(g) + n * s.height * line, columns, begin);
      gradient.start(dy, columns, begin);
      for (int64_t row = begin; row < end; ++row) {
        const int64_t first = row * line + columns.begin * C;
        input.advance(row);
        gradient.advance(row);
        gradient.input_gradient(a.turned.group<A>(g), row, dx + first, streaming);
        input.weight_gradient(dy + first * s.branches, layout, row, sums);
      }
    });
    stream_fence();
  });
  parallel_for(executor, s.groups, [&](int64_t g) {
    const A* const sums = a.partials.group<A>(g);
    const int64_t weights = s.taps() * C;
    sum_parts(sums, s.images * bands, part, 0, weights, a.dw.group<A>(g));
    sum_parts(sums + weights, s.images * bands, part, 0, part - weights, a.db.group<A>(g));
  });
}

S3N_FOR_TYPES(forward, InceptionForward)
S3N_FOR_TYPES(backward, InceptionBackward)

}  // namespace

extern const InceptionKernels inception_kernels;
const InceptionKernels inception_kernels = {forward_any, backward_any};

}  // namespace S3N_ISA
}  // namespace s3n
