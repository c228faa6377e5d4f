// XLA handlers of depthwise convolution. Operands carry the batch's leading dimensions; x
// (N, H, W, C) may be float32, float64 or bfloat16, parameters are float32 (float64 with float64).
#include "depthwise_conv2d/depthwise_conv2d.h"
#include "ffi/call.h"
#include "ffi/executor.h"

namespace s3n {
namespace {

namespace ffi = xla::ffi;

DepthwiseShape shape_of(const Call& call, const Buffer& x, const Buffer& w, int64_t dilation) {
  return {call.groups(),       Call::dim(x, 4, 0), Call::dim(x, 4, 1), Call::dim(x, 4, 2),
          Call::dim(x, 4, 3),  Call::dim(w, 3, 0), Call::dim(w, 3, 1), dilation};
}

ffi::Error forward(ffi::ThreadPool pool, Buffer x, Buffer w, Buffer b, ResultBuffer y,
                   int64_t dilation) {
  Call call(*y, 4);
  const DepthwiseShape s = shape_of(call, x, w, dilation);
  const DType type = call.dtype(x);
  const DepthwiseForward a = {
      s, call.operand(x, {s.images, s.height, s.width, s.channels}),
      call.operand(w, {s.kernel_height, s.kernel_width, s.channels}),
      call.operand(b, {s.channels}),
      call.result(y, {s.images, s.height, s.width, s.channels})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT(depthwise_kernels, type).forward(type, a, executor);
  return ffi::Error::Success();
}

ffi::Error backward(ffi::ThreadPool pool, Buffer x, Buffer turned, Buffer dy, ResultBuffer dx,
                    ResultBuffer dw, ResultBuffer db, ResultBuffer partials, int64_t dilation) {
  Call call(*dx, 4);
  const DepthwiseShape s = shape_of(call, x, turned, dilation);
  const DType type = call.dtype(x);
  const int64_t taps = s.kernel_height * s.kernel_width;
  const DepthwiseBackward a = {
      s, call.operand(x, {s.images, s.height, s.width, s.channels}),
      call.operand(turned, {s.kernel_height, s.kernel_width, s.channels}),
      call.operand(dy, {s.images, s.height, s.width, s.channels}),
      call.result(dx, {s.images, s.height, s.width, s.channels}),
      call.result(dw, {s.kernel_height, s.kernel_width, s.channels}),
      call.result(db, {s.channels}),
      call.result(partials, {s.images, depthwise_bands(s.height), taps + 1, s.channels})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT(depthwise_kernels, type).backward(type, a, executor);
  return ffi::Error::Success();
}

}  // namespace

S3N_DEFINE_HANDLER(s3n_depthwise_forward, forward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // x
                       .Arg<Buffer>()  // w
                       .Arg<Buffer>()  // b
                       .Ret<Buffer>()  // y
                       .Attr<int64_t>("dilation"));

S3N_DEFINE_HANDLER(s3n_depthwise_backward, backward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // x
                       .Arg<Buffer>()  // w rotated by 180 degrees
                       .Arg<Buffer>()  // dy
                       .Ret<Buffer>()  // dx
                       .Ret<Buffer>()  // dw
                       .Ret<Buffer>()  // db
                       .Ret<Buffer>()  // partials
                       .Attr<int64_t>("dilation"));

}  // namespace s3n
