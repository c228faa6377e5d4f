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

// Slots of a thread's memory.
constexpr int kPartSlot = 0, kWideSlot = 1, kGateSlot = 2, kInputSlot = 3, kGradientSlot = 5;

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

template <class T>
struct Layer {
  using A = accumulator<T>;
  const GatedShape& shape;
  const InceptionShape& s = shape.inception;
  InceptionBranches<T> inception{s};
  int64_t C = s.channels, line = s.width * C, map = s.height * line;
  bool large = s.groups * s.images * map * int64_t(sizeof(T)) >= kStreamBytes;

  // This image's part of an array with one map per image.
  T* at(const Batched& array, const Band& band) const {
    return array.group<T>(band.group) + band.image * map;
  }
  bool streams(const T* p) const { return large && streamable(p, C * sizeof(T), kStreamBytes); }

  DepthwiseGeometry local() const {
    return {s.height, C, shape.local_height, shape.local_width, 1};
  }

  // Calls f(row, columns) for the rows of every tile of the band, each packed for it.
  template <class F>
  void for_each_row(const Band& band, InceptionTile<T>& tile, const T* image, F&& f) const {
    for_each_tile(s.width, [&](Columns columns) {
      tile.start(image, columns, band.begin);
      for (int64_t row = band.begin; row < band.end; ++row) {
        tile.advance(row);
        f(row, columns);
      }
    });
  }

  // The branches' (pixels, mixed) results for a row of the tile, as the product takes them.
  const A* branches(const InceptionTile<T>& tile, const A* w, const A* b, int64_t row,
                    Columns columns) const {
    const int64_t count = columns.count() * shape.mixed();
    T* const part = static_cast<T*>(thread_scratch(kPartSlot, count * sizeof(T)));
    tile.forward(w, b, row, part, false);
    A* const wide = sizeof(T) == sizeof(A)
                        ? nullptr
                        : static_cast<A*>(thread_scratch(kWideSlot, count * sizeof(A)));
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
    PackedRows<T> x = packed_rows<T>(s.height, s.width, layer.local(), kInputSlot);
    DepthwiseRow<T> r(layer.local(), x);
    r.w = a.local_w.group<A>(band.group);
    r.bias = a.local_b.group<A>(band.group);
    T* const t = layer.at(a.t, band);
    r.streaming = layer.streams(t);
    for_each_tile(s.width, [&](Columns columns) {
      x.start(layer.at(a.x, band), columns, band.begin);
      r.columns = columns.count();
      for (r.row = band.begin; r.row < band.end; ++r.row) {
        x.advance(r.row);
        r.y = t + r.row * layer.line + columns.begin * C;
        local(r);
      }
    });
  });
  for_each_band(s, executor, [&](const Band& band) {
    const int64_t g = band.group;
    const T* const x = layer.at(a.x, band);
    const T* const residual = a.shape.residual ? layer.at(a.residual, band) : nullptr;
    T* const y = layer.at(a.y, band);
    T* const m = a.shape.save ? layer.at(a.m, band) : nullptr;
    const A* const b2 = a.b2.group<A>(g);
    const bool streaming = layer.streams(y) && (m == nullptr || layer.streams(m));
    InceptionTile<T> tile(layer.inception, kInputSlot);
    layer.for_each_row(band, tile, layer.at(a.t, band), [&](int64_t row, Columns columns) {
      const A* const part =
          layer.branches(tile, a.w.group<A>(g), a.b.group<A>(g), row, columns);
      const int64_t first = row * layer.line + columns.begin * C;
      multiply(part, mixed, columns.count(), a.packed.group<A>(g), mixed, C,
               [&](int64_t r, int64_t column, vec<A> v, auto block) {
                 const int64_t at = first + r * C + column;
                 prefetch(x + at + layer.line);  // the tile's next row
                 if (residual != nullptr) prefetch(residual + at + layer.line);
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
    const T* const x = layer.at(a.x, band);
    const T *const m = layer.at(a.m, band), *const dy = layer.at(a.dy, band);
    T* const dx = layer.at(a.dx, band);
    T* const branches = a.branches.group<T>(g) + band.image * s.branches * layer.map;
    A* const sums = a.partials.group<A>(g) +
                    ((band.image * inception_bands(s.height) + band.index) * gated_sums(a.shape) +
                     gated_local_sums(a.shape) + gated_branch_sums(a.shape)) *
                        C;
    fill_zero(sums, (mixed + 1) * C);
    A* const dm = static_cast<A*>(thread_scratch(kGateSlot, kTileColumns * C * sizeof(A)));
    const bool streaming = layer.streams(branches);
    InceptionTile<T> tile(layer.inception, kInputSlot);
    layer.for_each_row(band, tile, layer.at(a.t, band), [&](int64_t row, Columns columns) {
      const int64_t first = row * layer.line + columns.begin * C, count = columns.count();
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
      const A* const part =
          layer.branches(tile, a.w.group<A>(g), a.b.group<A>(g), row, columns);
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
    const T* const branches = a.branches.group<T>(g) + band.image * s.branches * layer.map;
    T* const dt = layer.at(a.dt, band);
    A* const sums = a.partials.group<A>(g) + (band.image * bands + band.index) * part + local;
    const BranchLayout layout = {layer.map, C};
    const bool streaming = layer.streams(dt);
    fill_zero(sums, branch);
    InceptionTile<T> input(layer.inception, kInputSlot);
    InceptionGradientTile<T> gradient(layer.inception, layout, kGradientSlot);
    for_each_tile(s.width, [&](Columns columns) {
      input.start(layer.at(a.t, band), columns, band.begin);
      gradient.start(branches, columns, band.begin);
      for (int64_t row = band.begin; row < band.end; ++row) {
        const int64_t first = row * layer.line + columns.begin * C;
        input.advance(row);
        gradient.advance(row);
        gradient.input_gradient(a.turned.group<A>(g), row, dt + first, streaming);
        input.weight_gradient(branches + first, layout, row, sums);
      }
    });
  });

  const auto input_row = depthwise_row_function<T>(a.shape.local_width, 1);
  const auto gradient_row = depthwise_gradient_function<T>(a.shape.local_width, 1);
  for_each_band(s, executor, [&](const Band& band) {
    const int64_t g = band.group;
    A* const sums = a.partials.group<A>(g) + (band.image * bands + band.index) * part;
    fill_zero(sums, local);
    PackedRows<T> x = packed_rows<T>(s.height, s.width, layer.local(), kInputSlot);
    PackedRows<T> gradients = packed_rows<T>(s.height, s.width, layer.local(), kGradientSlot);
    const T* const dt = layer.at(a.dt, band);
    T* const dx = layer.at(a.dx, band);
    DepthwiseRow<T> r(layer.local(), gradients);
    r.w = a.local_turned.group<A>(g);
    r.accumulate = true;
    r.streaming = layer.streams(dx);
    DepthwiseGradientRow<T> d(layer.local(), x);
    d.dw = sums;
    d.db = sums + local - C;
    for_each_tile(s.width, [&](Columns columns) {
      x.start(layer.at(a.x, band), columns, band.begin);
      gradients.start(dt, columns, band.begin);
      r.columns = d.columns = columns.count();
      for (int64_t row = band.begin; row < band.end; ++row) {
        x.advance(row);
        gradients.advance(row);
        r.row = d.row = row;
        r.y = dx + row * layer.line + columns.begin * C;
        input_row(r);
        d.dy = dt + row * layer.line + columns.begin * C;
        gradient_row(d);
      }
    });
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
