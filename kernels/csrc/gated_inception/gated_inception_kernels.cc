// Gated inception for one instruction set. The concatenated branches of a run of pixels exist only
// in the cache, between the depthwise convolutions and the matrix product.
#include "core/scratch.h"
#include "core/sum.h"
#include "gated_inception/gated_inception.h"
#include "gemm/multiply.h"
#include "inception_depthwise/rows.h"

namespace s3n {
namespace S3N_ISA {
namespace {

// Slots of thread_scratch.
constexpr int kPartSlot = 0, kWideSlot = 1, kGateSlot = 2, kInputSlot = 3, kGradientSlot = 5;

template <class T>
struct Layer {
  using A = accumulator<T>;
  const GatedShape& shape;
  const InceptionShape& s = shape.inception;
  InceptionBranches<T> inception{s};
  int64_t C = s.channels, line = s.width * C, map = s.height * line;
  bool large = s.groups * s.images * map * int64_t(sizeof(T)) >= kStreamBytes;

  // This image's part of an array with one map per image.
  T* at(const Batched& array, const InceptionPart& part) const {
    return array.group<T>(part.group) + part.image * map;
  }
  bool streams(const T* p) const { return large && streamable(p, C * sizeof(T), kStreamBytes); }

  DepthwiseGeometry local() const {
    return {s.height, C, shape.local_height, shape.local_width, 1};
  }

  // Calls f(row, columns) for the rows of every tile of the part, after packing the row.
  template <class F>
  void for_each_row(const InceptionPart& part, InceptionTile<T>& tile, const T* image,
                    F&& f) const {
    for_each_tile(part.columns, [&](Columns columns) {
      tile.start(image, columns, part.begin);
      for (int64_t row = part.begin; row < part.end; ++row) {
        tile.advance(row);
        f(row, columns);
      }
    });
  }

