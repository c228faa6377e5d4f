// Linear layers for one instruction set. Tiles of rows pass through matrix product, bias,
// activation and residual while they are in the cache, and the next tile is prefetched.
#include "core/math.h"
#include "core/scratch.h"
#include "core/sum.h"
#include "gemm/multiply.h"
#include "linear/linear.h"

namespace s3n {
namespace S3N_ISA {
namespace {

// Rows that pass through all stages of the operator while they are in cache: a multiple of the rows
// of a product and of an AMX tile. Other multiples were not timed.
constexpr int64_t kTileRows = 96;

// Computes y[i] = gelu(z[i]) + residual[i] and, unless slope is nullptr, the derivative of gelu.
template <class T>
S3N_NOINLINE void gelu_rows(const accumulator<T>* z, const T* residual, int64_t count,
                            bool streaming, T* y, T* slope) {
  using A = accumulator<T>;
  constexpr int L = kLanes<A>;
  // Streaming half a line at a time, alternating between two results, is slower than plain stores.
  streaming = streaming && kBytes == 64;
  const auto put = [=](T* p, vec<A> v) { streaming ? stream(p, v) : store(p, v); };
  int64_t i = 0;
  for (; i + L <= count; i += L) {
    vec<A> value, derivative;
    gelu(load(z + i), &value, &derivative);
    if (residual != nullptr) value += load(residual + i);
    put(y + i, value);
    if (slope != nullptr) put(slope + i, derivative);
  }
  if (i < count) {
    vec<A> value, derivative;
    gelu(load(z + i, int(count - i)), &value, &derivative);
    if (residual != nullptr) value += load(residual + i, int(count - i));
    store(y + i, value, int(count - i));
    if (slope != nullptr) store(slope + i, derivative, int(count - i));
  }
}

template <class T>
void forward(const LinearForward& a, Executor& executor) {
  using A = accumulator<T>;
  const LinearShape& s = a.shape;
  const int64_t K = s.inputs, N = s.outputs, blocks = linear_blocks(s.rows);
  parallel_for(executor, s.groups, [&](int64_t g) {
    pack_panels(a.w.group<A>(g), N, 1, K, N, a.packed.group<A>(g));
  });
  parallel_for(executor, s.groups * blocks, [&](int64_t task) {
    const int64_t g = task / blocks, first = task % blocks * kLinearBlockRows;
    const int64_t last = smaller(first + kLinearBlockRows, s.rows);
    const T* const x = a.x.group<T>(g);
    const A* const bias = a.b.group<A>(g);
    const A* const packed = a.packed.group<A>(g);
    const T* const residual = s.residual ? a.residual.group<T>(g) : nullptr;
    T* const y = a.y.group<T>(g);
    A* const wide = static_cast<A*>(thread_scratch(0, kTileRows * K * sizeof(A)));
    const bool streaming =
        streamable(y, N * sizeof(T), s.groups * s.rows * N * sizeof(T)) &&
        (!s.slope || streamable(a.slope.group<T>(g), N * sizeof(T), kStreamBytes));
    for (int64_t row = first; row < last; row += kTileRows) {
      const int64_t count = smaller(kTileRows, last - row), next = row + kTileRows;
      const A* const tile = widen_rows(x + row * K, count * K, wide);
      if (s.gelu) {
        A* const z = static_cast<A*>(thread_scratch(1, kTileRows * N * sizeof(A)));
        multiply(tile, K, count, packed, K, N,
                 [=](int64_t r, int64_t column, vec<A> v, auto block) {
                   block.prefetch(x + (next + r) * K + column);
                   if (residual != nullptr) block.prefetch(residual + (row + r) * N + column);
                   block.store(z + r * N + column, v + block.load(bias + column));
                 });
        gelu_rows(z, residual != nullptr ? residual + row * N : nullptr, count * N, streaming,
                  y + row * N, s.slope ? a.slope.group<T>(g) + row * N : nullptr);
        continue;
      }
      multiply(tile, K, count, packed, K, N,
               [=](int64_t r, int64_t column, vec<A> v, auto block) {
                 const int64_t at = (row + r) * N + column;
                 block.prefetch(x + (next + r) * K + column);
                 if (residual != nullptr) block.prefetch(residual + (next + r) * N + column);
                 v += block.load(bias + column);
                 if (residual != nullptr) v += block.load(residual + at);
                 if (streaming) stream(y + at, v);
                 else block.store(y + at, v);
               });
    }
    stream_fence();
  });
}

// The gradient before the activation: slope * dy, or dy itself.
template <class T>
S3N_INLINE const accumulator<T>* tile_gradient(const T* dy, const T* slope, int64_t count,
                                               accumulator<T>* wide) {
  using A = accumulator<T>;
  if (slope == nullptr) return widen_rows(dy, count, wide);
  constexpr int L = kLanes<A>;
  int64_t i = 0;
  for (; i + L <= count; i += L) store(wide + i, load(dy + i) * load(slope + i));
  for (; i < count; ++i) wide[i] = widen(dy[i]) * widen(slope[i]);
  return wide;
}

template <class T>
void backward(const LinearBackward& a, Executor& executor) {
  using A = accumulator<T>;
  const LinearShape& s = a.shape;
  const int64_t K = s.inputs, N = s.outputs, blocks = linear_blocks(s.rows), part = (K + 1) * N;
  parallel_for(executor, s.groups, [&](int64_t g) {
    pack_panels(a.w.group<A>(g), 1, N, N, K, a.packed.group<A>(g));
  });
  parallel_for(executor, s.groups * blocks, [&](int64_t task) {
    const int64_t g = task / blocks, first = task % blocks * kLinearBlockRows;
    const int64_t last = smaller(first + kLinearBlockRows, s.rows);
    const T* const x = a.x.group<T>(g);
    const T* const dy = a.dy.group<T>(g);
    const T* const slope = s.slope ? a.slope.group<T>(g) : nullptr;
    const T* const residual = s.residual ? a.residual.group<T>(g) : nullptr;
    T* const dx = a.dx.group<T>(g);
    A* const dw = a.partials.group<A>(g) + task % blocks * part;
    A* const wide_x = static_cast<A*>(thread_scratch(0, kTileRows * K * sizeof(A)));
    A* const wide_dy = static_cast<A*>(thread_scratch(1, kTileRows * N * sizeof(A)));
    const bool streaming = streamable(dx, K * sizeof(T), s.groups * s.rows * K * sizeof(T));
    fill_zero(dw, part);
    for (int64_t row = first; row < last; row += kTileRows) {
      const int64_t count = smaller(kTileRows, last - row), next = row + kTileRows;
      const A* const g_tile = tile_gradient(
          dy + row * N, slope != nullptr ? slope + row * N : nullptr, count * N, wide_dy);
      const A* const x_tile = widen_rows(x + row * K, count * K, wide_x);
      multiply(g_tile, N, count, a.packed.group<A>(g), N, K,
               [=](int64_t r, int64_t column, vec<A> v, auto block) {
                 const int64_t at = (row + r) * K + column;
                 T* const p = dx + at;
                 block.prefetch(x + (next + r) * K + column);
                 block.prefetch(dy + (next + r) * N + column);
                 if (slope != nullptr) block.prefetch(slope + (next + r) * N + column);
                 if (residual != nullptr) {
                   block.prefetch(residual + (next + r) * K + column);
                   v += block.load(residual + at);
                 }
                 if (streaming) stream(p, v);
                 else block.store(p, v);
               });
      multiply_transposed(x_tile, K, g_tile, N, count, K, N, dw, N);
      add_rows(g_tile, count, N, dw + K * N);
    }
    stream_fence();
  });
  for (int64_t g = 0; g < s.groups; ++g) {
    const A* const sums = a.partials.group<A>(g);
    sum_parts(sums, blocks, part, 0, K * N, a.dw.group<A>(g));
    sum_parts(sums + K * N, blocks, part, 0, N, a.db.group<A>(g));
  }
}

S3N_FOR_TYPES(forward, LinearForward)
S3N_FOR_TYPES(backward, LinearBackward)

}  // namespace

extern const LinearKernels linear_kernels;
const LinearKernels linear_kernels = {forward_any, backward_any};

}  // namespace S3N_ISA
}  // namespace s3n
