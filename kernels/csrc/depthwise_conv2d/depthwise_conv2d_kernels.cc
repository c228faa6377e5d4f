// Depthwise convolution over bands of rows, forward and backward, for one instruction set.
#include "core/sum.h"
#include "depthwise_conv2d/depthwise_conv2d.h"
#include "depthwise_conv2d/rows.h"

namespace s3n {
namespace S3N_ISA {
namespace {

template <class F>
void for_each_band(const DepthwiseShape& s, Executor& executor, F&& band) {
  const int64_t bands = depthwise_bands(s.height);
  parallel_for(executor, s.groups * s.images * bands, [&](int64_t task) {
    const int64_t k = task % bands, image = task / bands;
    const int64_t begin = k * kDepthwiseBandRows;
    band(task, image / s.images, image % s.images, begin,
         smaller(begin + kDepthwiseBandRows, s.height));
  });
}

constexpr int kInputSlot = 0, kGradientSlot = 1;

DepthwiseGeometry geometry(const DepthwiseShape& s) {
  return {s.height, s.channels, s.kernel_height, s.kernel_width, s.dilation};
}

// Returns the packed rows for an image of this shape, in a slot of thread_scratch.
template <class T>
PackedRows<T> packed(const DepthwiseShape& s, int slot) {
  return packed_rows<T>(s.height, s.width, geometry(s), slot);
}

template <class T>
bool streamable(const T* y, const DepthwiseShape& s) {
  const int64_t pixel = s.channels * int64_t(sizeof(T));
  return S3N_ISA::streamable(y, pixel, s.groups * s.images * s.height * s.width * pixel);
}

template <class T>
void forward(const DepthwiseForward& a, Executor& executor) {
  using A = accumulator<T>;
  const DepthwiseShape& s = a.shape;
  const auto compute = depthwise_row_function<T>(s.kernel_width, s.dilation);
  const int64_t line = s.width * s.channels;
  for_each_band(s, executor, [&](int64_t, int64_t g, int64_t n, int64_t begin, int64_t end) {
    T* const y = a.y.group<T>(g) + n * s.height * line;
    PackedRows<T> x = packed<T>(s, kInputSlot);
    DepthwiseRow<T> r(geometry(s), x);
    r.w = a.w.group<A>(g);
    r.bias = a.b.group<A>(g);
    r.streaming = streamable(y, s);
    for_each_tile({0, s.width}, [&](Columns columns) {
      x.start(a.x.group<T>(g) + n * s.height * line, columns, begin);
      r.columns = columns.count();
      for (r.row = begin; r.row < end; ++r.row) {
        x.advance(r.row);
        r.y = y + r.row * line + columns.begin * s.channels;
        compute(r);
      }
    });
    stream_fence();
  });
}

template <class T>
void backward(const DepthwiseBackward& a, Executor& executor) {
  using A = accumulator<T>;
  const DepthwiseShape& s = a.shape;
  const int64_t C = s.channels, taps = s.kernel_height * s.kernel_width;
  const int64_t part = (taps + 1) * C, line = s.width * C;
  const auto input_row = depthwise_row_function<T>(s.kernel_width, s.dilation);
  const auto gradient_row = depthwise_gradient_function<T>(s.kernel_width, s.dilation);
  const int64_t bands = depthwise_bands(s.height);
  for_each_band(s, executor, [&](int64_t task, int64_t g, int64_t n, int64_t begin, int64_t end) {
    const int64_t band = task % bands;
    A* const sums = a.partials.group<A>(g) + (n * bands + band) * part;
    fill_zero(sums, part);
    PackedRows<T> x = packed<T>(s, kInputSlot), gradients = packed<T>(s, kGradientSlot);
    const T* const dy = a.dy.group<T>(g) + n * s.height * line;
    T* const dx = a.dx.group<T>(g) + n * s.height * line;
    DepthwiseRow<T> r(geometry(s), gradients);
    r.w = a.turned.group<A>(g);
    r.streaming = streamable(dx, s);
    DepthwiseGradientRow<T> d(geometry(s), x);
    d.dw = sums;
    d.db = sums + taps * C;
    for_each_tile({0, s.width}, [&](Columns columns) {
      x.start(a.x.group<T>(g) + n * s.height * line, columns, begin);
      gradients.start(dy, columns, begin);
      r.columns = d.columns = columns.count();
      for (int64_t row = begin; row < end; ++row) {
        x.advance(row);
        gradients.advance(row);
        r.row = d.row = row;
        r.y = dx + row * line + columns.begin * C;
        input_row(r);
        d.dy = dy + row * line + columns.begin * C;
        gradient_row(d);
      }
    });
    stream_fence();
  });
  parallel_for(executor, s.groups, [&](int64_t g) {
    const A* const sums = a.partials.group<A>(g);
    sum_parts(sums, s.images * bands, part, 0, taps * C, a.dw.group<A>(g));
    sum_parts(sums + taps * C, s.images * bands, part, 0, C, a.db.group<A>(g));
  });
}

S3N_FOR_TYPES(forward, DepthwiseForward)
S3N_FOR_TYPES(backward, DepthwiseBackward)

}  // namespace

extern const DepthwiseKernels depthwise_kernels;
const DepthwiseKernels depthwise_kernels = {forward_any, backward_any};

}  // namespace S3N_ISA
}  // namespace s3n
