// Losses of a softmax map for one instruction set. Each pass reads the logits once: the softmax
// and its edges are kept for a few rows in scratch. Rows of scratch hold whole registers of
// classes; lanes beyond the last class are zero.
#include <limits>
#include <type_traits>

#include "core/math.h"
#include "core/scratch.h"
#include "core/sum.h"
#include "softmax_losses/softmax_losses.h"

namespace s3n {
namespace S3N_ISA {
namespace {

template <class A>
using integer = std::conditional_t<sizeof(A) == 4, int32_t, int64_t>;

template <class A>
S3N_INLINE vec<A> select(vec<integer<A>> mask, vec<A> yes, vec<A> no) {
  using I = vec<integer<A>>;
  return (vec<A>)(((I)yes & mask) | ((I)no & ~mask));
}
template <class A>
S3N_INLINE vec<A> absolute(vec<A> v) {
  return (vec<A>)((vec<integer<A>>)v & std::numeric_limits<integer<A>>::max());
}
template <class A>
S3N_INLINE vec<A> sign(vec<A> v) {
  return __builtin_convertvector((v < A(0)) - (v > A(0)), vec<A>);
}
S3N_INLINE vec<float> exponential(vec<float> x) { return exp_negative(x); }
S3N_INLINE vec<double> exponential(vec<double> x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = ::exp(x[i]);
  return x;
}
template <class A>
S3N_INLINE vec<integer<A>> lanes() {
  vec<integer<A>> v = {};
  for (int i = 0; i < kLanes<A>; ++i) v[i] = i;
  return v;
}

// Results for a pixel besides its softmax.
struct Pixel {
  double log_sum;  // log of the sum of exp(logit)
  int32_t largest;
};

// One image: its rows' softmax, edges, and the gradients of both.
template <class T>
class Map {
 public:
  using A = accumulator<T>;
  static constexpr int L = kLanes<A>;

  Map(const LossesShape& s, const T* logits)
      : s_(s), K_(s.classes), P_(ceil_div(s.classes, L) * L), logits_(logits) {
    const int64_t soft = (s.width + 2) * P_, slope = (s.width + 4) * P_, sum = s.width * P_;
    A* at = static_cast<A*>(thread_scratch(0, 3 * (soft + slope + sum) * sizeof(A)));
    for (int i = 0; i < 3; ++i) {
      soft_[i] = at + i * soft + P_;
      slope_[i] = at + 3 * soft + i * slope + 2 * P_;
      sum_[i] = at + 3 * (soft + slope) + i * sum;
    }
  }

  // Computes the softmax of `row`, valid until that of row + 3; calls f(column, Pixel).
  template <class F>
  inline __attribute__((always_inline)) void soften(int64_t row, F&& f) {
    const T* x = logits_ + row * s_.width * K_;
    A* p = soft_[row % 3];
    for (int64_t w = 0; w < s_.width; ++w, x += K_, p += P_) f(w, soften_pixel(x, p));
    if (!s_.spatial) return;
    // Reflect the border.
    std::memcpy(soft_[row % 3] - P_, soft_[row % 3] + P_, P_ * sizeof(A));
    std::memcpy(p, p - 2 * P_, P_ * sizeof(A));
  }

  // Sums |X - Y| + |X - XY| + |Y - XY| over a row whose neighbours' softmax is available.
  double edges(int64_t row) {
    vec<A> total = {};
    for_each_edge(row, [&](int64_t, vec<A> x, vec<A> y, vec<A> xy) {
      const vec<A> a = absolute<A>(x), b = absolute<A>(y), c = absolute<A>(xy);
      total += absolute<A>(a - b) + absolute<A>(a - c) + absolute<A>(b - c);
    });
    return double(sum_lanes<A>(total));
  }

  void clear_gradient(int64_t row) { fill_zero(sum_[row % 3], s_.width * P_); }

  // Adds the gradients of edges(row) by the softmax of the surrounding rows.
  void edges_backward(int64_t row) {
    for_each_edge(row, [&](int64_t at, vec<A> x, vec<A> y, vec<A> xy) {
      const vec<A> a = absolute<A>(x), b = absolute<A>(y), c = absolute<A>(xy);
      const vec<A> ab = sign<A>(a - b), ac = sign<A>(a - c), bc = sign<A>(b - c);
      store(slope_[0] + at, (ab + ac) * sign<A>(x));
      store(slope_[1] + at, (bc - ab) * sign<A>(y));
      store(slope_[2] + at, -(ac + bc) * sign<A>(xy));
    });
    const int64_t W = s_.width;
    for (A* slope : slope_) {
      fill_zero(slope - 2 * P_, 2 * P_);
      fill_zero(slope + W * P_, 2 * P_);
    }
    A* const up = sum_[(row > 0 ? row - 1 : 1) % 3];
    A* const middle = sum_[row % 3];
    A* const down = sum_[(row + 1 < s_.height ? row + 1 : row - 1) % 3];
    for (int64_t w = -1; w <= W; ++w) {
      const int64_t to = (w < 0 ? 1 : w == W ? W - 2 : w) * P_;
      for (int64_t k = 0; k < P_; k += L) {
        const int64_t at = w * P_ + k;
        const vec<A> x = load(slope_[0] + at - P_) - load(slope_[0] + at + P_);
        const vec<A> y = load(slope_[1] + at - P_) + load(slope_[1] + at + P_) +
                         load(slope_[1] + at) * A(2);
        const vec<A> rest = y + load(slope_[2] + at - P_) - load(slope_[2] + at + P_);
        store(up + to + k, load(up + to + k) + (x - rest));
        store(middle + to + k, load(middle + to + k) + x * A(2));
        store(down + to + k, load(down + to + k) + (x + rest));
      }
    }
  }

