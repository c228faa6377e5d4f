// Gated inception for one instruction set. The concatenated branches of a run of pixels live in
// the cache between the depthwise convolutions and the matrix product; nowhere else.
#include "core/scratch.h"
#include "core/sum.h"
#include "gated/gated.h"
#include "gemm/multiply.h"
#include "inception/rows.h"

namespace s3n {
namespace S3N_ISA {
namespace {

constexpr int64_t kRunPixels = 128;

// One band of one image.
struct Band {
  int64_t group, image, index, begin, end;  // image of the group, index within the image, rows
};

template <class F>
void for_each_band(const InceptionShape& s, Executor& executor, F&& f) {
  const int64_t bands = inception_bands(s.height);
  parallel_for(executor, s.groups * s.images * bands, [&](int64_t task) {
    const int64_t image = task / bands, begin = task % bands * kInceptionBandRows;
    f(Band{image / s.images, image % s.images, task % bands, begin,
           smaller(begin + kInceptionBandRows, s.height)});
    stream_fence();
  });
}

// Calls f(row, columns) for runs of pixels of the band's rows.
template <class F>
S3N_INLINE void for_each_run(const InceptionShape& s, const Band& band, F&& f) {
  for (int64_t row = band.begin; row < band.end; ++row)
    for (int64_t begin = 0; begin < s.width; begin += kRunPixels)
      f(row, Columns{begin, smaller(begin + kRunPixels, s.width)});
}

template <class T>
struct Layer {
  using A = accumulator<T>;
  const GatedShape& shape;
  const InceptionShape& s = shape.inception;
  InceptionRows<T> rows{s};
  int64_t C = s.channels, line = s.width * C, map = s.height * line;
  bool large = s.groups * s.images * map * int64_t(sizeof(T)) >= kStreamBytes;

  // This image's part of an array with one map per image.
  T* at(const Batched& array, const Band& band) const {
    return array.group<T>(band.group) + band.image * map;
  }
  bool streams(const T* p) const { return large && streamable(p, C * sizeof(T), kStreamBytes); }

  DepthwiseGeometry local() const {
    return {s.height, s.width, C, shape.local_height, shape.local_width, 1};
  }

