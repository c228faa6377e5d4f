// Vectors of the instruction set this file is compiled for (GCC and Clang vector extensions).
//
// vec<T> is one register of T (float or double). Storage of another type (bfloat16) is widened
// by load and narrowed, rounding to nearest even, by store.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/isa.h"
#include "core/types.h"

#if defined(__AVX__)
#include <immintrin.h>
#endif

#ifndef S3N_ISA
#error "Compile with -DS3N_ISA=baseline, avx2 or avx512."
#endif

#define S3N_INLINE static inline __attribute__((always_inline))
#define S3N_ALWAYS_INLINE inline __attribute__((always_inline))  // for member functions
#define S3N_NOINLINE static __attribute__((noinline))
#define S3N_UNROLL _Pragma("GCC unroll 64")
// For loops of unknown length.
#define S3N_UNROLL_SOME _Pragma("GCC unroll 4")

// A function of a table: the template `name` for the call's element type. avx512 and amx have no
// float64: S3N_SELECT never sends it there, because float64 serves checks and would slow down every
// install.
#if defined(__AVX512F__)
#define S3N_FLOAT64(...)
#else
#define S3N_FLOAT64(...) __VA_ARGS__
#endif
#define S3N_FOR_TYPES(name, Arguments)                                      \
  void name##_any(DType type, const Arguments& a, Executor& executor) {     \
    switch (type) {                                                         \
      case DType::f32: return name<float>(a, executor);                     \
      case DType::f64: S3N_FLOAT64(return name<double>(a, executor)); break; \
      case DType::bf16: return name<bf16>(a, executor);                     \
    }                                                                       \
  }

