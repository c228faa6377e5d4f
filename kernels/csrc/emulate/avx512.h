// The AVX-512 and AMX functions that the kernels use, emulated for processors without them, to
// check results but not speed. emulate.sh's build includes this header before everything else and
// compiles the avx512 and amx kernels with the options of avx2; the compiler splits each register
// of 64 bytes into two.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__)
#error "This processor's options have AVX-512: nothing to emulate."
#endif
#define __AVX512F__ 1
#if defined(S3N_EMULATE_TILES)
#define __AMX_BF16__ 1
#endif

namespace s3n_emulate {

// Not inlined: these functions are used everywhere, and inlining would slow down the compiler.
#define S3N_EMULATE static inline __attribute__((noinline))

template <class Lane>
struct Lanes {
  static constexpr int count = 64 / int(sizeof(Lane));
  Lane lane[count];
};

template <class Lane, class Register>
S3N_EMULATE Lanes<Lane> lanes(Register r) {
  static_assert(sizeof(Register) == 64, "a whole register");
  Lanes<Lane> out;
  std::memcpy(&out, &r, 64);
  return out;
}

template <class Register, class Lane>
S3N_EMULATE Register as(const Lanes<Lane>& in) {
  Register r;
  std::memcpy(&r, &in, 64);
  return r;
}

// Accesses only the lanes whose bit is set; the others are neither read nor written.
template <class Register, class Lane>
S3N_EMULATE Register load_masked(uint32_t mask, const Lane* p) {
  Register r = {};
  constexpr size_t size = sizeof(Lane);
  for (size_t i = 0; i < sizeof r / size; ++i)
    if (mask >> i & 1) std::memcpy(reinterpret_cast<char*>(&r) + i * size, p + i, size);
  return r;
}

template <class Lane, class Register>
S3N_EMULATE void store_masked(Lane* p, uint32_t mask, Register r) {
  constexpr size_t size = sizeof(Lane);
  for (size_t i = 0; i < sizeof r / size; ++i)
    if (mask >> i & 1) std::memcpy(p + i, reinterpret_cast<const char*>(&r) + i * size, size);
}

// Interleaves, in every quarter, the lower or upper numbers of a and b.
template <class Lane>
S3N_EMULATE __m512i unpack(__m512i a, __m512i b, bool upper) {
  constexpr int quarter = 16 / int(sizeof(Lane)), half = quarter / 2;
  const auto x = lanes<Lane>(a), y = lanes<Lane>(b);
  Lanes<Lane> out;
  for (int q = 0; q < 4; ++q)
    for (int i = 0; i < half; ++i) {
      const int from = q * quarter + i + (upper ? half : 0);
      out.lane[q * quarter + 2 * i] = x.lane[from];
      out.lane[q * quarter + 2 * i + 1] = y.lane[from];
    }
  return as<__m512i>(out);
}

// Takes two quarters of a, then two of b, each selected by two bits.
S3N_EMULATE __m512i shuffle_quarters(__m512i a, __m512i b, unsigned which) {
  struct Quarter {
    char bytes[16];
  };
  const auto x = lanes<Quarter>(a), y = lanes<Quarter>(b);
  return as<__m512i>(Lanes<Quarter>{{x.lane[which & 3], x.lane[which >> 2 & 3],
                                     y.lane[which >> 4 & 3], y.lane[which >> 6 & 3]}});
}

S3N_EMULATE __m512i permute(__m512i index, __m512i a) {
  const auto at = lanes<uint16_t>(index), x = lanes<uint16_t>(a);
  Lanes<uint16_t> out;
  for (int i = 0; i < 32; ++i) out.lane[i] = x.lane[at.lane[i] & 31];
  return as<__m512i>(out);
}

// Takes numbers in the order from the last to the first.
template <class... Lane>
S3N_EMULATE __m512i from_last(Lane... lane) {
  const uint16_t given[] = {uint16_t(lane)...};
  static_assert(sizeof given == 64, "a whole register");
  Lanes<uint16_t> out;
  for (int i = 0; i < 32; ++i) out.lane[i] = given[31 - i];
  return as<__m512i>(out);
}

// Rounds to the nearest even bfloat16; subnormal numbers become zero.
S3N_EMULATE uint16_t rounded(float x) {
  uint32_t u;
  std::memcpy(&u, &x, 4);
  if ((u & 0x7f800000u) == 0) return uint16_t(u >> 16 & 0x8000u);
  if ((u & 0x7fffffffu) > 0x7f800000u) return uint16_t(u >> 16 | 0x40u);
  return uint16_t((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

S3N_EMULATE __m512i rounded_pair(__m512 high, __m512 low) {
  const auto x = lanes<float>(low), y = lanes<float>(high);
  Lanes<uint16_t> out;
  for (int i = 0; i < 16; ++i) {
    out.lane[i] = rounded(x.lane[i]);
    out.lane[16 + i] = rounded(y.lane[i]);
  }
  return as<__m512i>(out);
}

#if defined(S3N_EMULATE_TILES)
struct Tile {
  char row[16][64];
};
inline Tile& tile(int i) {
  static thread_local Tile tiles[8];
  return tiles[i];
}
S3N_EMULATE void tile_zero(int i) { tile(i) = {}; }
S3N_EMULATE void tile_load(int i, const void* p, int64_t stride) {
  for (int r = 0; r < 16; ++r)
    std::memcpy(tile(i).row[r], static_cast<const char*>(p) + r * stride, 64);
}
S3N_EMULATE void tile_store(int i, void* p, int64_t stride) {
  for (int r = 0; r < 16; ++r)
    std::memcpy(static_cast<char*>(p) + r * stride, tile(i).row[r], 64);
}
S3N_EMULATE float widened(const char* p) {
  uint32_t u = 0;
  std::memcpy(reinterpret_cast<char*>(&u) + 2, p, 2);
  float x;
  std::memcpy(&x, &u, 4);
  return x;
}
S3N_EMULATE void tile_multiply(int sums, int left, int right) {
  for (int m = 0; m < 16; ++m)
    for (int k = 0; k < 16; ++k)
      for (int n = 0; n < 16; ++n)
        for (int pair = 0; pair < 2; ++pair) {
          float sum;
          char* const p = tile(sums).row[m] + 4 * n;
          std::memcpy(&sum, p, 4);
          sum += widened(tile(left).row[m] + 4 * k + 2 * pair) *
                 widened(tile(right).row[k] + 4 * n + 2 * pair);
          std::memcpy(p, &sum, 4);
        }
}
#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig(config) ((void)(config))
#define _tile_release() ((void)0)
#define _tile_zero(i) ::s3n_emulate::tile_zero(i)
#define _tile_loadd(i, p, stride) ::s3n_emulate::tile_load(i, p, stride)
#define _tile_stored(i, p, stride) ::s3n_emulate::tile_store(i, p, stride)
#define _tile_dpbf16ps(sums, left, right) ::s3n_emulate::tile_multiply(sums, left, right)
#endif

}  // namespace s3n_emulate

#undef _mm512_shuffle_i32x4  // a macro where nothing is optimised
#define _mm512_maskz_loadu_ps(mask, p) ::s3n_emulate::load_masked<__m512>(mask, p)
#define _mm512_maskz_loadu_pd(mask, p) ::s3n_emulate::load_masked<__m512d>(mask, p)
#define _mm256_maskz_loadu_epi16(mask, p) ::s3n_emulate::load_masked<__m256i>(mask, p)
#define _mm512_mask_storeu_ps(p, mask, r) ::s3n_emulate::store_masked(p, mask, r)
#define _mm512_mask_storeu_pd(p, mask, r) ::s3n_emulate::store_masked(p, mask, r)
#define _mm256_mask_storeu_epi16(p, mask, r) ::s3n_emulate::store_masked(p, mask, r)
#define _mm512_stream_ps(p, r) ((void)(*reinterpret_cast<__m512*>(p) = (r)))
#define _mm512_stream_pd(p, r) ((void)(*reinterpret_cast<__m512d*>(p) = (r)))
#define _mm512_store_si512(p, r) ((void)(*reinterpret_cast<__m512i*>(p) = (r)))
#define _mm512_setzero_si512() (__m512i{})
#define _mm512_set_epi16(...) ::s3n_emulate::from_last(__VA_ARGS__)
#define _mm512_permutexvar_epi16(index, a) ::s3n_emulate::permute(index, a)
#define _mm512_unpacklo_epi32(a, b) ::s3n_emulate::unpack<uint32_t>(a, b, false)
#define _mm512_unpackhi_epi32(a, b) ::s3n_emulate::unpack<uint32_t>(a, b, true)
#define _mm512_unpacklo_epi64(a, b) ::s3n_emulate::unpack<uint64_t>(a, b, false)
#define _mm512_unpackhi_epi64(a, b) ::s3n_emulate::unpack<uint64_t>(a, b, true)
#define _mm512_shuffle_i32x4(a, b, which) ::s3n_emulate::shuffle_quarters(a, b, which)
#define _mm512_cvtne2ps_pbh(high, low) ::s3n_emulate::rounded_pair(high, low)