  // The branches' (pixels, mixed) results for a run, as the product takes them.
  const A* branches(const T* t, const A* w, const A* b, int64_t row, Columns run) const {
    const int64_t count = (run.end - run.begin) * shape.mixed();
    T* const part = static_cast<T*>(thread_scratch(0, count * sizeof(T)));
    // The row's results are addressed from its first pixel.
    rows.forward(t, w, b, row, part - run.begin * shape.mixed(), false, run);
    A* const wide = sizeof(T) == sizeof(A)
                        ? nullptr
                        : static_cast<A*>(thread_scratch(1, count * sizeof(A)));
    return widen_rows(part, count, wide);
  }
};

template <class T>
void forward(const GatedForward& a, Executor& executor) {
  using A = accumulator<T>;
  const Layer<T> layer{a.shape};
  const InceptionShape& s = layer.s;
  const int64_t C = s.channels, mixed = a.shape.mixed();
  parallel_for(executor, s.groups, [&](int64_t g) {
    pack_panels(a.w2.group<A>(g), C, 1, mixed, C, a.packed.group<A>(g));
  });
  const auto local = depthwise_row_function<T>(a.shape.local_width, 1);
  for_each_band(s, executor, [&](const Band& band) {
    DepthwiseRow<T> r(layer.local());
    r.x = layer.at(a.x, band);
    r.w = a.local_w.group<A>(band.group);
    r.bias = a.local_b.group<A>(band.group);
    T* const t = layer.at(a.t, band);
    r.streaming = layer.streams(t);
    for (r.row = band.begin; r.row < band.end; ++r.row) {
      r.y = t + r.row * layer.line;
      local(r);
    }
  });
  for_each_band(s, executor, [&](const Band& band) {
    const int64_t g = band.group;
    const T *const x = layer.at(a.x, band), *const t = layer.at(a.t, band);
    const T* const residual = a.shape.residual ? layer.at(a.residual, band) : nullptr;
    T* const y = layer.at(a.y, band);
    T* const m = a.shape.save ? layer.at(a.m, band) : nullptr;
    const A* const b2 = a.b2.group<A>(g);
    const bool streaming = layer.streams(y) && (m == nullptr || layer.streams(m));
    for_each_run(s, band, [&](int64_t row, Columns run) {
      const A* const part = layer.branches(t, a.w.group<A>(g), a.b.group<A>(g), row, run);
      const int64_t first = row * layer.line + run.begin * C;
      multiply(part, mixed, run.end - run.begin, a.packed.group<A>(g), mixed, C,
               [&](int64_t r, int64_t column, vec<A> v, auto block) {
                 const int64_t at = first + r * C + column;
                 v += block.load(b2 + column);
                 vec<A> value = v * block.load(x + at);
                 if (residual != nullptr) value += block.load(residual + at);
                 if (streaming) {
                   stream(y + at, value);
                   if (m != nullptr) stream(m + at, v);
                 } else {
                   block.store(y + at, value);
                   if (m != nullptr) block.store(m + at, v);
                 }
               });
    });
  });
}

// The first sweep of backward: through gate and matrix product, to the branches' gradients.
template <class T>
void gate_backward(const GatedBackward& a, const Layer<T>& layer, Executor& executor) {
  using A = accumulator<T>;
  const InceptionShape& s = layer.s;
  const int64_t C = s.channels, mixed = a.shape.mixed(), pack = packed_size<A>(C, C);
  parallel_for(executor, s.groups * s.branches, [&](int64_t task) {
    const int64_t g = task / s.branches, r = task % s.branches;
    pack_panels(a.w2.group<A>(g) + r * C * C, 1, C, C, C, a.packed.group<A>(g) + r * pack);
  });
  for_each_band(s, executor, [&](const Band& band) {
    const int64_t g = band.group;
    const T *const x = layer.at(a.x, band), *const t = layer.at(a.t, band);
    const T *const m = layer.at(a.m, band), *const dy = layer.at(a.dy, band);
    T* const dx = layer.at(a.dx, band);
    T* const branches = a.branches.group<T>(g) + band.image * s.branches * layer.map;
    A* const sums = a.partials.group<A>(g) +
                    ((band.image * inception_bands(s.height) + band.index) * gated_sums(a.shape) +
                     gated_local_sums(a.shape) + gated_branch_sums(a.shape)) *
                        C;
    fill_zero(sums, (mixed + 1) * C);
    A* const dm = static_cast<A*>(thread_scratch(2, kRunPixels * C * sizeof(A)));
    const bool streaming = layer.streams(branches);
    for_each_run(s, band, [&](int64_t row, Columns run) {
      const int64_t first = row * layer.line + run.begin * C, count = run.end - run.begin;
      constexpr int L = kLanes<A>;
      int64_t i = 0;
      for (; i + L <= count * C; i += L) {
        const vec<A> d = load(dy + first + i);
        store(dm + i, d * load(x + first + i));
        store(dx + first + i, d * load(m + first + i));
      }
      for (; i < count * C; ++i) {
        const A d = widen(dy[first + i]);
        dm[i] = d * widen(x[first + i]);
        narrow(d * widen(m[first + i]), dx + first + i);
      }
      const A* const part = layer.branches(t, a.w.group<A>(g), a.b.group<A>(g), row, run);
      multiply_transposed(part, mixed, dm, C, count, mixed, C, sums, C);
      add_rows(dm, count, C, sums + mixed * C);
      for (int64_t r = 0; r < s.branches; ++r) {
        T* const branch = branches + r * layer.map + first;
        multiply(dm, C, count, a.packed.group<A>(g) + r * pack, C, C,
                 [&](int64_t p, int64_t column, vec<A> v, auto block) {
                   if (streaming) stream(branch + p * C + column, v);
                   else block.store(branch + p * C + column, v);
                 });
      }
    });
  });
}

template <class T>
void backward(const GatedBackward& a, Executor& executor) {
  using A = accumulator<T>;
  const Layer<T> layer{a.shape};
  const InceptionShape& s = layer.s;
  const int64_t C = s.channels, mixed = a.shape.mixed(), bands = inception_bands(s.height);
  const int64_t local = gated_local_sums(a.shape) * C, branch = gated_branch_sums(a.shape) * C;
  const int64_t part = gated_sums(a.shape) * C;
  gate_backward(a, layer, executor);

  for_each_band(s, executor, [&](const Band& band) {
    const int64_t g = band.group;
    const T* const t = layer.at(a.t, band);
    const T* const branches = a.branches.group<T>(g) + band.image * s.branches * layer.map;
    T* const dt = layer.at(a.dt, band);
    A* const sums = a.partials.group<A>(g) + (band.image * bands + band.index) * part + local;
    const BranchLayout layout = {layer.map, C};
    fill_zero(sums, branch);
    for (int64_t row = band.begin; row < band.end; ++row) {
      const Columns all = {0, s.width};
      layer.rows.input_gradient(branches, layout, a.turned.group<A>(g), row,
                                dt + row * layer.line, layer.streams(dt), all);
      layer.rows.weight_gradient(t, branches + row * layer.line, layout, row, sums, all);
    }
  });

  const auto input_row = depthwise_row_function<T>(a.shape.local_width, 1);
  const auto gradient_row = depthwise_gradient_function<T>(a.shape.local_width, 1);
  for_each_band(s, executor, [&](const Band& band) {
    const int64_t g = band.group;
    A* const sums = a.partials.group<A>(g) + (band.image * bands + band.index) * part;
    fill_zero(sums, local);
    DepthwiseRow<T> r(layer.local());
    r.x = layer.at(a.dt, band);
    r.w = a.local_turned.group<A>(g);
    r.accumulate = true;
    T* const dx = layer.at(a.dx, band);
    r.streaming = layer.streams(dx);
    DepthwiseGradientRow<T> d(layer.local());
    d.x = layer.at(a.x, band);
    d.dw = sums;
    d.db = sums + local - C;
    for (int64_t row = band.begin; row < band.end; ++row) {
      r.row = d.row = row;
      r.y = dx + row * layer.line;
      input_row(r);
      d.dy = r.x + row * layer.line;
      gradient_row(d);
    }
  });

  parallel_for(executor, s.groups, [&](int64_t g) {
    const A* sums = a.partials.group<A>(g);
    const auto total = [&](const Batched& out, int64_t count) {
      sum_parts(sums, s.images * bands, part, 0, count, out.group<A>(g));
      sums += count;
    };
    total(a.dlocal_w, local - C);
    total(a.dlocal_b, C);
    total(a.dw, s.taps() * C);
    total(a.db, mixed);
    total(a.dw2, mixed * C);
    total(a.db2, C);
  });
}

S3N_FOR_TYPES(forward, GatedForward)
S3N_FOR_TYPES(backward, GatedBackward)

}  // namespace

extern const GatedKernels gated_kernels;
const GatedKernels gated_kernels = {forward_any, backward_any};

}  // namespace S3N_ISA
}  // namespace s3n
