// The branches of an inception as an attribute of a foreign call.
#pragma once

#include "ffi/call.h"
#include "inception_depthwise/inception_depthwise.h"

namespace s3n {

// (kernel height, kernel width, dilation) of every branch.
using Branches = xla::ffi::Span<const int64_t>;

inline xla::ffi::ErrorOr<InceptionShape> inception_shape(const Call& call, const Buffer& x,
                                                         Branches branches) {
  InceptionShape s = {call.groups(),      Call::dim(x, 4, 0), Call::dim(x, 4, 1),
                      Call::dim(x, 4, 2), Call::dim(x, 4, 3), int64_t(branches.size()) / 3, {}};
  if (s.branches > kMaxBranches || s.branches * 3 != int64_t(branches.size()))
    return xla::ffi::Unexpected(
        xla::ffi::Error::InvalidArgument("s3net_kernels: too many branches."));
  for (int64_t r = 0; r < s.branches; ++r)
    s.branch[r] = {branches.begin()[3 * r], branches.begin()[3 * r + 1],
                   branches.begin()[3 * r + 2]};
  return s;
}

}  // namespace s3n
