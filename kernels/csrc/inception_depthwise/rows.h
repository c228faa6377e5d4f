// All branches of an inception on one row of a tile: forward, and both gradients.
#pragma once

#include "core/scratch.h"
#include "depthwise_conv2d/rows.h"
#include "inception_depthwise/inception_depthwise.h"

namespace s3n {
namespace S3N_ISA {

static_assert(kInceptionPartColumns % kTileColumns == 0, "a tile must not straddle two parts");

// One part of one image.
struct InceptionPart {
  int64_t group, image, index;  // group; image of the group; part of the image
  int64_t begin, end;           // rows
  Columns columns;
};

// Calls f(part) for all parts of all images, with the last parts of each band at the end: these are
// the smallest, so threads wait least for them.
template <class F>
void for_each_part(const InceptionShape& s, Executor& executor, F&& f) {
  const int64_t bands = inception_bands(s.height), parts = inception_parts(s.height, s.width);
  parallel_for(executor, s.groups * s.images * parts, [&](int64_t task) {
    const int64_t image = task / parts, index = task % parts;
    const int64_t begin = index % bands * kInceptionPartRows;
    const int64_t left = index / bands * kInceptionPartColumns;
    f(InceptionPart{image / s.images, image % s.images, index, begin,
                    smaller(begin + kInceptionPartRows, s.height),
                    {left, smaller(left + kInceptionPartColumns, s.width)}});
    stream_fence();
  });
}

// Elements from one branch, or pixel, to the next in an array with all branches of an image.
struct BranchLayout {
  int64_t branch, pixel;
};

// Shared by forward and gradients: the branches' functions, geometries and reaches.
template <class T>
class InceptionBranches {
 public:
  using A = accumulator<T>;
  using Reach = typename PackedRows<T>::Reach;

  explicit InceptionBranches(const InceptionShape& shape) : s(shape) {
    for (int64_t r = 0; r < s.branches; ++r) {
      const auto& b = s.branch[r];
      row[r] = depthwise_row_function<T>(b.kernel_width, b.dilation);
      gradient[r] = depthwise_gradient_function<T>(b.kernel_width, b.dilation);
    }
  }

  Reach reach(int64_t r) const {
    const auto& b = s.branch[r];
    return {b.kernel_height / 2 * b.dilation, b.kernel_width / 2 * b.dilation};
  }

  Reach farthest() const {
    Reach all = {0, 0};
    for (int64_t r = 0; r < s.branches; ++r)
      all = {larger(all.rows, reach(r).rows), larger(all.columns, reach(r).columns)};
    return all;
  }

  DepthwiseGeometry geometry(int64_t r, int64_t at, Columns columns) const {
    const auto& b = s.branch[r];
    DepthwiseGeometry d(s.height, s.channels, b.kernel_height, b.kernel_width, b.dilation);
    d.row = at;
    d.columns = columns.count();
    return d;
  }

  const InceptionShape& s;
  DepthwiseRowFunction<T> row[kMaxBranches];
  DepthwiseGradientFunction<T> gradient[kMaxBranches];
};

// The input's tile, which forward and the weights' gradients read. Its memory is a slot of
// thread_scratch.
template <class T>
class InceptionTile {
 public:
  using A = accumulator<T>;

  InceptionTile(const InceptionBranches<T>& branches, int slot) : branches_(branches) {
    const InceptionShape& s = branches.s;
    const auto reach = branches.farthest();
    const size_t bytes = PackedRows<T>::size(s.channels, reach) * sizeof(A);
    x_ = PackedRows<T>(s.height, s.width, s.channels, reach, s.channels,
                       static_cast<A*>(thread_scratch(slot, bytes)));
  }

  // Starts a tile at `row`; call advance() before each of its rows is used.
  void start(const T* x, Columns columns, int64_t row) {
    columns_ = columns;
    x_.start(x, columns, row);
  }
  void advance(int64_t row) { x_.advance(row); }

  // Computes y, the tile's (columns, branches * channels) results of a row.
  void forward(const A* w, const A* b, int64_t row, T* y, bool streaming) const {
    const InceptionShape& s = branches_.s;
    for (int64_t r = 0; r < s.branches; ++r) {
      DepthwiseRow<T> d(branches_.geometry(r, row, columns_), x_);
      d.w = w + s.first_tap(r) * s.channels;
      d.bias = b + r * s.channels;
      d.y = y + r * s.channels;
      d.y_stride = s.branches * s.channels;
      d.streaming = streaming;
      branches_.row[r](d);
    }
  }

  // Adds to sums: (taps, channels) of dw, then, if `biases`, (branches, channels) of db. dy holds
  // the tile's gradients of a row.
  void weight_gradient(const T* dy, BranchLayout layout, int64_t row, A* sums,
                       bool biases) const {
    const InceptionShape& s = branches_.s;
    for (int64_t r = 0; r < s.branches; ++r) {
      DepthwiseGradientRow<T> d(branches_.geometry(r, row, columns_), x_);
      d.dy = dy + r * layout.branch;
      d.dy_stride = layout.pixel;
      d.dw = sums + s.first_tap(r) * s.channels;
      d.db = biases ? sums + (s.taps() + r) * s.channels : nullptr;
      branches_.gradient[r](d);
    }
  }

 private:
  const InceptionBranches<T>& branches_;
  PackedRows<T> x_;
  Columns columns_ = {};
};

// The tile of all branches' gradients, which the input's gradient reads.
template <class T>
class InceptionGradientTile {
 public:
  using A = accumulator<T>;

  InceptionGradientTile(const InceptionBranches<T>& branches, BranchLayout layout, int slot)
      : branches_(branches), layout_(layout) {
    const InceptionShape& s = branches.s;
    int64_t size = 0;
    for (int64_t r = 0; r < s.branches; ++r)
      size += PackedRows<T>::size(s.channels, branches.reach(r));
    A* memory = static_cast<A*>(thread_scratch(slot, size * sizeof(A)));
    for (int64_t r = 0; r < s.branches; ++r) {
      const auto reach = branches.reach(r);
      dy_[r] = PackedRows<T>(s.height, s.width, s.channels, reach, layout.pixel, memory);
      memory += PackedRows<T>::size(s.channels, reach);
    }
  }

  void start(const T* dy, Columns columns, int64_t row) {
    columns_ = columns;
    for (int64_t r = 0; r < branches_.s.branches; ++r)
      dy_[r].start(dy + r * layout_.branch, columns, row);
  }
  void advance(int64_t row) {
    for (int64_t r = 0; r < branches_.s.branches; ++r) dy_[r].advance(row);
  }

  // Computes dx, the tile's (columns, channels) sums over the branches, of a row.
  void input_gradient(const A* turned, int64_t row, T* dx, bool streaming) const {
    const InceptionShape& s = branches_.s;
    for (int64_t r = 0; r < s.branches; ++r) {
      DepthwiseRow<T> d(branches_.geometry(r, row, columns_), dy_[r]);
      d.w = turned + s.first_tap(r) * s.channels;
      d.y = dx;
      d.accumulate = r > 0;
      d.streaming = streaming && r + 1 == s.branches;
      branches_.row[r](d);
    }
  }

 private:
  const InceptionBranches<T>& branches_;
  BranchLayout layout_;
  PackedRows<T> dy_[kMaxBranches];
  Columns columns_ = {};
};

}  // namespace S3N_ISA
}  // namespace s3n
