// Dense convolution for one instruction set. The patches of a tile of pixels are gathered into the
// cache, where they overlap, and multiplied there.
#include "core/blocks.h"
#include "core/scratch.h"
#include "core/sum.h"
#include "conv2d/conv2d.h"
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

// Runs of pixels of one row, band by band: f(group, image of the group, band, row, columns).
struct Run {
  int64_t group, image, band, row, begin, end;
};

template <class Start, class F>
void for_each_band(const ConvShape& s, Executor& executor, Start&& start, F&& f) {
  const int64_t bands = conv_bands(s.height);
  parallel_for(executor, s.groups * s.images * bands, [&](int64_t task) {
    const int64_t image = task / bands, first = task % bands * kConvBandRows;
    Run run = {image / s.images, image % s.images, task % bands, first, 0, 0};
    start(run);
    for (run.row = first; run.row < smaller(first + kConvBandRows, s.height); ++run.row)
      for (run.begin = 0; run.begin < s.width; run.begin = run.end) {
        run.end = smaller(run.begin + kTilePixels, s.width);
        f(run);
      }
  });
}

template <class T>
S3N_INLINE void copy_wide(const T* from, int64_t count, accumulator<T>* to) {
  using A = accumulator<T>;
  for_each_block<A>(count,
                    [&](auto block, int64_t i) { block.store(to + i, block.load(from + i)); });
}

// The patches of a run, gathered column by column with zeros beyond the image:
// (pixels + kw - 1, kh * inputs). A pixel's patch is kw consecutive columns, so patches overlap as
// they do in the image, and a number is stored kh times instead of kh * kw times.
template <class T>
class Patches {
 public:
  using A = accumulator<T>;
  explicit Patches(const ConvShape& s)
      : s_(s), columns_(static_cast<A*>(thread_scratch(
                   0, (kTilePixels + s.kernel_width - 1) * stride() * sizeof(A)))) {}

  // Distance in elements from one pixel's patch to the next.
  int64_t stride() const { return s_.kernel_height * s_.inputs; }

  const A* gather(const T* x, const Run& run) const {
    const int64_t C = s_.inputs, half = s_.kernel_width / 2, top = run.row - s_.kernel_height / 2;
    A* out = columns_;
    for (int64_t at = run.begin - half; at < run.end + half; ++at)
      for (int64_t row = top; row < top + s_.kernel_height; ++row, out += C) {
        if (row < 0 || row >= s_.height || at < 0 || at >= s_.width) fill_zero(out, C);
        else copy_wide(x + (row * s_.width + at) * C, C, out);
      }
    return columns_;
  }

 private:
  const ConvShape& s_;
  A* const columns_;
};

template <class T>
void forward(const ConvForward& a, Executor& executor) {
  using A = accumulator<T>;
  const ConvShape& s = a.shape;
  const int64_t K = s.columns(), O = s.outputs, pixels = s.height * s.width;
  parallel_for(executor, s.groups, [&](int64_t g) {
    pack_panels(a.w.group<A>(g), O, 1, K, O, a.packed.group<A>(g));
  });
  for_each_band(s, executor, [](const Run&) {}, [&](const Run& run) {
    const int64_t g = run.group, count = run.end - run.begin;
    const Patches<T> patches(s);
    const A* const columns = patches.gather(a.x.group<T>(g) + run.image * pixels * s.inputs, run);
    const A* const bias = a.b.group<A>(g);
    T* const y = a.y.group<T>(g) +
                 (run.image * pixels + run.row * s.width + run.begin) * O;
    multiply(columns, patches.stride(), count, a.packed.group<A>(g), K, O,
             [=](int64_t row, int64_t column, vec<A> v, auto block) {
               block.store(y + row * O + column, v + block.load(bias + column));
             });
  });
}

// Returns whether the weights' gradients are summed transposed, so that the larger number of
// columns fills the registers. AMX tiles are filled either way.
bool sums_transposed(const ConvShape& s) {
#if defined(__AMX_BF16__)
  (void)s;
  return false;
#else
  return s.outputs < s.columns();
#endif
}

template <class T>
void weight_gradient(const ConvWeightGradient& a, Executor& executor) {
  using A = accumulator<T>;
  const ConvShape& s = a.shape;
  const int64_t K = s.columns(), O = s.outputs, pixels = s.height * s.width;
  const int64_t bands = conv_bands(s.height), part = (K + 1) * O;
  const bool transposed = sums_transposed(s);
  const auto sums = [&](const Run& run) {
    return a.partials.group<A>(run.group) + (run.image * bands + run.band) * part;
  };
  for_each_band(s, executor, [&](const Run& run) { fill_zero(sums(run), part); },
                [&](const Run& run) {
    const int64_t g = run.group, count = run.end - run.begin;
    A* const wide = static_cast<A*>(thread_scratch(1, kTilePixels * O * sizeof(A)));
    const Patches<T> patches(s);
    const int64_t stride = patches.stride();
    const A* const columns = patches.gather(a.x.group<T>(g) + run.image * pixels * s.inputs, run);
    const T* const dy = a.dy.group<T>(g) +
                        (run.image * pixels + run.row * s.width + run.begin) * O;
    const A* const gradient = widen_rows(dy, count * O, wide);
    if (transposed) multiply_transposed(gradient, O, columns, stride, count, O, K, sums(run), K);
    else multiply_transposed(columns, stride, gradient, O, count, K, O, sums(run), O);
    add_rows(gradient, count, O, sums(run) + K * O);
  });
  for (int64_t g = 0; g < s.groups; ++g) {
    A* const parts = a.partials.group<A>(g);
    A* const dw = a.dw.group<A>(g);
    const bool turn = transposed && s.images > 0;  // without images there are no partial sums
    sum_parts(parts, s.images * bands, part, 0, K * O, turn ? parts : dw);
    if (turn)
      for (int64_t k = 0; k < K; ++k)
        for (int64_t o = 0; o < O; ++o) dw[k * O + o] = parts[o * K + k];
    sum_parts(parts + K * O, s.images * bands, part, 0, O, a.db.group<A>(g));
  }
}

S3N_FOR_TYPES(forward, ConvForward)
S3N_FOR_TYPES(weight_gradient, ConvWeightGradient)

}  // namespace

extern const ConvKernels conv_kernels;
const ConvKernels conv_kernels = {forward_any, weight_gradient_any};

}  // namespace S3N_ISA
}  // namespace s3n