  // Computes the gradient by a row's logits: `ce` times each pixel's weight, `spatial` times sums.
  void finish(int64_t row, const int32_t* labels, const A* weight, A ce, A spatial, T* out) {
    const A* p = soft_[row % 3];
    const A* d = sum_[row % 3];
    const bool streaming = streamable(out, K_ * sizeof(T), s_.groups * s_.images * s_.height *
                                                               s_.width * K_ * sizeof(T));
    for (int64_t w = 0; w < s_.width; ++w, p += P_, d += P_, out += K_) {
      const A scale = weight == nullptr ? ce : ce * weight[w];
      vec<A> along = {};
      if (s_.spatial)
        for (int64_t k = 0; k < P_; k += L) along += load(p + k) * load(d + k);
      const A mean = sum_lanes<A>(along);
      for (int64_t k = 0; k < K_; k += L) {
        const vec<A> soft = load(p + k);
        const vec<integer<A>> hit = lanes<A>() + integer<A>(k) == integer<A>(labels[w]);
        vec<A> v = (soft - select<A>(hit, broadcast(A(1)), vec<A>{})) * scale;
        if (s_.spatial) v += soft * (load(d + k) - mean) * spatial;
        if (k + L > K_) Block<false>{int(K_ - k)}.store(out + k, v);
        else if (streaming) stream(out + k, v);
        else store(out + k, v);
      }
    }
  }

 private:
  // Computes the softmax of one pixel into P_ numbers.
  inline __attribute__((always_inline)) Pixel soften_pixel(const T* x, A* p) {
    using I = vec<integer<A>>;
    const vec<A> lowest = broadcast(-std::numeric_limits<A>::infinity());
    vec<A> best = lowest;
    I place = {};
    for (int64_t k = 0; k < K_; k += L) {
      const I index = lanes<A>() + integer<A>(k);
      vec<A> v;
      if (k + L <= K_) v = load(x + k);
      else v = select<A>(index < integer<A>(K_), load(x + k, int(K_ - k)), lowest);
      store(p + k, v);
      const I more = v > best;
      best = select<A>(more, v, best);
      place = (index & more) | (place & ~more);
    }
    const A top = fold_lanes<A>(best, [](auto a, auto b) { return a > b ? a : b; });
    constexpr integer<A> none = std::numeric_limits<integer<A>>::max();
    const integer<A> first = fold_lanes<integer<A>>(
        best == top ? place : I{} + none, [](auto a, auto b) { return a < b ? a : b; });
    vec<A> sum = {};
    for (int64_t k = 0; k < P_; k += L) {
      const vec<A> e = exponential(load(p + k) - top);
      store(p + k, e);
      sum += e;
    }
    const A total = sum_lanes<A>(sum), inverse = A(1) / total;
    for (int64_t k = 0; k < P_; k += L) store(p + k, load(p + k) * inverse);
    return {double(top) + std::log(double(total)), int32_t(first)};
  }

  // Calls f(offset, X, Y, XY) for every register of a row.
  template <class F>
  inline __attribute__((always_inline)) void for_each_edge(int64_t row, F&& f) {
    const A* const up = soft_[(row > 0 ? row - 1 : 1) % 3];
    const A* const middle = soft_[row % 3];
    const A* const down = soft_[(row + 1 < s_.height ? row + 1 : row - 1) % 3];
    for (int64_t at = 0; at < s_.width * P_; at += L) {
      const vec<A> ul = load(up + at - P_), ur = load(up + at + P_);
      const vec<A> dl = load(down + at - P_), dr = load(down + at + P_);
      const vec<A> du = ur - ul, dd = dr - dl;
      const vec<A> dm = load(middle + at + P_) - load(middle + at - P_);
      const vec<A> su = ul + ur + load(up + at) * A(2), sd = dl + dr + load(down + at) * A(2);
      f(at, du + dd + dm * A(2), sd - su, dd - du);
    }
  }

