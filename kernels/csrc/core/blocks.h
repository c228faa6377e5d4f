// Loops over the channels of a pixel, one register at a time.
#pragma once

#include "core/vec.h"

namespace s3n {
namespace S3N_ISA {

// Calls f(block, channel) for every block of channels.
template <class A, class F>
S3N_INLINE void for_each_block(int64_t channels, F&& f) {
  constexpr int L = kLanes<A>;
  int64_t c = 0;
  for (; c + L <= channels; c += L) f(Block<true>{L}, c);
  if (c < channels) f(Block<false>{int(channels - c)}, c);
}

}  // namespace S3N_ISA
}  // namespace s3n
