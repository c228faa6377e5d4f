// Batch normalisation for one instruction set: two passes over the rows, forward and backward.
// Sums are taken within blocks of rows, then over the blocks in order. The second pass visits the
// blocks in reverse order, because the last ones of the first pass are still in the cache.
#include "core/blocks.h"
#include "core/math.h"
#include "core/sum.h"
#include "batch_norm/batch_norm.h"

namespace s3n {
namespace S3N_ISA {
namespace {

// Calls f(group, block of the group, first row, end row).
template <class F>
void for_each_row_block(const NormShape& s, bool backwards, Executor& executor, F&& f) {
  const int64_t blocks = norm_blocks(s.rows), count = s.groups * blocks;
  parallel_for(executor, count, [&](int64_t task) {
    if (backwards) task = count - 1 - task;
    const int64_t block = task % blocks, first = block * kNormBlockRows;
    f(task / blocks, block, first, smaller(first + kNormBlockRows, s.rows));
  });
}

// Calls f(Count<B>, block, channel) for runs of B registers of channels.
template <class A, class F>
S3N_INLINE void for_each_run(int64_t channels, F&& f) {
  constexpr int L = kLanes<A>;
  int64_t c = 0;
  for (; c + 4 * L <= channels; c += 4 * L) f(Count<4>{}, Block<true>{L}, c);
  for (; c + L <= channels; c += L) f(Count<1>{}, Block<true>{L}, c);
  if (c < channels) f(Count<1>{}, Block<false>{int(channels - c)}, c);
}

// Rows summed before their sums are added to the block's. Summing in two levels preserves float's
// precision: sequential sums cost batch_norm a digit, which showed in trajectories.
constexpr int64_t kSumRows = 32;

// Computes sums of a block of rows about a pivot, which is the mean of its first rows and close
// enough to the block's mean to avoid cancellation in the variance: sums[c] of x - pivot, of its
// square, and pivot.
template <class T>
S3N_NOINLINE void block_moments(const T* x, int64_t rows, int64_t channels,
                                accumulator<T>* sums) {
  using A = accumulator<T>;
  for_each_run<A>(channels, [&](auto run, auto block, int64_t c) {
    constexpr int B = decltype(run)::value, L = kLanes<A>;
    vec<A> pivot[B] = {}, sum[B] = {}, square[B] = {};
    const int64_t start = smaller(rows, kSumRows);
    for (int k = 0; k < B; ++k) {
      for (int64_t r = 0; r < start; ++r) pivot[k] += block.load(x + r * channels + c + k * L);
      pivot[k] *= A(1) / A(start);
    }
    for (int64_t first = 0; first < rows; first += kSumRows) {
      const int64_t end = smaller(first + kSumRows, rows);
      vec<A> few[B] = {}, few_squares[B] = {};
      for (int64_t r = first; r < end; ++r) {
        S3N_UNROLL
        for (int k = 0; k < B; ++k) {
          const vec<A> d = block.load(x + r * channels + c + k * L) - pivot[k];
          few[k] += d;
          few_squares[k] += d * d;
        }
      }
      for (int k = 0; k < B; ++k) {
        sum[k] += few[k];
        square[k] += few_squares[k];
      }
    }
    for (int k = 0; k < B; ++k) {
      block.store(sums + c + k * L, sum[k]);
      block.store(sums + channels + c + k * L, square[k]);
      block.store(sums + 2 * channels + c + k * L, pivot[k]);
    }
  });
}

template <class T>
void forward(const NormForward& a, Executor& executor) {
  using A = accumulator<T>;
  const NormShape& s = a.shape;
  const int64_t C = s.channels, blocks = norm_blocks(s.rows), part = 3 * C;
  for_each_row_block(s, false, executor, [&](int64_t g, int64_t b, int64_t first, int64_t end) {
    block_moments(a.x.group<T>(g) + first * C, end - first, C, a.partials.group<A>(g) + b * part);
  });
  for (int64_t g = 0; g < s.groups; ++g) {
    // Combine means and squares block by block in double (Chan, Golub and LeVeque).
    for (int64_t c = 0; c < C; ++c) {
      double mean = 0, square = 0, count = 0;
      for (int64_t b = 0; b < blocks; ++b) {
        const int64_t first = b * kNormBlockRows;
        const double n = double(smaller(kNormBlockRows, s.rows - first));
        const A* const sums = a.partials.group<A>(g) + b * part;
        const double shift = double(sums[c]) / n;
        const double block_mean = double(sums[2 * C + c]) + shift;
        const double delta = block_mean - mean;
        square += double(sums[C + c]) - shift * double(sums[c]) + delta * delta * count * n /
                                                                      (count + n);
        count += n;
        mean += delta * n / count;
      }
      a.mean.group<A>(g)[c] = A(mean);
      a.rstd.group<A>(g)[c] = A(1 / ::sqrt(square / count + s.epsilon));
    }
  }
  for_each_row_block(s, true, executor, [&](int64_t g, int64_t, int64_t first, int64_t end) {
    const T* const x = a.x.group<T>(g);
    T* const y = a.y.group<T>(g);
    const bool streaming = streamable(y, C * sizeof(T), s.groups * s.rows * C * sizeof(T));
    for_each_run<A>(C, [&](auto run, auto block, int64_t c) {
      constexpr int B = decltype(run)::value, L = kLanes<A>;
      vec<A> mean[B], factor[B], bias[B];
      for (int k = 0; k < B; ++k) {
        mean[k] = block.load(a.mean.group<A>(g) + c + k * L);
        factor[k] = block.load(a.rstd.group<A>(g) + c + k * L) *
                    block.load(a.scale.group<A>(g) + c + k * L);
        bias[k] = block.load(a.bias.group<A>(g) + c + k * L);
      }
      for (int64_t r = first; r < end; ++r) {
        S3N_UNROLL
        for (int k = 0; k < B; ++k) {
          const int64_t at = r * C + c + k * L;
          const vec<A> v = (block.load(x + at) - mean[k]) * factor[k] + bias[k];
          if (streaming) stream(y + at, v);
          else block.store(y + at, v);
        }
      }
    });
    stream_fence();
  });
}

template <class T>
void backward(const NormBackward& a, Executor& executor) {
  using A = accumulator<T>;
  const NormShape& s = a.shape;
  const int64_t C = s.channels, blocks = norm_blocks(s.rows), part = 2 * C;
  for_each_row_block(s, false, executor, [&](int64_t g, int64_t b, int64_t first, int64_t end) {
    const T* const x = a.x.group<T>(g);
    const T* const dy = a.dy.group<T>(g);
    A* const sums = a.partials.group<A>(g) + b * part;
    for_each_run<A>(C, [&](auto run, auto block, int64_t c) {
      constexpr int B = decltype(run)::value, L = kLanes<A>;
      vec<A> mean[B], rstd[B], bias[B] = {}, scale[B] = {};
      for (int k = 0; k < B; ++k) {
        mean[k] = block.load(a.mean.group<A>(g) + c + k * L);
        rstd[k] = block.load(a.rstd.group<A>(g) + c + k * L);
      }
      for (int64_t start = first; start < end; start += kSumRows) {
        const int64_t stop = smaller(start + kSumRows, end);
        vec<A> few_biases[B] = {}, few_scales[B] = {};
        for (int64_t r = start; r < stop; ++r) {
          S3N_UNROLL
          for (int k = 0; k < B; ++k) {
            const int64_t at = r * C + c + k * L;
            const vec<A> d = block.load(dy + at);
            few_biases[k] += d;
            few_scales[k] += d * (block.load(x + at) - mean[k]);
          }
        }
        for (int k = 0; k < B; ++k) {
          bias[k] += few_biases[k];
          scale[k] += few_scales[k];
        }
      }
      for (int k = 0; k < B; ++k) {
        block.store(sums + c + k * L, bias[k]);
        block.store(sums + C + c + k * L, scale[k] * rstd[k]);
      }
    });
  });
  for (int64_t g = 0; g < s.groups; ++g) {
    sum_parts(a.partials.group<A>(g), blocks, part, 0, C, a.dbias.group<A>(g));
    sum_parts(a.partials.group<A>(g) + C, blocks, part, 0, C, a.dscale.group<A>(g));
  }
  for_each_row_block(s, true, executor, [&](int64_t g, int64_t, int64_t first, int64_t end) {
    const T* const x = a.x.group<T>(g);
    const T* const dy = a.dy.group<T>(g);
    T* const dx = a.dx.group<T>(g);
    const bool streaming = streamable(dx, C * sizeof(T), s.groups * s.rows * C * sizeof(T));
    const A share = A(1) / A(s.rows);
    for_each_run<A>(C, [&](auto run, auto block, int64_t c) {
      constexpr int B = decltype(run)::value, L = kLanes<A>;
      vec<A> mean[B], factor[B], constant[B], slope[B];
      for (int k = 0; k < B; ++k) {
        const int64_t at = c + k * L;
        const vec<A> rstd = block.load(a.rstd.group<A>(g) + at);
        mean[k] = block.load(a.mean.group<A>(g) + at);
        factor[k] = rstd * block.load(a.scale.group<A>(g) + at);
        constant[k] = block.load(a.dbias.group<A>(g) + at) * share;
        slope[k] = block.load(a.dscale.group<A>(g) + at) * share * rstd;
      }
      for (int64_t r = first; r < end; ++r) {
        S3N_UNROLL
        for (int k = 0; k < B; ++k) {
          const int64_t at = r * C + c + k * L;
          const vec<A> centred = block.load(x + at) - mean[k];
          const vec<A> v = (block.load(dy + at) - constant[k] - centred * slope[k]) * factor[k];
          if (streaming) stream(dx + at, v);
          else block.store(dx + at, v);
        }
      }
    });
    stream_fence();
  });
}

S3N_FOR_TYPES(forward, NormForward)
S3N_FOR_TYPES(backward, NormBackward)

}  // namespace

extern const NormKernels norm_kernels;
const NormKernels norm_kernels = {forward_any, backward_any};

}  // namespace S3N_ISA
}  // namespace s3n
