// Vectorised exponential and Gaussian error linear unit.
#pragma once

#include <cmath>

#include "core/vec.h"

namespace s3n {
namespace S3N_ISA {

// Computes e^x for x <= 0 to about one unit in the last place; subnormal results become zero.
S3N_INLINE vec<float> exp_negative(vec<float> x) {
  using i32v = vec<int32_t>;
  const vec<float> low = broadcast(-87.3f);
  const i32v tiny = x < low;
  x = (vec<float>)(((i32v)x & ~tiny) | ((i32v)low & tiny));
  // x = n log 2 + r. As x is not positive, subtracting 0.5 makes truncation round to nearest.
  const i32v n = __builtin_convertvector(x * 1.44269504f - 0.5f, i32v);
  const vec<float> whole = __builtin_convertvector(n, vec<float>);
  const vec<float> r = (x - whole * 0.693359375f) - whole * -2.12194440e-4f;
  vec<float> p = r * 1.9875691500e-4f + 1.3981999507e-3f;  // polynomial of Cephes' expf
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const vec<float> fraction = p * (r * r) + r + 1.0f;
  const vec<float> value = fraction * (vec<float>)((n + 127) << 23);
  return (vec<float>)((i32v)value & ~tiny);
}

// Computes value = z F(z) and slope = F(z) + z F'(z), with F the normal distribution function,
// from erfc(a) = e^(-a^2) t Q(t), t = 1 / (1 + 0.3 a). The polynomial Q is within 2e-8 for a >= 0.
S3N_INLINE void gelu(vec<float> z, vec<float>* value, vec<float>* slope) {
  using i32v = vec<int32_t>;
  const vec<float> size = (vec<float>)((i32v)z & 0x7fffffff);
  const vec<float> t = 1.0f / (size * (0.3f * 0.70710678f) + 1.0f);
  vec<float> q = t * -1.2952313876e-01f + 4.8556441576e-01f;
  q = q * t + -5.1228074043e-01f;
  q = q * t + 5.4772327448e-01f;
  q = q * t + -9.4653138850e-02f;
  q = q * t + 2.1492717171e-01f;
  q = q * t + 1.4833885962e-01f;
  q = q * t + 1.7071527478e-01f;
  q = q * t + 1.6918800211e-01f;
  const vec<float> bell = exp_negative(z * z * -0.5f);
  const vec<float> tail = q * t * bell * 0.5f;  // F(-|z|)
  const i32v negative = z < 0.0f;
  const vec<float> rest = 1.0f - tail;
  const vec<float> f = (vec<float>)(((i32v)tail & negative) | ((i32v)rest & ~negative));
  *value = z * f;
  *slope = f + z * bell * 0.39894228f;
}

S3N_INLINE void gelu(vec<double> z, vec<double>* value, vec<double>* slope) {
  for (int i = 0; i < kLanes<double>; ++i) {
    const double x = z[i], f = 0.5 * ::erfc(-x * 0.70710678118654752440);
    (*value)[i] = x * f;
    (*slope)[i] = f + x * ::exp(-0.5 * x * x) * 0.39894228040143267794;
  }
}

}  // namespace S3N_ISA
}  // namespace s3n
