// Inception of depthwise convolutions over bands of rows, for one instruction set.
#include "core/sum.h"
#include "inception/inception.h"
#include "inception/rows.h"

namespace s3n {
namespace S3N_ISA {
namespace {

constexpr int64_t kTileColumns = 256;

// The rows of a band, column tile by column tile: the rows that the taps reach stay in the cache.
template <class F>
S3N_INLINE void for_each_tile(const InceptionShape& s, int64_t begin, F&& f) {
  const int64_t end = smaller(begin + kInceptionBandRows, s.height);
  for (int64_t column = 0; column < s.width; column += kTileColumns)
    for (int64_t row = begin; row < end; ++row)
      f(row, Columns{column, smaller(column + kTileColumns, s.width)});
}

template <class T>
void forward(const InceptionForward& a, Executor& executor) {
  using A = accumulator<T>;
  const InceptionShape& s = a.shape;
  const InceptionRows<T> rows(s);
  const int64_t line = s.width * s.channels, bands = inception_bands(s.height);
  const int64_t bytes = s.groups * s.images * s.height * line * s.branches * sizeof(T);
  parallel_for(executor, s.groups * s.images * bands, [&](int64_t task) {
    const int64_t image = task / bands, g = image / s.images, n = image % s.images;
    const int64_t begin = task % bands * kInceptionBandRows;
    const T* const x = a.x.group<T>(g) + n * s.height * line;
    T* const y = a.y.group<T>(g) + n * s.height * line * s.branches;
    const bool streaming = streamable(y, s.channels * sizeof(T), bytes);
    for_each_tile(s, begin, [&](int64_t row, Columns columns) {
      rows.forward(x, a.w.group<A>(g), a.b.group<A>(g), row, y + row * line * s.branches,
                   streaming, columns);
    });
    stream_fence();
  });
}

template <class T>
void backward(const InceptionBackward& a, Executor& executor) {
  using A = accumulator<T>;
  const InceptionShape& s = a.shape;
  const InceptionRows<T> rows(s);
  const int64_t line = s.width * s.channels, bands = inception_bands(s.height);
  const int64_t part = (s.taps() + s.branches) * s.channels;
  const BranchLayout layout = {s.channels, s.branches * s.channels};
  const int64_t bytes = s.groups * s.images * s.height * line * sizeof(T);
  parallel_for(executor, s.groups * s.images * bands, [&](int64_t task) {
    const int64_t image = task / bands, g = image / s.images, n = image % s.images;
    const int64_t begin = task % bands * kInceptionBandRows;
    const T* const x = a.x.group<T>(g) + n * s.height * line;
    const T* const dy = a.dy.group<T>(g) + n * s.height * line * s.branches;
    T* const dx = a.dx.group<T>(g) + n * s.height * line;
    A* const sums = a.partials.group<A>(g) + (n * bands + task % bands) * part;
    const bool streaming = streamable(dx, s.channels * sizeof(T), bytes);
    fill_zero(sums, part);
    for_each_tile(s, begin, [&](int64_t row, Columns columns) {
      rows.input_gradient(dy, layout, a.turned.group<A>(g), row, dx + row * line, streaming,
                          columns);
      rows.weight_gradient(x, dy + row * line * s.branches, layout, row, sums, columns);
    });
    stream_fence();
  });
  parallel_for(executor, s.groups, [&](int64_t g) {
    const A* const sums = a.partials.group<A>(g);
    const int64_t weights = s.taps() * s.channels;
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
