// All branches of an inception on one row: forward, and both gradients.
#pragma once

#include "depthwise/row.h"
#include "depthwise/weight_gradient.h"
#include "inception/inception.h"

namespace s3n {
namespace S3N_ISA {

struct Columns {
  int64_t begin, end;
};

template <class T>
class InceptionRows {
 public:
  using A = accumulator<T>;

  explicit InceptionRows(const InceptionShape& shape) : s_(shape) {
    for (int64_t r = 0; r < s_.branches; ++r) {
      const auto& b = s_.branch[r];
      row_[r] = depthwise_row_function<T>(b.kernel_width, b.dilation);
      gradient_[r] = depthwise_gradient_function<T>(b.kernel_width, b.dilation);
    }
  }

  // y: the row's (width, branches * channels) results. x: the image.
  void forward(const T* x, const A* w, const A* b, int64_t row, T* y, bool streaming,
               Columns columns) const {
    for (int64_t r = 0; r < s_.branches; ++r) {
      DepthwiseRow<T> d = row_of(r, row, columns);
      d.x = x;
      d.w = w + s_.first_tap(r) * s_.channels;
      d.bias = b + r * s_.channels;
      d.y = y + r * s_.channels;
      d.y_stride = s_.branches * s_.channels;
      d.streaming = streaming;
      row_[r](d);
    }
  }

  // dx: the row's (width, channels) sums over the branches. dy: for each branch, the image of
  // its gradients, whose pixels lie branches * channels elements apart.
  void input_gradient(const T* dy, const A* turned, int64_t row, T* dx, bool streaming,
                      Columns columns) const {
    for (int64_t r = 0; r < s_.branches; ++r) {
      DepthwiseRow<T> d = row_of(r, row, columns);
      d.x = dy + r * s_.channels;
      d.x_stride = s_.branches * s_.channels;
      d.w = turned + s_.first_tap(r) * s_.channels;
      d.y = dx;
      d.accumulate = r > 0;
      d.streaming = streaming && r + 1 == s_.branches;
      row_[r](d);
    }
  }

  // Adds to sums: (taps, channels) of dw, then (branches, channels) of db. dy: the row's
  // (width, branches * channels) gradients.
  void weight_gradient(const T* x, const T* dy, int64_t row, A* sums, Columns columns) const {
    for (int64_t r = 0; r < s_.branches; ++r) {
      const auto& b = s_.branch[r];
      DepthwiseGradientRow<T> d = {};
      d.x = x;
      d.dy = dy + r * s_.channels;
      d.dy_stride = s_.branches * s_.channels;
      d.dw = sums + s_.first_tap(r) * s_.channels;
      d.db = sums + (s_.taps() + r) * s_.channels;
      d.row = row;
      d.height = s_.height;
      d.width = s_.width;
      d.channels = s_.channels;
      d.kh = b.kernel_height;
      d.kw = b.kernel_width;
      d.dilation = b.dilation;
      d.begin = columns.begin;
      d.end = columns.end;
      gradient_[r](d);
    }
  }

 private:
  DepthwiseRow<T> row_of(int64_t r, int64_t row, Columns columns) const {
    const auto& b = s_.branch[r];
    DepthwiseRow<T> d = {};
    d.row = row;
    d.height = s_.height;
    d.width = s_.width;
    d.x_stride = d.y_stride = d.channels = s_.channels;
    d.kh = b.kernel_height;
    d.kw = b.kernel_width;
    d.dilation = b.dilation;
    d.begin = columns.begin;
    d.end = columns.end;
    return d;
  }

  InceptionShape s_;
  DepthwiseRowFunction<T> row_[kMaxBranches];
  DepthwiseGradientFunction<T> gradient_[kMaxBranches];
};

}  // namespace S3N_ISA
}  // namespace s3n
