// The rows of depthwise convolutions, compiled for the usual kernels and for any other.
#include "depthwise_conv2d/row.h"
#include "depthwise_conv2d/weight_gradient.h"

namespace s3n {
namespace S3N_ISA {
namespace {

// Calls f(Count<kernel width>, Count<dilation>) with values that have specialised code, or with 0
// and 0 for the general code.
template <class T, class F>
auto specialised(int64_t kw, int64_t dilation, F&& f) {
  if constexpr (sizeof(T) <= 4) {
    if (dilation == 1 && kw == 3) return f(Count<3>{}, Count<1>{});
    if (dilation == 1 && kw == 5) return f(Count<5>{}, Count<1>{});
    if (dilation == 1 && kw == 7) return f(Count<7>{}, Count<1>{});
    if (dilation == 2 && kw == 3) return f(Count<3>{}, Count<2>{});
    if (dilation == 2 && kw == 5) return f(Count<5>{}, Count<2>{});
    if (dilation == 3 && kw == 3) return f(Count<3>{}, Count<3>{});
    if (dilation == 3 && kw == 7) return f(Count<7>{}, Count<3>{});
  }
  return f(Count<0>{}, Count<0>{});
}

}  // namespace

template <class T>
DepthwiseRowFunction<T> depthwise_row_function(int64_t kw, int64_t dilation) {
  return specialised<T>(kw, dilation, [](auto k, auto d) -> DepthwiseRowFunction<T> {
    return depthwise_row<T, decltype(k)::value, decltype(d)::value>;
  });
}

template <class T>
DepthwiseGradientFunction<T> depthwise_gradient_function(int64_t kw, int64_t dilation) {
  return specialised<T>(kw, dilation, [](auto k, auto d) -> DepthwiseGradientFunction<T> {
    return depthwise_gradient_row<T, decltype(k)::value, decltype(d)::value>;
  });
}

#define S3N_ROWS(T)                                                             \
  template DepthwiseRowFunction<T> depthwise_row_function<T>(int64_t, int64_t); \
  template DepthwiseGradientFunction<T> depthwise_gradient_function<T>(int64_t, int64_t);

S3N_ROWS(float)
S3N_ROWS(bf16)
S3N_FLOAT64(S3N_ROWS(double))

}  // namespace S3N_ISA
}  // namespace s3n
