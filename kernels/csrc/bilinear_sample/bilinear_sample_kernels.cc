// Bilinear sampling for one instruction set.
#include "core/scratch.h"
#include "core/sum.h"
#include "bilinear_sample/corners.h"
#include "bilinear_sample/bilinear_sample.h"

namespace s3n {
namespace S3N_ISA {
namespace {

// Rows of one task. Not tuned; the other operators had bands of 16 rows before they were halved.
constexpr int64_t kBandRows = 16;

template <class A>
Corners<A> corners_at(const SamplingShape& s, const A* coords) {
  return {sample_axis(coords[0], s.height, s.edge), sample_axis(coords[1], s.width, s.edge)};
}

// Calls f(group, image of the group, first row, end row) for bands of `height` rows.
template <class F>
void for_each_band(const SamplingShape& s, int64_t height, Executor& executor, F&& f) {
  const int64_t bands = ceil_div(height, kBandRows);
  parallel_for(executor, s.groups * s.images * bands, [&](int64_t task) {
    const int64_t image = task / bands, first = task % bands * kBandRows;
    f(image / s.images, image % s.images, first, smaller(first + kBandRows, height));
  });
}

template <class T>
void forward(const SamplingForward& a, Executor& executor) {
  using A = accumulator<T>;
  const SamplingShape& s = a.shape;
  const int64_t C = s.channels, pixels = s.out_height * s.out_width;
  for_each_band(s, s.out_height, executor, [&](int64_t g, int64_t n, int64_t first, int64_t end) {
    const T* const x = a.x.group<T>(g) + n * s.height * s.width * C;
    const A* const coords = a.coords.group<A>(g) + n * pixels * 2;
    T* const y = a.y.group<T>(g) + n * pixels * C;
    for (int64_t p = first * s.out_width; p < end * s.out_width; ++p)
      interpolate(corners_at(s, coords + 2 * p), A(1), x, s.width, C, y + p * C);
  });
}

// Every task owns some rows of dx and visits, in order, all outputs that read these rows.
template <class T>
void input_gradient(const SamplingInputGradient& a, Executor& executor) {
  using A = accumulator<T>;
  const SamplingShape& s = a.shape;
  const int64_t C = s.channels, pixels = s.out_height * s.out_width;
  const int64_t outputs = s.groups * s.images * s.out_height;
  // The first and last row of x that each row of the output reads.
  int64_t* const range =
      static_cast<int64_t*>(thread_scratch(2, 2 * outputs * sizeof(int64_t)));
  for_each_band(s, s.out_height, executor, [&](int64_t g, int64_t n, int64_t first, int64_t end) {
    for (int64_t row = first; row < end; ++row) {
      const A* const coords = a.coords.group<A>(g) + (n * pixels + row * s.out_width) * 2;
      int64_t low = s.height, high = -1;
      for (int64_t p = 0; p < s.out_width; ++p) {
        const AxisSample<A> y = sample_axis(coords[2 * p], s.height, s.edge);
        low = smaller(low, y.index[0]);
        high = larger(high, y.index[1]);
      }
      int64_t* const r = range + 2 * ((g * s.images + n) * s.out_height + row);
      r[0] = low;
      r[1] = high;
    }
  });
  for_each_band(s, s.height, executor, [&](int64_t g, int64_t n, int64_t first, int64_t end) {
    A* const dx = a.dx.group<A>(g) + n * s.height * s.width * C;
    fill_zero(dx + first * s.width * C, (end - first) * s.width * C);
    for (int64_t row = 0; row < s.out_height; ++row) {
      const int64_t* const r = range + 2 * ((g * s.images + n) * s.out_height + row);
      if (r[1] < first || r[0] >= end) continue;
      const int64_t line = row * s.out_width;
      const A* const coords = a.coords.group<A>(g) + (n * pixels + line) * 2;
      const T* const dy = a.dy.group<T>(g) + (n * pixels + line) * C;
      for (int64_t p = 0; p < s.out_width; ++p) {
        const AxisSample<A> y = sample_axis(coords[2 * p], s.height, s.edge);
        const bool mine[2] = {y.counts[0] && y.index[0] >= first && y.index[0] < end,
                              y.counts[1] && y.index[1] >= first && y.index[1] < end};
        if (!mine[0] && !mine[1]) continue;
        const AxisSample<A> x = sample_axis(coords[2 * p + 1], s.width, s.edge);
        for (int i = 0; i < 2; ++i) {
          if (!mine[i]) continue;
          for (int j = 0; j < 2; ++j) {
            if (!x.counts[j]) continue;
            A* const to = dx + (y.index[i] * s.width + x.index[j]) * C;
            const vec<A> weight = broadcast(y.weight[i] * x.weight[j]);
            const T* const g = dy + p * C;
            for_each_block<A>(C, [&](auto block, int64_t c) {
              block.store(to + c, block.load(to + c) + block.load(g + c) * weight);
            });
          }
        }
      }
    }
  });
}

// Computes the derivatives (by y, by x) for one sample, whose gradient is g.
template <bool Whole, class T, class A>
S3N_INLINE void unsample(const Corners<A>& corners, const T* x, int64_t width, int64_t channels,
                         const T* g, A* dcoords) {
  const CornerRows<Whole, T, A> rows(corners, x, width, channels);
  vec<A> dot[4] = {};
  for_each_block<A>(channels, [&](auto block, int64_t c) {
    const vec<A> gradient = block.load(g + c);
    for (int k = 0; k < 4; ++k) dot[k] += rows.load(block, k, c) * gradient;
  });
  A by_y = 0, by_x = 0;
  for (int k = 0; k < 4; ++k) {
    const A d = sum_lanes<A>(dot[k]);
    by_y += d * (corners.y.slope[k >> 1] * corners.x.weight[k & 1]);
    by_x += d * (corners.y.weight[k >> 1] * corners.x.slope[k & 1]);
  }
  dcoords[0] = by_y;
  dcoords[1] = by_x;
}

template <class T>
void coords_gradient(const SamplingCoordsGradient& a, Executor& executor) {
  using A = accumulator<T>;
  const SamplingShape& s = a.shape;
  const int64_t C = s.channels, pixels = s.out_height * s.out_width;
  for_each_band(s, s.out_height, executor, [&](int64_t g, int64_t n, int64_t first, int64_t end) {
    const T* const x = a.x.group<T>(g) + n * s.height * s.width * C;
    const T* const dy = a.dy.group<T>(g) + n * pixels * C;
    const A* const coords = a.coords.group<A>(g) + n * pixels * 2;
    A* const dcoords = a.dcoords.group<A>(g) + n * pixels * 2;
    for (int64_t p = first * s.out_width; p < end * s.out_width; ++p) {
      const Corners<A> corners = corners_at(s, coords + 2 * p);
      if (corners.outside()) {
        dcoords[2 * p] = dcoords[2 * p + 1] = A(0);
      } else if (corners.whole()) {
        unsample<true>(corners, x, s.width, C, dy + p * C, dcoords + 2 * p);
      } else {
        unsample<false>(corners, x, s.width, C, dy + p * C, dcoords + 2 * p);
      }
    }
  });
}

S3N_FOR_TYPES(forward, SamplingForward)
S3N_FOR_TYPES(input_gradient, SamplingInputGradient)
S3N_FOR_TYPES(coords_gradient, SamplingCoordsGradient)

}  // namespace

extern const SamplingKernels sampling_kernels;
const SamplingKernels sampling_kernels = {forward_any, input_gradient_any, coords_gradient_any};

}  // namespace S3N_ISA
}  // namespace s3n
