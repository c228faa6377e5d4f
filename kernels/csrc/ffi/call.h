// Operands of a foreign call, with the leading dimensions that vmap adds.
//
// jax.vmap (vmap_method="expand_dims") adds leading dimensions to every operand: the batch's size
// if the operand is mapped, 1 if it is shared. The product of the results' leading dimensions is
// the number of groups.
#pragma once

#include <array>
#include <deque>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/pages.h"
#include "core/types.h"
#include "xla/ffi/api/ffi.h"

#if defined(_WIN32)
#define S3N_EXPORT extern "C" __declspec(dllexport)
#else
#define S3N_EXPORT extern "C" __attribute__((visibility("default")))
#endif

// XLA_FFI_DEFINE_HANDLER_SYMBOL, exported from the library; no exception leaves the handler.
#define S3N_DEFINE_HANDLER(name, ...)                     \
  S3N_EXPORT XLA_FFI_Error* name(XLA_FFI_CallFrame* frame) { \
    XLA_FFI_DEFINE_HANDLER(handler, __VA_ARGS__);          \
    return ::s3n::call_guarded(handler, frame);            \
  }                                                        \
  static_assert(true, "takes the semicolon")

namespace s3n {

// Calls handler(frame) and returns exceptions as errors, which XLA passes on to Python. XLA is
// compiled without exceptions, so one that reached it would end the process.
XLA_FFI_Error* call_guarded(XLA_FFI_Handler* handler, XLA_FFI_CallFrame* frame);

using Buffer = xla::ffi::AnyBuffer;
using ResultBuffer = xla::ffi::Result<Buffer>;
using Dimensions = Buffer::Dimensions;

// Number of columns of a matrix packed into panels, the same for every instruction set.
inline int64_t packed_columns(int64_t columns) { return (columns + 63) / 64 * 64; }

class Call {
 public:
  // `result` is any result; `rank` is its number of dimensions without those of the batch.
  Call(const Buffer& result, size_t rank);

  int64_t groups() const { return groups_; }
  // Dimension i of a buffer's last `rank` dimensions.
  static int64_t dim(const Buffer& buffer, size_t rank, size_t i);

  // Returns the operand's position in each group. Its last dimensions must be `shape`.
  Batched operand(const Buffer& buffer, std::initializer_list<int64_t> shape) {
    return operand(buffer, shape.begin(), shape.size());
  }
  Batched operand(const Buffer& buffer, const std::array<int64_t, 4>& shape) {
    return operand(buffer, shape.data(), shape.size());
  }
  template <class Shape>
  Batched result(ResultBuffer buffer, const Shape& shape) {
    prefer_huge_pages(buffer->untyped_data(), buffer->size_bytes());
    return operand(*buffer, shape);
  }
  Batched result(ResultBuffer buffer, std::initializer_list<int64_t> shape) {
    prefer_huge_pages(buffer->untyped_data(), buffer->size_bytes());
    return operand(*buffer, shape);
  }

  // Returns the kernels' name for the element type of x.
  DType dtype(const Buffer& x);

  xla::ffi::Error error() const { return error_; }
  bool ok() const { return error_.success(); }

 private:
  Batched operand(const Buffer& buffer, const int64_t* shape, size_t rank);
  void fail(const std::string& message);

  std::vector<int64_t> leading_;
  int64_t groups_ = 1;
  std::deque<std::vector<int64_t>> offsets_;  // a deque never moves its elements
  xla::ffi::Error error_ = xla::ffi::Error::Success();
};

}  // namespace s3n
