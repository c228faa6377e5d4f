// Deformable convolution for one instruction set. The columns (the sampled values of all taps) of
// a tile of pixels exist only in the cache, between sampling and matrix product.
#include "core/sum.h"
#include "deform_conv2d/deform_conv2d.h"
#include "deform_conv2d/far.h"
#include "deform_conv2d/tap.h"
#include "gemm/multiply.h"

namespace s3n {
namespace S3N_ISA {
namespace {

// Pixels whose columns are gathered before they are multiplied: a multiple of the rows of a product
// (kTileRows), so that only the last tile has a remainder. Other multiples were not timed.
#if defined(__AMX_BF16__)
constexpr int64_t kTilePixels = 64;  // a multiple of the depth of an AMX tile
#else
constexpr int64_t kTilePixels = 48;
#endif

// Slots of thread_scratch.
constexpr int kColumnsSlot = 0, kWideSlot = 1, kSliceSlot = 2, kFarSlot = 4;

// Calls f(pixel, row, column) for the pixels [begin, end) of an image, counted row by row.
template <class F>
S3N_INLINE void for_each_pixel(int64_t begin, int64_t end, int64_t width, F&& f) {
  int64_t row = begin / width, column = begin % width;
  for (int64_t p = begin; p < end; ++p) {
    f(p, row, column);
    if (++column == width) column = 0, ++row;
  }
}

// The arrays of one image.
template <class T>
struct Image {
  using A = accumulator<T>;
  Image(const DeformShape& s, const Batched& x, const Batched& offset, const Batched& mask,
        int64_t g, int64_t n)
      : x(x.group<T>(g) + n * s.height * s.width * s.inputs),
        offset(offset.group<A>(g) + n * s.height * s.width * s.taps() * 2),
        mask(mask.group<A>(g) + n * s.height * s.width * s.taps()) {}
  const T* x;
  const A *offset, *mask;
};

template <class T>
S3N_NOINLINE void sample_tile(const DeformShape& s, const Image<T>& image, int64_t begin,
                              int64_t end, accumulator<T>* columns) {
  for_each_pixel(begin, end, s.width, [&](int64_t p, int64_t row, int64_t column) {
    int64_t t = p * s.taps();
    for (int64_t i = 0; i < s.kernel_height; ++i)
      for (int64_t j = 0; j < s.kernel_width; ++j, ++t, columns += s.inputs)
        sample_tap(make_tap(s, row, column, i, j, image.offset + 2 * t, image.mask[t]), image.x,
                   s.width, s.inputs, columns);
  });
}

// Rows of one forward task. The forward pass keeps nothing per band, so it uses smaller tasks than
// the backward pass; threads then wait less for the last one.
constexpr int64_t kForwardRows = 8;

template <class T>
void forward(const DeformForward& a, Executor& executor) {
  using A = accumulator<T>;
  const DeformShape& s = a.shape;
  const int64_t K = s.columns(), O = s.outputs, pixels = s.height * s.width;
  parallel_for(executor, s.groups, [&](int64_t g) {
    pack_panels(a.w.group<A>(g), O, 1, K, O, a.packed.group<A>(g));
  });
  const int64_t bands = ceil_div(s.height, kForwardRows);
  parallel_for(executor, s.groups * s.images * bands, [&](int64_t task) {
    const int64_t image = task / bands, g = image / s.images, n = image % s.images;
    const int64_t first = task % bands * kForwardRows * s.width;
    const int64_t last = smaller(first + kForwardRows * s.width, pixels);
    const Image<T> in(s, a.x, a.offset, a.mask, g, n);
    const A* const bias = a.b.group<A>(g);
    T* const y = a.y.group<T>(g) + n * pixels * O;
    A* const columns = static_cast<A*>(thread_scratch(kColumnsSlot, kTilePixels * K * sizeof(A)));
    for (int64_t begin = first; begin < last; begin += kTilePixels) {
      const int64_t end = smaller(begin + kTilePixels, last);
      sample_tile(s, in, begin, end, columns);
      multiply(columns, K, end - begin, a.packed.group<A>(g), K, O,
               [=, out = y + begin * O](int64_t row, int64_t column, vec<A> v, auto block) {
                 block.store(out + row * O + column, v + block.load(bias + column));
               });
    }
  });
}

// Computes the gradients of one tile from its columns' gradients, and replaces these by the
// columns. Additions to dx inside the window are made in place; taps that reach beyond it join the
// far taps of the band, which begins with pixel `first`.
template <class T>
S3N_NOINLINE void unsample_tile(const DeformShape& s, const Image<T>& image, int64_t begin,
                                int64_t end, const Window& window, int64_t first, FarTaps far,
                                accumulator<T>* columns, accumulator<T>* dx,
                                accumulator<T>* doffset, accumulator<T>* dmask) {
  for_each_pixel(begin, end, s.width, [&](int64_t p, int64_t row, int64_t column) {
    int64_t t = p * s.taps();
    for (int64_t i = 0; i < s.kernel_height; ++i)
      for (int64_t j = 0; j < s.kernel_width; ++j, ++t, columns += s.inputs) {
        const auto tap = make_tap(s, row, column, i, j, image.offset + 2 * t, image.mask[t]);
        if (is_near(tap, window)) {
          unsample_tap<true>(tap, image.x, s.width, s.inputs, columns, dx, doffset + 2 * t,
                             dmask + t);
        } else {
          far.add(t - first * s.taps());
          unsample_tap<false>(tap, image.x, s.width, s.inputs, columns, dx, doffset + 2 * t,
                              dmask + t);
        }
      }
  });
}

template <class T>
void backward(const DeformBackward& a, Executor& executor) {
  using A = accumulator<T>;
  const DeformShape& s = a.shape;
  const int64_t K = s.columns(), C = s.inputs, O = s.outputs, pixels = s.height * s.width;
  const int64_t bands = deform_bands(s.height), part = (K + 1) * O;
  parallel_for(executor, s.groups, [&](int64_t g) {
    pack_panels(a.w.group<A>(g), 1, O, O, K, a.packed.group<A>(g));
  });
  const int64_t words = FarTaps::words(s);
  uint64_t* const far = static_cast<uint64_t*>(
      thread_scratch(kFarSlot, s.groups * s.images * bands * words * sizeof(uint64_t)));

  const auto band = [&](int64_t image, int64_t k) {
    const int64_t g = image / s.images, n = image % s.images;
    const int64_t first = k * kDeformBandRows * s.width;
    const int64_t last = smaller(first + kDeformBandRows * s.width, pixels);
    const Window window = band_window(s, k);
    const Image<T> in(s, a.x, a.offset, a.mask, g, n);
    const T* const dy = a.dy.group<T>(g) + n * pixels * O;
    A* const dx = a.dx.group<A>(g) + n * pixels * C;
    // The windows of the even bands cover the image.
    if (k % 2 == 0) fill_zero(dx + window.low * s.width * C, window.rows() * s.width * C);
    A* const dw = a.partials.group<A>(g) + (n * bands + k) * part;
    fill_zero(dw, part);
    A* const columns = static_cast<A*>(thread_scratch(kColumnsSlot, kTilePixels * K * sizeof(A)));
    A* const wide = static_cast<A*>(thread_scratch(kWideSlot, kTilePixels * O * sizeof(A)));
    uint64_t* const bits = far + (image * bands + k) * words;
    fill_zero(bits, words);
    for (int64_t begin = first; begin < last; begin += kTilePixels) {
      const int64_t end = smaller(begin + kTilePixels, last), count = end - begin;
      const A* const g_tile = widen_rows(dy + begin * O, count * O, wide);
      multiply(g_tile, O, count, a.packed.group<A>(g), O, K,
               [=](int64_t row, int64_t column, vec<A> v, auto block) {
                 block.store(columns + row * K + column, v);
               });
      unsample_tile(s, in, begin, end, window, first, FarTaps(bits), columns, dx,
                    a.doffset.group<A>(g) + n * pixels * s.taps() * 2,
                    a.dmask.group<A>(g) + n * pixels * s.taps());
      multiply_transposed(columns, K, g_tile, O, count, K, O, dw, O);
      add_rows(g_tile, count, O, dw + K * O);
    }
  };
  for (int64_t parity = 0; parity < 2; ++parity) {
    const int64_t half = (bands + 1 - parity) / 2;
    parallel_for(executor, s.groups * s.images * half, [&](int64_t task) {
      band(task / half, task % half * 2 + parity);
    });
  }

  // Add the gradients beyond the windows: every task owns some channels of an image.
  const int64_t slices = ceil_div(C, kFarChannels);
  parallel_for(executor, s.groups * s.images * slices, [&](int64_t task) {
    const int64_t image = task / slices, g = image / s.images, n = image % s.images;
    const Image<T> in(s, a.x, a.offset, a.mask, g, n);
    FarGradients<T> gradients(s, task % slices, in.offset, in.mask, a.w.group<A>(g),
                              a.dy.group<T>(g) + n * pixels * O,
                              a.dx.group<A>(g) + n * pixels * C, kSliceSlot);
    for (int64_t k = 0; k < bands; ++k) {
      const int64_t first = k * kDeformBandRows * s.width * s.taps();
      FarTaps(far + (image * bands + k) * words).for_each(words, [&](int64_t tap) {
        gradients.add(first + tap);
      });
    }
    gradients.flush();
  });
  for (int64_t g = 0; g < s.groups; ++g) {
    const A* const sums = a.partials.group<A>(g);
    const int64_t rows = ceil_div(K, 64);
    parallel_for(executor, rows, [&](int64_t r) {
      sum_parts(sums, s.images * bands, part, r * 64 * O, smaller(r * 64 + 64, K) * O,
                a.dw.group<A>(g));
    });
    sum_parts(sums + K * O, s.images * bands, part, 0, O, a.db.group<A>(g));
  }
}

S3N_FOR_TYPES(forward, DeformForward)
S3N_FOR_TYPES(backward, DeformBackward)

}  // namespace

extern const DeformKernels deform_kernels;
const DeformKernels deform_kernels = {forward_any, backward_any};

}  // namespace S3N_ISA
}  // namespace s3n
