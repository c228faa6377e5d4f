// XLA handlers of the inception of depthwise convolutions. Operands carry the batch's leading
// dimensions; x may be float32, float64 or bfloat16, parameters are float32 (float64 with
// float64). Attributes hold (kernel height, kernel width, dilation) of every branch.
#include "ffi/call.h"
#include "ffi/executor.h"
#include "inception_depthwise/inception_depthwise_ffi.h"

namespace s3n {
namespace {

namespace ffi = xla::ffi;
ffi::Error forward(ffi::ThreadPool pool, Buffer x, Buffer w, Buffer b, ResultBuffer y,
                   Branches branches) {
  Call call(*y, 4);
  const auto shape = inception_shape(call, x, branches);
  if (!shape) return shape.error();
  const InceptionShape& s = *shape;
  const DType type = call.dtype(x);
  const InceptionForward a = {
      s, call.operand(x, {s.images, s.height, s.width, s.channels}),
      call.operand(w, {s.taps(), s.channels}), call.operand(b, {s.branches, s.channels}),
      call.result(y, {s.images, s.height, s.width, s.branches * s.channels})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT(inception_kernels, type).forward(type, a, executor);
  return ffi::Error::Success();
}

ffi::Error backward(ffi::ThreadPool pool, Buffer x, Buffer turned, Buffer dy, ResultBuffer dx,
                    ResultBuffer dw, ResultBuffer db, ResultBuffer partials, Branches branches) {
  Call call(*dx, 4);
  const auto shape = inception_shape(call, x, branches);
  if (!shape) return shape.error();
  const InceptionShape& s = *shape;
  const DType type = call.dtype(x);
  const InceptionBackward a = {
      s, call.operand(x, {s.images, s.height, s.width, s.channels}),
      call.operand(turned, {s.taps(), s.channels}),
      call.operand(dy, {s.images, s.height, s.width, s.branches * s.channels}),
      call.result(dx, {s.images, s.height, s.width, s.channels}),
      call.result(dw, {s.taps(), s.channels}), call.result(db, {s.branches, s.channels}),
      call.result(partials,
                  {s.images, inception_parts(s.height, s.width), s.taps() + s.branches,
                   s.channels})};
  if (!call.ok()) return call.error();
  PoolExecutor executor(pool);
  S3N_SELECT(inception_kernels, type).backward(type, a, executor);
  return ffi::Error::Success();
}

}  // namespace

S3N_DEFINE_HANDLER(s3n_inception_forward, forward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // x
                       .Arg<Buffer>()  // w
                       .Arg<Buffer>()  // b
                       .Ret<Buffer>()  // y
                       .Attr<Branches>("branches"));

S3N_DEFINE_HANDLER(s3n_inception_backward, backward,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Arg<Buffer>()  // x
                       .Arg<Buffer>()  // w rotated by 180 degrees
                       .Arg<Buffer>()  // dy
                       .Ret<Buffer>()  // dx
                       .Ret<Buffer>()  // dw
                       .Ret<Buffer>()  // db
                       .Ret<Buffer>()  // partials
                       .Attr<Branches>("branches"));

}  // namespace s3n
