// The part of an image that the taps of a tile of output pixels reach, packed for them.
//
// In an image, the pixels of one block of channels are far apart in memory, often in the same few
// sets of a cache. Here they are contiguous, widened to the type of the sums, with zeros beyond the
// image, so that loops over taps need neither border checks nor strides. The rows in use form a
// ring, and each is packed once for all output rows that reach it.
#pragma once

#include "core/blocks.h"
#include "core/sum.h"

namespace s3n {
namespace S3N_ISA {

struct Columns {
  int64_t begin, end;
  int64_t count() const { return end - begin; }
};

// A multiple of the groups of pixels, of the rows of a product, and of the depth of an AMX tile.
// Other multiples were not timed.
#if defined(__AMX_BF16__)
constexpr int64_t kTileColumns = 64;
#else
constexpr int64_t kTileColumns = 48;
#endif

// Calls f(columns) for every tile of the given columns of a row.
template <class F>
S3N_INLINE void for_each_tile(Columns all, F&& f) {
  for (int64_t begin = all.begin; begin < all.end; begin += kTileColumns)
    f(Columns{begin, smaller(begin + kTileColumns, all.end)});
}

template <class T>
class PackedRows {
 public:
  using A = accumulator<T>;
  static constexpr int64_t L = kLanes<A>;

  // Distance that taps reach, in rows and columns, to each side.
  struct Reach {
    int64_t rows, columns;
  };

  PackedRows() = default;
  // `stride`: elements from one pixel of the image to the next. `memory`: size() elements.
  PackedRows(int64_t height, int64_t width, int64_t channels, Reach reach, int64_t stride,
             A* memory)
      : height_(height), width_(width), channels_(channels), stride_(stride), reach_(reach),
        memory_(memory) {}

  static int64_t size(int64_t channels, Reach reach) {
    return (2 * reach.rows + 1) * line(channels, reach);
  }

  // Starts a tile with the given columns and first output row.
  void start(const T* image, Columns columns, int64_t row) {
    image_ = image;
    columns_ = columns;
    next_ = larger(row - reach_.rows, 0);
  }

  // Packs the rows that output row `row` needs. Rows must follow each other.
  void advance(int64_t row) {
    const int64_t last = smaller(row + reach_.rows, height_ - 1);
    for (; next_ <= last; ++next_) pack(next_);
  }

  // Position of an image row in the ring, and number of positions.
  int64_t slot(int64_t row) const { return row % slots(); }
  int64_t slots() const { return 2 * reach_.rows + 1; }
  // The block of channels that starts at `channel`, at the tile's first column.
  const A* at(int64_t slot, int64_t channel) const {
    return memory_ + slot * line(channels_, reach_) + channel / L * pixels(reach_) * L +
           reach_.columns * L;
  }

 private:
  static int64_t pixels(Reach reach) { return kTileColumns + 2 * reach.columns; }
  static int64_t line(int64_t channels, Reach reach) {
    return ceil_div(channels, L) * L * pixels(reach);
  }

  void pack(int64_t row) {
    const int64_t first = columns_.begin - reach_.columns, end = columns_.end + reach_.columns;
    const int64_t from = clamp(first, 0, width_), to = clamp(end, from, width_);
    A* out = memory_ + slot(row) * line(channels_, reach_);
    const T* const source = image_ + (row * width_ + from) * stride_;
    for_each_block<A>(channels_, [&](auto block, int64_t channel) {
      fill_zero(out, (from - first) * L);
      A* p = out + (from - first) * L;
      const T* x = source + channel;
      for (int64_t at = from; at < to; ++at, p += L, x += stride_) {
        prefetch(x + width_ * stride_);  // the row that is packed next
        store(p, block.load(x));
      }
      fill_zero(p, (end - to) * L);
      out += pixels(reach_) * L;
    });
  }

  int64_t height_ = 0, width_ = 0, channels_ = 0, stride_ = 0;
  Reach reach_ = {};
  A* memory_ = nullptr;
  const T* image_ = nullptr;
  Columns columns_ = {};
  int64_t next_ = 0;
};

}  // namespace S3N_ISA
}  // namespace s3n
