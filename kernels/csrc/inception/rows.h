// All branches of an inception on one row: forward, and both gradients.
#pragma once

#include "depthwise/rows.h"
#include "inception/inception.h"

namespace s3n {
namespace S3N_ISA {

struct Columns {
  int64_t begin, end;
};

// Elements from one branch, or pixel, of an image of all branches to the next.
struct BranchLayout {
  int64_t branch, pixel;
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
      DepthwiseRow<T> d(geometry(r, row, columns));
      d.x = x;
      d.w = w + s_.first_tap(r) * s_.channels;
      d.bias = b + r * s_.channels;
      d.y = y + r * s_.channels;
      d.y_stride = s_.branches * s_.channels;
      d.streaming = streaming;
      row_[r](d);
    }
  }

  // dx: the row's (width, channels) sums over the branches. dy: the image of gradients.
  void input_gradient(const T* dy, BranchLayout layout, const A* turned, int64_t row, T* dx,
                      bool streaming, Columns columns) const {
    for (int64_t r = 0; r < s_.branches; ++r) {
      DepthwiseRow<T> d(geometry(r, row, columns));
      d.x = dy + r * layout.branch;
      d.x_stride = layout.pixel;
      d.w = turned + s_.first_tap(r) * s_.channels;
      d.y = dx;
      d.accumulate = r > 0;
      d.streaming = streaming && r + 1 == s_.branches;
      row_[r](d);
    }
  }

  // Adds to sums: (taps, channels) of dw, then (branches, channels) of db. dy: the row's
  // gradients.
  void weight_gradient(const T* x, const T* dy, BranchLayout layout, int64_t row, A* sums,
                       Columns columns) const {
    for (int64_t r = 0; r < s_.branches; ++r) {
      DepthwiseGradientRow<T> d(geometry(r, row, columns));
      d.x = x;
      d.dy = dy + r * layout.branch;
      d.dy_stride = layout.pixel;
      d.dw = sums + s_.first_tap(r) * s_.channels;
      d.db = sums + (s_.taps() + r) * s_.channels;
      gradient_[r](d);
    }
  }

 private:
  DepthwiseGeometry geometry(int64_t r, int64_t row, Columns columns) const {
    const auto& b = s_.branch[r];
    DepthwiseGeometry d(s_.height, s_.width, s_.channels, b.kernel_height, b.kernel_width,
                        b.dilation);
    d.row = row;
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
