// Products of bfloat16 by the processor's tile unit (AMX), with sums in float32.
//
// A tile register holds 16 rows of 64 bytes. The left matrix is divided into tiles of 16 rows by 32
// numbers; the right one into tiles of 16 pairs of rows by 16 columns, with the two numbers of a
// pair adjacent; a tile of sums is 16 by 16. Four tiles of sums are kept at once, so that every
// loaded tile serves two products. Factors are rounded here, from float32.
#pragma once

#include "core/scratch.h"
#include "core/vec.h"

#if defined(__AMX_BF16__)

namespace s3n {
namespace S3N_ISA {

constexpr int64_t kTileSide = 16, kTileDepth = 32, kTileSize = kTileSide * kTileDepth;
constexpr int kLeftSlot = 6, kRightSlot = 7;  // slots of thread_scratch

// Returns whether a product over k numbers uses tiles. Small k would be mostly padding, and its
// packed tiles would need more memory than panels of float32.
S3N_INLINE bool tiled(int64_t k) { return k >= kTileSide; }

// Configures all tile registers at full size for the lifetime of this object.
class TileRegisters {
 public:
  TileRegisters() {
    struct alignas(64) Config {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (int t = 0; t < 8; ++t) config.bytes[t] = 64, config.rows[t] = 16;
    _tile_loadconfig(&config);
  }
  ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
};

// Packs tiles of the right matrix (k, n), one group of columns after the other; element (i, j) is
// at b[i * row + j * column]. Padding beyond the matrix is zero.
static inline void pack_tiles(const float* b, int64_t row, int64_t column, int64_t k, int64_t n,
                              float* packed) {
  bf16* out = reinterpret_cast<bf16*>(packed);
  const int64_t last = ceil_div(n, 2 * kTileSide) * 2 * kTileSide;
  for (int64_t first = 0; first < last; first += kTileSide)
    for (int64_t begin = 0; begin < k; begin += kTileDepth)
      for (int64_t i = begin; i < begin + kTileDepth; i += 2)
        for (int64_t j = first; j < first + kTileSide; ++j)
          for (int64_t pair = i; pair < i + 2; ++pair)
            narrow(pair < k && j < n ? b[pair * row + j * column] : 0.0f, out++);
}

// Computes four tiles of sums, (32, 32) floats, from tiles of `count` depths: left tiles are
// `left_next` apart, right ones `right_next`.
S3N_INLINE void multiply_tiles(const bf16* left, int64_t left_next, const bf16* right,
                               int64_t right_next, int64_t count, float* sums) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t i = 0; i < count; ++i, left += kTileSize, right += kTileSize) {
    _tile_loadd(4, left, 64);
    _tile_loadd(6, right, 64);
    _tile_loadd(7, right + right_next, 64);
    _tile_loadd(5, left + left_next, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  constexpr int64_t kRow = 2 * kTileSide;
  _tile_stored(0, sums, kRow * 4);
  _tile_stored(1, sums + kTileSide, kRow * 4);
  _tile_stored(2, sums + kTileSide * kRow, kRow * 4);
  _tile_stored(3, sums + kTileSide * kRow + kTileSide, kRow * 4);
}

// Calls done(row, column, vector, block) for the sums inside the result.
template <class Done>
S3N_INLINE void finish_tiles(const float* sums, int64_t row, int64_t rows, int64_t column,
                             int64_t columns, Done&& done) {
  constexpr int L = kTileSide;
  for (int64_t r = 0; r < smaller(2 * L, rows - row); ++r)
    for (int64_t v = 0; v < 2; ++v, sums += L) {
      const int64_t left = columns - column - v * L;
      if (left >= L) done(row + r, column + v * L, load(sums), Block<true>{L});
      else if (left > 0) done(row + r, column + v * L, load(sums), Block<false>{int(left)});
    }
}

S3N_INLINE vec<float> load_some(const float* p, int64_t left) {
  return left >= kTileSide ? load(p) : left > 0 ? load(p, int(left)) : vec<float>{};
}

// Narrows two registers of float32 to one of bfloat16, the first one in the lower half.
S3N_INLINE __m512i narrow_two(vec<float> low, vec<float> high) {
  return (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}

// See multiply() in multiply.h; `packed` is the result of pack_tiles.
template <class Done>
S3N_NOINLINE void multiply_tiled(const float* a, int64_t a_row, int64_t rows, const float* packed,
                                 int64_t k, int64_t columns, Done done) {
  const bf16* const right = reinterpret_cast<const bf16*>(packed);
  const int64_t depths = ceil_div(k, kTileDepth), next = depths * kTileSize;
  bf16* const left = static_cast<bf16*>(thread_scratch(kLeftSlot, 2 * next * sizeof(bf16)));
  alignas(64) float sums[4 * kTileSide * kTileSide];
  const TileRegisters registers;
  for (int64_t row = 0; row < rows; row += 2 * kTileSide) {
    const int64_t count = smaller(2 * kTileSide, rows - row);
    for (int64_t r = 0; r < count; ++r) {
      const float* const source = a + (row + r) * a_row;
      bf16* out = left + r / kTileSide * next + r % kTileSide * kTileDepth;
      for (int64_t i = 0; i < k; i += kTileDepth, out += kTileSize)
        _mm512_store_si512(out, narrow_two(load_some(source + i, k - i),
                                           load_some(source + i + kTileSide, k - i - kTileSide)));
    }
    // Clear missing rows: their sums are not used, but must not be signalling NaNs.
    for (int64_t r = count; r < 2 * kTileSide; ++r) {
      bf16* out = left + r / kTileSide * next + r % kTileSide * kTileDepth;
      for (int64_t i = 0; i < depths; ++i, out += kTileSize)
        _mm512_store_si512(out, _mm512_setzero_si512());
    }
    for (int64_t column = 0; column < columns; column += 2 * kTileSide) {
      multiply_tiles(left, next, right + column / kTileSide * next, next, depths, sums);
      finish_tiles(sums, row, rows, column, columns, done);
    }
  }
}

// Transposes 16 registers of 16 numbers of 32 bits.
S3N_INLINE void transpose(__m512i (&r)[16]) {
  __m512i t[16];
  S3N_UNROLL
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  S3N_UNROLL
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // r[4 q + c] holds, in quarter p, column 4 p + c of rows 4 q to 4 q + 3.
  S3N_UNROLL
  for (int c = 0; c < 4; ++c) {
    t[c] = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88);
    t[4 + c] = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88);
    t[8 + c] = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xdd);
    t[12 + c] = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xdd);
  }
  S3N_UNROLL
  for (int c = 0; c < 4; ++c) {
    r[c] = _mm512_shuffle_i32x4(t[c], t[4 + c], 0x88);
    r[8 + c] = _mm512_shuffle_i32x4(t[c], t[4 + c], 0xdd);
    r[4 + c] = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0x88);
    r[12 + c] = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0xdd);
  }
}