  // Computes the branches' (pixels, mixed) results for a row of the tile, in the product's type.
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
  for_each_part(s, executor, [&](const InceptionPart& part) {
    PackedRows<T> x = packed_rows<T>(s.height, s.width, layer.local(), kInputSlot);
    DepthwiseRow<T> r(layer.local(), x);
    r.w = a.local_w.group<A>(part.group);
    r.bias = a.local_b.group<A>(part.group);
    T* const t = layer.at(a.t, part);
    r.streaming = layer.streams(t);
    for_each_tile(part.columns, [&](Columns columns) {
      x.start(layer.at(a.x, part), columns, part.begin);
      r.columns = columns.count();
      for (r.row = part.begin; r.row < part.end; ++r.row) {
        x.advance(r.row);
        r.y = t + r.row * layer.line + columns.begin * C;
        local(r);
      }
    });
  });
  for_each_part(s, executor, [&](const InceptionPart& part) {
    const int64_t g = part.group;
    const T* const x = layer.at(a.x, part);
    const T* const residual = a.shape.residual ? layer.at(a.residual, part) : nullptr;
    T* const y = layer.at(a.y, part);
    T* const m = a.shape.save ? layer.at(a.m, part) : nullptr;
    const A* const b2 = a.b2.group<A>(g);
    const bool streaming = layer.streams(y) && (m == nullptr || layer.streams(m));
    InceptionTile<T> tile(layer.inception, kInputSlot);
    layer.for_each_row(part, tile, layer.at(a.t, part), [&](int64_t row, Columns columns) {
      const A* const wide =
          layer.branches(tile, a.w.group<A>(g), a.b.group<A>(g), row, columns);
      const int64_t first = row * layer.line + columns.begin * C;
      multiply(wide, mixed, columns.count(), a.packed.group<A>(g), mixed, C,
               [=, line = layer.line](int64_t r, int64_t column, vec<A> v, auto block) {
                 const int64_t at = first + r * C + column;
                 block.prefetch(x + at + line);  // the tile's next row
                 if (residual != nullptr) block.prefetch(residual + at + line);
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

// Computes out = a b elementwise.
template <class T, class U>
S3N_INLINE void multiply_rows(const T* a, const T* b, int64_t count, U* out) {
  constexpr int L = kLanes<accumulator<T>>;
  int64_t i = 0;
  for (; i + L <= count; i += L) store(out + i, load(a + i) * load(b + i));
  for (; i < count; ++i) narrow(widen(a[i]) * widen(b[i]), out + i);
}

// The first sweep of the backward pass: through gate and matrix product to the branches' gradients.
template <class T>
void gate_backward(const GatedBackward& a, const Layer<T>& layer, Executor& executor) {
  using A = accumulator<T>;
  const InceptionShape& s = layer.s;
  const int64_t C = s.channels, mixed = a.shape.mixed(), pack = packed_size<A>(C, C);
  const int64_t parts = inception_parts(s.height, s.width);
  parallel_for(executor, s.groups * s.branches, [&](int64_t task) {
    const int64_t g = task / s.branches, r = task % s.branches;
    pack_panels(a.w2.group<A>(g) + r * C * C, 1, C, C, C, a.packed.group<A>(g) + r * pack);
  });
  for_each_part(s, executor, [&](const InceptionPart& part) {
    const int64_t g = part.group;
    const T* const x = layer.at(a.x, part);
    const T* const dy = layer.at(a.dy, part);
    T* const branches = a.branches.group<T>(g) + part.image * s.branches * layer.map;
    A* const sums = a.partials.group<A>(g) +
                    ((part.image * parts + part.index) * gated_sums(a.shape) +
                     gated_local_sums(a.shape) + gated_branch_sums(a.shape)) *
                        C;
    fill_zero(sums, (mixed + 1) * C);
    A* const dm = static_cast<A*>(thread_scratch(kGateSlot, kTileColumns * C * sizeof(A)));
    const bool streaming = layer.streams(branches);
    InceptionTile<T> tile(layer.inception, kInputSlot);
    layer.for_each_row(part, tile, layer.at(a.t, part), [&](int64_t row, Columns columns) {
      const int64_t first = row * layer.line + columns.begin * C, count = columns.count();
      multiply_rows(dy + first, x + first, count * C, dm);
      const A* const wide =
          layer.branches(tile, a.w.group<A>(g), a.b.group<A>(g), row, columns);
      multiply_transposed(wide, mixed, dm, C, count, mixed, C, sums, C);
      add_rows(dm, count, C, sums + mixed * C);
      for (int64_t r = 0; r < s.branches; ++r) {
        T* const branch = branches + r * layer.map + first;
        multiply(dm, C, count, a.packed.group<A>(g) + r * pack, C, C,
                 [=](int64_t p, int64_t column, vec<A> v, auto block) {
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
  const int64_t C = s.channels, mixed = a.shape.mixed();
  const int64_t parts = inception_parts(s.height, s.width);
  const int64_t local = gated_local_sums(a.shape) * C, branch = gated_branch_sums(a.shape) * C;
  const int64_t size = gated_sums(a.shape) * C;  // size of a part's sums
  gate_backward(a, layer, executor);

  for_each_part(s, executor, [&](const InceptionPart& part) {
    const int64_t g = part.group;
    const T* const branches = a.branches.group<T>(g) + part.image * s.branches * layer.map;
    T* const dt = layer.at(a.dt, part);
    A* const sums = a.partials.group<A>(g) + (part.image * parts + part.index) * size + local;
    const BranchLayout layout = {layer.map, C};
    const bool streaming = layer.streams(dt);
    fill_zero(sums, branch);
    InceptionTile<T> input(layer.inception, kInputSlot);
    InceptionGradientTile<T> gradient(layer.inception, layout, kGradientSlot);
    for_each_tile(part.columns, [&](Columns columns) {
      input.start(layer.at(a.t, part), columns, part.begin);
      gradient.start(branches, columns, part.begin);
      for (int64_t row = part.begin; row < part.end; ++row) {
        const int64_t first = row * layer.line + columns.begin * C;
        input.advance(row);
        gradient.advance(row);
        gradient.input_gradient(a.turned.group<A>(g), row, dt + first, streaming);
        input.weight_gradient(branches + first, layout, row, sums, false);
      }
    });
  });

  const auto input_row = depthwise_row_function<T>(a.shape.local_width, 1);
  const auto gradient_row = depthwise_gradient_function<T>(a.shape.local_width, 1);
  for_each_part(s, executor, [&](const InceptionPart& part) {
    const int64_t g = part.group;
    A* const sums = a.partials.group<A>(g) + (part.image * parts + part.index) * size;
    fill_zero(sums, local);
    PackedRows<T> x = packed_rows<T>(s.height, s.width, layer.local(), kInputSlot);
    PackedRows<T> gradients = packed_rows<T>(s.height, s.width, layer.local(), kGradientSlot);
    const T* const dt = layer.at(a.dt, part);
    const T *const m = layer.at(a.m, part), *const dy = layer.at(a.dy, part);
    T* const dx = layer.at(a.dx, part);
    DepthwiseRow<T> r(layer.local(), gradients);
    r.w = a.local_turned.group<A>(g);
    r.accumulate = true;
    r.streaming = layer.streams(dx);
    DepthwiseGradientRow<T> d(layer.local(), x);
    d.dw = sums;
    d.db = sums + local - C;
    for_each_tile(part.columns, [&](Columns columns) {
      x.start(layer.at(a.x, part), columns, part.begin);
      gradients.start(dt, columns, part.begin);
      r.columns = d.columns = columns.count();
      for (int64_t row = part.begin; row < part.end; ++row) {
        x.advance(row);
        gradients.advance(row);
        r.row = d.row = row;
        const int64_t first = row * layer.line + columns.begin * C;
        multiply_rows(dy + first, m + first, columns.count() * C, dx + first);
        r.y = dx + first;
        input_row(r);
        d.dy = dt + first;
        gradient_row(d);
      }
    });
  });

  parallel_for(executor, s.groups, [&](int64_t g) {
    const A* sums = a.partials.group<A>(g);
    const auto total = [&](const Batched& out, int64_t count) {
      sum_parts(sums, s.images * parts, size, 0, count, out.group<A>(g));
      sums += count;
    };
    total(a.dlocal_w, local - C);
    total(a.dlocal_b, C);
    total(a.dw, s.taps() * C);
    total(a.dw2, mixed * C);
    total(a.db2, C);
    // A branch's gradient is dm times its part of w2, and so are the sums of both.
    const A *const db2 = a.db2.group<A>(g), *w2 = a.w2.group<A>(g);
    A* const db = a.db.group<A>(g);
    for (int64_t i = 0; i < mixed; ++i, w2 += C) {
      db[i] = 0;
      for (int64_t j = 0; j < C; ++j) db[i] += db2[j] * w2[j];
    }
  });
}

S3N_FOR_TYPES(forward, GatedForward)
S3N_FOR_TYPES(backward, GatedBackward)

}  // namespace

extern const GatedKernels gated_kernels;
const GatedKernels gated_kernels = {forward_any, backward_any};

}  // namespace S3N_ISA
}  // namespace s3n