namespace s3n {
namespace S3N_ISA {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
constexpr int kRegisters = 32;
#elif defined(__AVX__)
constexpr int kBytes = 32;
constexpr int kRegisters = 16;
#else
constexpr int kBytes = 16;
constexpr int kRegisters = (S3N_X86 ? 16 : 32);
#endif

template <class T, int Bytes = kBytes>
struct vec_of {
  typedef T type __attribute__((vector_size(Bytes)));
};
template <class T>
using vec = typename vec_of<T>::type;
template <class T>
constexpr int kLanes = kBytes / int(sizeof(T));

// The type in which sums of T are taken.
template <class T>
struct accumulator_of {
  using type = T;
};
template <>
struct accumulator_of<bf16> {
  using type = float;
};
template <class T>
using accumulator = typename accumulator_of<T>::type;

using u32v = vec<uint32_t>;
using u16h = typename vec_of<uint16_t, kBytes / 2>::type;

S3N_INLINE float widen(float x) { return x; }
S3N_INLINE double widen(double x) { return x; }
S3N_INLINE float widen(bf16 x) {
  const uint32_t u = uint32_t(x.bits) << 16;
  float f;
  std::memcpy(&f, &u, 4);
  return f;
}

S3N_INLINE void narrow(float x, float* p) { *p = x; }
S3N_INLINE void narrow(double x, double* p) { *p = x; }
S3N_INLINE void narrow(float x, bf16* p) {
  uint32_t u;
  std::memcpy(&u, &x, 4);
  const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
  p->bits = uint16_t(nan ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

// A register stored as an array of its elements' type. Storing one thus does not invalidate what
// the compiler knows about pointers and sizes in memory, as a memcpy would.
template <class T>
struct unaligned_of {
  typedef T type __attribute__((vector_size(kBytes), aligned(alignof(T))));
};
template <class T>
using unaligned = typename unaligned_of<T>::type;

S3N_INLINE vec<float> load(const float* p) { return *reinterpret_cast<const unaligned<float>*>(p); }
S3N_INLINE vec<double> load(const double* p) {
  return *reinterpret_cast<const unaligned<double>*>(p);
}
S3N_INLINE vec<float> widen(u16h h) { return (vec<float>)(__builtin_convertvector(h, u32v) << 16); }
S3N_INLINE vec<float> load(const bf16* p) {
  u16h h;
  std::memcpy(&h, p, sizeof h);
  return widen(h);
}

S3N_INLINE u16h narrow(vec<float> v) {
  const u32v u = (u32v)v;
  const u32v nan = (u32v)((u & 0x7fffffffu) > 0x7f800000u);
  const u32v rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  return __builtin_convertvector((nan & ((u >> 16) | 0x40u)) | (~nan & rounded), u16h);
}
S3N_INLINE void store(float* p, vec<float> v) { *reinterpret_cast<unaligned<float>*>(p) = v; }
S3N_INLINE void store(double* p, vec<double> v) { *reinterpret_cast<unaligned<double>*>(p) = v; }
S3N_INLINE void store(bf16* p, vec<float> v) {
  const u16h h = narrow(v);
  std::memcpy(p, &h, sizeof h);
}

// Stores that bypass the caches, for results too large to stay in them: a plain store would first
// read the line it overwrites. Only whole aligned lines benefit, so narrower storage types use
// plain stores, and code that writes half a line must write the other half immediately after.
// stream_fence() must follow before another thread reads. The smallest size was not tuned.
constexpr int64_t kStreamBytes = 8 << 20;
S3N_INLINE bool streamable(const void* p, int64_t stride_bytes, int64_t total_bytes) {
  return kBytes >= 32 && reinterpret_cast<uintptr_t>(p) % 64 == 0 && stride_bytes % 64 == 0 &&
         total_bytes >= kStreamBytes;
}
#if defined(__AVX512F__)
S3N_INLINE void stream(float* p, vec<float> v) { _mm512_stream_ps(p, (__m512)v); }
S3N_INLINE void stream(double* p, vec<double> v) { _mm512_stream_pd(p, (__m512d)v); }
S3N_INLINE void stream(bf16* p, vec<float> v) { store(p, v); }
S3N_INLINE void stream_fence() { _mm_sfence(); }
#elif defined(__AVX__)
S3N_INLINE void stream(float* p, vec<float> v) { _mm256_stream_ps(p, (__m256)v); }
S3N_INLINE void stream(double* p, vec<double> v) { _mm256_stream_pd(p, (__m256d)v); }
S3N_INLINE void stream(bf16* p, vec<float> v) { store(p, v); }
S3N_INLINE void stream_fence() { _mm_sfence(); }
#else
template <class T>
S3N_INLINE void stream(T* p, vec<accumulator<T>> v) {
  store(p, v);
}
S3N_INLINE void stream_fence() {}
#endif

// Prefetches the line at p, which will be read soon. p need not be readable.
template <class T>
S3N_INLINE void prefetch(const T* p) {
  __builtin_prefetch(p, 0, 2);
}

// Loads only the first n lanes; the others read as zero and their memory is not touched.
#if defined(__AVX512F__)
S3N_INLINE vec<float> load(const float* p, int n) {
  return (vec<float>)_mm512_maskz_loadu_ps(__mmask16((1u << n) - 1u), p);
}
S3N_INLINE vec<double> load(const double* p, int n) {
  return (vec<double>)_mm512_maskz_loadu_pd(__mmask8((1u << n) - 1u), p);
}
S3N_INLINE vec<float> load(const bf16* p, int n) {
  return widen((u16h)_mm256_maskz_loadu_epi16(__mmask16((1u << n) - 1u), p));
}
S3N_INLINE void store(float* p, vec<float> v, int n) {
  _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1u), (__m512)v);
}
S3N_INLINE void store(double* p, vec<double> v, int n) {
  _mm512_mask_storeu_pd(p, __mmask8((1u << n) - 1u), (__m512d)v);
}
S3N_INLINE void store(bf16* p, vec<float> v, int n) {
  _mm256_mask_storeu_epi16(p, __mmask16((1u << n) - 1u), (__m256i)narrow(v));
}
#else
template <class T>
S3N_INLINE vec<accumulator<T>> load(const T* p, int n) {
  vec<accumulator<T>> v = {};
  for (int i = 0; i < n; ++i) v[i] = widen(p[i]);
  return v;
}
template <class T>
S3N_INLINE void store(T* p, vec<accumulator<T>> v, int n) {
  for (int i = 0; i < n; ++i) narrow(v[i], p + i);
}
#endif

// Loads and stores of a block of channels: all lanes, or the first `count` of them. The choice is
// made at compile time, so that full blocks pay nothing for it.
template <bool Full>
struct Block {
  int count;
  bool starts_line = true;  // whether it is the first of its cache line, which is prefetched once
  template <class T>
  S3N_ALWAYS_INLINE vec<accumulator<T>> load(const T* p) const {
    if constexpr (Full) return S3N_ISA::load(p);
    else return S3N_ISA::load(p, count);
  }
  template <class T>
  S3N_ALWAYS_INLINE void store(T* p, vec<accumulator<T>> v) const {
    if constexpr (Full) S3N_ISA::store(p, v);
    else S3N_ISA::store(p, v, count);
  }
  template <class T>
  S3N_ALWAYS_INLINE void prefetch(const T* p) const {
    if (starts_line) S3N_ISA::prefetch(p);
  }
};

template <class T>
S3N_INLINE vec<T> broadcast(T x) {
  return x - vec<T>{};
}

// Reduces all lanes by join(a, b), on vectors and on numbers, in a fixed order of halves.
template <class T, int Bytes = kBytes, class F>
S3N_INLINE T fold_lanes(typename vec_of<T, Bytes>::type v, F&& join) {
  if constexpr (Bytes == 2 * sizeof(T)) {
    return join(v[0], v[1]);
  } else {
    typename vec_of<T, Bytes / 2>::type half[2];
    std::memcpy(half, &v, sizeof v);
    return fold_lanes<T, Bytes / 2>(join(half[0], half[1]), join);
  }
}
template <class T>
S3N_INLINE T sum_lanes(vec<T> v) {
  return fold_lanes<T>(v, [](auto a, auto b) { return a + b; });
}

// Hides from the compiler how the pointer or number was computed. It then derives addresses from
// this value, instead of keeping a separate sum for each in the few registers.
template <class T>
S3N_INLINE T opaque(T p) {
  __asm__("" : "+r"(p));
  return p;
}

// A compile-time number to pass to a generic lambda.
template <int N>
struct Count {
  static constexpr int value = N;
};

S3N_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
S3N_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
S3N_INLINE int64_t clamp(int64_t a, int64_t low, int64_t high) {
  return a < low ? low : a > high ? high : a;
}
S3N_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace S3N_ISA
}  // namespace s3n