  const LossesShape& s_;
  int64_t K_, P_;
  const T* logits_;
  A *soft_[3], *slope_[3], *sum_[3];  // rows of softmax; of d/dX, d/dY, d/dXY; of gradients
};

// Calls f(group, image of the group, band, first row, end row).
template <class F>
void for_each_band(const LossesShape& s, Executor& executor, F&& f) {
  const int64_t bands = losses_bands(s.height);
  parallel_for(executor, s.groups * s.images * bands, [&](int64_t task) {
    const int64_t image = task / bands, begin = task % bands * kLossesBandRows;
    f(image / s.images, image % s.images, task % bands, begin,
      smaller(begin + kLossesBandRows, s.height));
    stream_fence();
  });
}

template <class T>
void forward(const LossesForward& a, Executor& executor) {
  using A = accumulator<T>;
  const LossesShape& s = a.shape;
  const int64_t pixels = s.height * s.width, bands = losses_bands(s.height);
  const auto none = [](int64_t, Pixel) {};
  for_each_band(s, executor, [&](int64_t g, int64_t n, int64_t band, int64_t begin, int64_t end) {
    const T* const logits = a.logits.group<T>(g) + n * pixels * s.classes;
    const int32_t* const given = s.labelled ? a.labels.group<int32_t>(g) + n * pixels : nullptr;
    const A* const weight = s.weighted ? a.weight.group<A>(g) + n * pixels : nullptr;
    int32_t* const own = a.own.group<int32_t>(g) + n * pixels;
    Map<T> map(s, logits);
    double ce = 0, spatial = 0;
    const auto soften = [&](int64_t row) {
      map.soften(row, [&](int64_t w, Pixel pixel) {
        const int64_t at = row * s.width + w;
        const int32_t label = given == nullptr ? pixel.largest : given[at];
        // A label that is not a class has logit 0 and must not be used as an index.
        const bool exists = label >= 0 && label < s.classes;
        const double score = exists ? double(widen(logits[at * s.classes + label])) : 0;
        const double loss = pixel.log_sum - score;
        ce += weight == nullptr ? loss : loss * double(weight[at]);
        own[at] = label;
      });
    };
    if (s.spatial && begin > 0) map.soften(begin - 1, none);
    soften(begin);
    for (int64_t row = begin; row < end; ++row) {
      if (row + 1 < end) soften(row + 1);
      else if (s.spatial && end < s.height) map.soften(end, none);
      if (s.spatial) spatial += map.edges(row);
    }
    A* const part = a.partials.group<A>(g) + (n * bands + band) * 2;
    part[0] = A(ce);
    part[1] = A(spatial);
  });
  for (int64_t g = 0; g < s.groups; ++g) {
    const A* const parts = a.partials.group<A>(g);
    double sums[2] = {0, 0};
    for (int64_t i = 0; i < s.images * bands * 2; ++i) sums[i % 2] += double(parts[i]);
    for (int i = 0; i < 2; ++i) a.sums.group<A>(g)[i] = A(sums[i]);
  }
}

template <class T>
void backward(const LossesBackward& a, Executor& executor) {
  using A = accumulator<T>;
  const LossesShape& s = a.shape;
  const int64_t pixels = s.height * s.width, H = s.height;
  const auto none = [](int64_t, Pixel) {};
  for_each_band(s, executor, [&](int64_t g, int64_t n, int64_t, int64_t begin, int64_t end) {
    const int64_t first = n * pixels;
    Map<T> map(s, a.logits.group<T>(g) + first * s.classes);
    const A* const scale = a.scale.group<A>(g);
    const auto finish = [&](int64_t row) {
      if (row < begin || row >= end) return;
      const int64_t at = first + row * s.width;
      map.finish(row, a.labels.group<int32_t>(g) + at,
                 s.weighted ? a.weight.group<A>(g) + at : nullptr, scale[0], scale[1],
                 a.dlogits.group<T>(g) + at * s.classes);
    };
    if (!s.spatial) {
      for (int64_t row = begin; row < end; ++row) {
        map.soften(row, none);
        finish(row);
      }
      return;
    }
    // Edges of a row affect the rows around it, so finish a row after its lower neighbour.
    const int64_t start = larger(begin - 1, 0), stop = smaller(end + 1, H);
    for (int64_t row = larger(start - 1, 0); row <= start; ++row) {
      map.soften(row, none);
      map.clear_gradient(row);
    }
    for (int64_t row = start; row < stop; ++row) {
      if (row + 1 < H) {
        map.soften(row + 1, none);
        map.clear_gradient(row + 1);
      }
      map.edges_backward(row);
      finish(row - 1);
    }
    if (end == H) finish(H - 1);
  });
}

S3N_FOR_TYPES(forward, LossesForward)
S3N_FOR_TYPES(backward, LossesBackward)

}  // namespace

extern const LossesKernels losses_kernels;
const LossesKernels losses_kernels = {forward_any, backward_any};

}  // namespace S3N_ISA
}  // namespace s3n