// Loads 16 pairs of rows, starting at `row`, of 16 columns, starting at `column`. Register q holds
// rows 2 q and 2 q + 1, with the two numbers of a column adjacent.
S3N_INLINE void load_pairs(const float* a, int64_t a_row, int64_t row, int64_t rows,
                           int64_t column, int64_t columns, __m512i (&pairs)[16]) {
  const __m512i side_by_side = _mm512_set_epi16(
      31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
      23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const float* const source = a + column;
  S3N_UNROLL
  for (int q = 0; q < 16; ++q) {
    const int64_t first = row + 2 * q;
    const vec<float> low =
        first < rows ? load_some(source + first * a_row, columns - column) : vec<float>{};
    const vec<float> high =
        first + 1 < rows ? load_some(source + (first + 1) * a_row, columns - column) : vec<float>{};
    pairs[q] = _mm512_permutexvar_epi16(side_by_side, narrow_two(low, high));
  }
}

// Packs tiles of a (rows, columns) matrix that is summed over its rows: as a right matrix, or
// transposed as a left one. Groups of 16 columns follow each other, an even number in total.
template <bool Transposed>
S3N_NOINLINE bf16* tiles_over_rows(const float* a, int64_t a_row, int64_t rows, int64_t columns,
                                   int slot) {
  const int64_t depths = ceil_div(rows, kTileDepth);
  const int64_t groups = ceil_div(columns, 2 * kTileSide) * 2;
  bf16* const tiles =
      static_cast<bf16*>(thread_scratch(slot, groups * depths * kTileSize * sizeof(bf16)));
  bf16* out = tiles;
  for (int64_t group = 0; group < groups; ++group)
    for (int64_t depth = 0; depth < depths; ++depth) {
      __m512i pairs[16];
      load_pairs(a, a_row, depth * kTileDepth, rows, group * kTileSide, columns, pairs);
      if (Transposed) transpose(pairs);
      S3N_UNROLL
      for (int q = 0; q < 16; ++q, out += kTileDepth) _mm512_store_si512(out, pairs[q]);
    }
  return tiles;
}

// See multiply_transposed() in multiply.h.
static inline void multiply_transposed_tiled(const float* a, int64_t a_row, const float* b,
                                             int64_t b_row, int64_t rows, int64_t k,
                                             int64_t columns, float* c, int64_t c_row) {
  const int64_t depths = ceil_div(rows, kTileDepth), next = depths * kTileSize;
  const bf16* const left = tiles_over_rows<true>(a, a_row, rows, k, kLeftSlot);
  const bf16* const right = tiles_over_rows<false>(b, b_row, rows, columns, kRightSlot);
  alignas(64) float sums[4 * kTileSide * kTileSide];
  const auto add = [&](int64_t row, int64_t column, vec<float> sum, auto block) {
    float* const p = c + row * c_row + column;
    block.store(p, block.load(p) + sum);
  };
  const TileRegisters registers;
  for (int64_t row = 0; row < k; row += 2 * kTileSide)
    for (int64_t column = 0; column < columns; column += 2 * kTileSide) {
      multiply_tiles(left + row / kTileSide * next, next, right + column / kTileSide * next, next,
                     depths, sums);
      finish_tiles(sums, row, k, column, columns, add);
    }
}

}  // namespace S3N_ISA
}  // namespace s3n

#endif  // __AMX_BF16__
