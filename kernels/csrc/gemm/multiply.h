// Matrix products of tiles that are in the caches.
//
// R rows times V registers of columns are summed together. The R V sums, V registers of the right
// matrix and one broadcast element fit in the registers, and each loaded element serves V or R
// products, so the loads keep up with the multiplications.
#pragma once

#include "gemm/panels.h"

namespace s3n {
namespace S3N_ISA {

// Rows of a product: their sums take three quarters of the registers or less, and the rest hold the
// panel's row and the factor.
template <int V>
constexpr int kTileRows = V == kPanelVectors ? 6 : 12;

// sum[r][v] += a[r, :] panel[:, v], for the first R rows of a and V registers of the panel.
template <class A, int R, int V>
S3N_INLINE void multiply_block(const A* a, int64_t a_row, const A* panel, int64_t k,
                               vec<A> (&sum)[R][V]) {
  constexpr int L = kLanes<A>;
  S3N_UNROLL_SOME
  for (int64_t i = 0; i < k; ++i) {
    vec<A> b[V];
    S3N_UNROLL
    for (int v = 0; v < V; ++v) b[v] = load(panel + i * kPanel<A> + v * L);
    S3N_UNROLL
    for (int r = 0; r < R; ++r) {
      const vec<A> x = broadcast(a[r * a_row + i]);
      S3N_UNROLL
      for (int v = 0; v < V; ++v) sum[r][v] += x * b[v];
    }
  }
}

// sum[r][v] += a[:, r] b[:, v]: products summed over the rows of both, R columns of a.
template <class A, int R, int V, bool Full>
S3N_INLINE void multiply_transposed_block(const A* a, int64_t a_row, const A* b, int64_t b_row,
                                          int64_t rows, Block<Full> last, vec<A> (&sum)[R][V]) {
  constexpr int L = kLanes<A>;
  S3N_UNROLL_SOME
  for (int64_t i = 0; i < rows; ++i) {
    vec<A> y[V];
    S3N_UNROLL
    for (int v = 0; v < V; ++v) {
      const A* p = b + i * b_row + v * L;
      y[v] = v + 1 < V ? load(p) : last.load(p);
    }
    S3N_UNROLL
    for (int r = 0; r < R; ++r) {
      const vec<A> x = broadcast(a[i * a_row + r]);
      S3N_UNROLL
      for (int v = 0; v < V; ++v) sum[r][v] += x * y[v];
    }
  }
}

// Calls done(row, column, vector, block) for every register of a block of results.
template <class A, int R, int V, class Done>
S3N_INLINE void finish_block(const vec<A> (&sum)[R][V], int64_t row, int64_t column,
                             int64_t columns, Done&& done) {
  constexpr int L = kLanes<A>;
  if (column + V * L <= columns) {
    S3N_UNROLL
    for (int r = 0; r < R; ++r) {
      S3N_UNROLL
      for (int v = 0; v < V; ++v)
        done(row + r, column + v * L, sum[r][v], Block<true>{L, v * kBytes % 64 == 0});
    }
    return;
  }
  S3N_UNROLL
  for (int r = 0; r < R; ++r) {
    S3N_UNROLL
    for (int v = 0; v < V; ++v) {
      const int64_t left = columns - column - v * L;
      if (left >= L) done(row + r, column + v * L, sum[r][v], Block<true>{L});
      else if (left > 0) done(row + r, column + v * L, sum[r][v], Block<false>{int(left)});
    }
  }
}

// Calls f(Count<R>, i) for blocks of R rows that cover [0, count): first as many rows as fit in the
// registers; then, for whole panels, as few as keep the multipliers busy (a block of one row would
// wait for its own sums); then single rows.
template <int V, class F>
S3N_INLINE void for_each_rows(int64_t count, F&& f) {
  constexpr int kMost = kTileRows<V>, kFew = V == kPanelVectors ? 8 / V : kMost;
  int64_t i = 0;
  for (; i + kMost <= count; i += kMost) f(Count<kMost>{}, opaque(i));
  if constexpr (kFew < kMost)
    for (; i + kFew <= count; i += kFew) f(Count<kFew>{}, opaque(i));
  for (; i < count; ++i) f(Count<1>{}, opaque(i));
}

template <class A, int V, class Done>
S3N_NOINLINE void multiply_panel(const A* a, int64_t a_row, int64_t rows, const A* panel,
                                 int64_t k, int64_t column, int64_t columns, Done done) {
  for_each_rows<V>(rows, [&](auto count, int64_t row) {
    constexpr int R = count.value;
    vec<A> sum[R][V] = {};
    multiply_block<A, R, V>(a + row * a_row, a_row, panel, k, sum);
    finish_block<A, R, V>(sum, row, column, columns, done);
  });
}

// Multiplies a (rows, k), whose rows are a_row apart, by a packed (k, columns) matrix.
// done(row, column, vector, block) receives every register of the result once. It is called often,
// so it should capture by value.
template <class A, class Done>
S3N_INLINE void multiply(const A* a, int64_t a_row, int64_t rows, const A* packed, int64_t k,
                         int64_t columns, Done done) {
#if defined(__AMX_BF16__)
  if constexpr (sizeof(A) == 4) {
    if (tiled(k)) return multiply_tiled(a, a_row, rows, packed, k, columns, done);
  }
#endif
  constexpr int L = kLanes<A>;
  for (int64_t column = 0; column < columns; column += kPanel<A>, packed += k * kPanel<A>) {
    // Panels are padded with zeros, so three registers are computed as four.
    switch (ceil_div(columns - column, L)) {
      case 1: multiply_panel<A, 1>(a, a_row, rows, packed, k, column, columns, done); break;
      case 2: multiply_panel<A, 2>(a, a_row, rows, packed, k, column, columns, done); break;
      default: multiply_panel<A, kPanelVectors>(a, a_row, rows, packed, k, column, columns, done);
    }
  }
}

template <class A, int V, bool Full>
S3N_NOINLINE void multiply_transposed_panel(const A* a, int64_t a_row, const A* b, int64_t b_row,
                                            int64_t rows, int64_t k, Block<Full> last, A* c,
                                            int64_t c_row) {
  constexpr int L = kLanes<A>;
  const auto add = [&](int64_t row, int64_t column, vec<A> sum, auto block) {
    A* const p = c + row * c_row + column;
    block.store(p, block.load(p) + sum);
  };
  const int64_t columns = (V - 1) * L + last.count;
  for_each_rows<V>(k, [&](auto count, int64_t i) {
    constexpr int R = count.value;
    vec<A> sum[R][V] = {};
    multiply_transposed_block<A, R, V>(a + i, a_row, b, b_row, rows, last, sum);
    finish_block<A, R, V>(sum, i, 0, columns, add);
  });
}

// Computes c (k, columns) += the transpose of a (rows, k), times b (rows, columns).
template <class A>
S3N_INLINE void multiply_transposed(const A* a, int64_t a_row, const A* b, int64_t b_row,
                                    int64_t rows, int64_t k, int64_t columns, A* c,
                                    int64_t c_row) {
#if defined(__AMX_BF16__)
  if constexpr (sizeof(A) == 4) {
    if (tiled(rows) && tiled(k))
      return multiply_transposed_tiled(a, a_row, b, b_row, rows, k, columns, c, c_row);
  }
#endif
  constexpr int L = kLanes<A>;
  int64_t column = 0;
  const auto panel = [&](auto vectors, auto last) {
    multiply_transposed_panel<A, vectors.value>(a, a_row, b + column, b_row, rows, k, last,
                                                c + column, c_row);
    column += vectors.value * L;
  };
  while (column + kPanel<A> <= columns) panel(Count<kPanelVectors>{}, Block<true>{L});
  if (column + 2 * L <= columns) panel(Count<2>{}, Block<true>{L});
  if (column + L <= columns) panel(Count<1>{}, Block<true>{L});
  if (column < columns) panel(Count<1>{}, Block<false>{int(columns - column)});
}

}  // namespace S3N_ISA
}  // namespace s3n
